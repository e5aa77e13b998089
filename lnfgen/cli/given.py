"""What `fill`, `harmonize` and `continue` share: a piece goes in, and pieces that keep a part of it come out."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lnfgen.cli import console
from lnfgen.cli.options import drawn_seed, played
from lnfgen.cli.outputs import piece_writer
from lnfgen.cli.sources import read_pieces, resolve_run
from lnfgen.errors import LnfgenError

if TYPE_CHECKING:
    from lnfgen.formats import Piece
    from lnfgen.given import Given
    from lnfgen.runs.folder import RunFolder
    from lnfgen.runs.trained import TrainedModel

Source = Annotated[str, typer.Argument(help="A piece of music, or a text for a model of text; - is stdin.")]
Out = Annotated[str, typer.Option(help="File to write, - for stdout; the suffix chooses the format.")]
Model = Annotated[
    Path | None,
    typer.Option(
        help="Run folder, or a model of `lnfgen models`.", show_default="the newest under runs/, else chorales"
    ),
]
Count = Annotated[int, typer.Option(min=1, help="Pieces; several are OUT-01, OUT-02, ..., or one .html page.")]
Temperature = Annotated[float, typer.Option(help="Below 1 safer, above 1 wilder.")]
Particles = Annotated[
    int,
    typer.Option(min=1, max=100_000, help="Ways that are followed for each piece; more fit better, for more time."),
]
PARTICLES = 32


def draw_given(
    source: str,
    out: str,
    model: Path | None,
    find: "Callable[[TrainedModel, Piece, int], Given]",
    *,
    count: int,
    temperature: float,
    particles: int,
    seed: int | None,
    tracks: str,
    program: str,
    device: str,
    json: bool,
    verb: str,
) -> None:
    """Read the piece, let `find` say what is given of it, draw the rest, and write what comes out."""
    folder = resolve_run(model)
    writer = piece_writer(folder, out, count, played(program, None), json)
    piece = _read(folder, source, tracks)

    from lnfgen.filling import at_home, fill_pieces
    from lnfgen.runs.trained import TrainedModel

    trained = TrainedModel(folder, device)
    seed = drawn_seed(seed)
    given = find(trained, piece, seed)
    given = at_home(trained.model, trained.encoding, given, seed)
    if given.changes:
        console.warn(f"{source}: {given.changes}")
    if given.shift:
        console.note(f"{source}: moved {given.shift:+} semitones to where the model is at home, and back")
    asked: dict[str, Any] = {"count": count, "temperature": temperature, "seed": seed, "particles": particles}
    with console.live(verb, 1) as bar:
        drawn = fill_pieces(
            trained.model,
            trained.encoding,
            given,
            **asked,
            progress=lambda done, total: bar.update(done, total=total),
        )
        for filling in drawn:
            moved = {} if filling.moved is None else {"moved": filling.moved}
            writer.write(filling.piece, {"effective_particles": filling.ess * particles, **moved})
    known = {"run": str(folder.path), "seed": seed, "particles": particles, "transposed": given.shift}
    writer.close(**known, free=float(given.free.mean()))


def _read(folder: "RunFolder", source: str, tracks: str) -> "Piece":
    """The one piece in a file, as the run's kind has it: ABC is text for a run of text, and notes for one of music."""
    if folder.encoding.kind == "text":
        from lnfgen.text import decode_utf8, read_text

        text = decode_utf8(sys.stdin.buffer.read(), "stdin") if source == "-" else read_text(Path(source))
        # A line of a corpus has no end of line of its own.
        text = text if "\n" in folder.encoding.vocabulary else text.rstrip("\r\n")
        if not text:
            raise LnfgenError(f"{source} is empty; expected a text")
        return text
    pieces = read_pieces(source, folder.encoding.steps_per_quarter, False, tracks)
    if len(pieces) != 1:
        raise LnfgenError(f"{source} holds {len(pieces)} pieces; expected one; `lnfgen convert` writes each on its own")
    return pieces[0]
