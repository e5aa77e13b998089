"""The commands that draw pieces from one piece of a person share this: their options, and the way from file to file."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lnfgen.cli import console
from lnfgen.cli.options import fresh_seed, played, require_no_music_options
from lnfgen.cli.outputs import piece_writer
from lnfgen.cli.sources import read_pieces, require_no_roll, resolve_run, tell_of_file
from lnfgen.errors import LnfgenError

if TYPE_CHECKING:
    from lnfgen.formats.read_write import Piece
    from lnfgen.runs.folder import RunFolder

Source = Annotated[str, typer.Argument(help="A piece of music, or a text for a model of text; - is stdin.")]
Out = Annotated[str, typer.Option(help="File to write, - for stdout; the suffix chooses the format.")]
Model = Annotated[
    Path | None,
    typer.Option(
        help="Run folder, or a model of `lnfgen list --models`.", show_default="the newest under runs/, else chorales"
    ),
]
Count = Annotated[int, typer.Option(min=1, help="Pieces; several are OUT-01, OUT-02, ..., or one .html page.")]
Temperature = Annotated[float, typer.Option(help="Below 1 safer, above 1 wilder.")]
Particles = Annotated[
    int,
    typer.Option(min=1, max=100_000, help="Ways that are followed for each piece; more fit better, for more time."),
]


@dataclass(frozen=True)
class Settings:
    """The values of the options that these commands share."""

    source: str
    out: str
    model: Path | None
    count: int
    temperature: float
    particles: int
    seed: int | None
    tracks: str
    program: str
    device: str
    json: bool


def draw_pieces(
    settings: Settings, draw: "Callable[..., list[Piece]]", *, music_alone: bool = False, **facts: Any
) -> None:
    """Read a piece, draw others from it with a trained model, write them, and print their paths or a JSON object.

    The run, the place to write to and the file are checked before the model is loaded, which takes long.

    Args:
        draw: called as `draw(trained, piece, count=, temperature=, seed=, particles=, progress=)`.
        music_alone: the command is not for text.
        facts: further facts for the JSON object.
    """
    from lnfgen.music.tracks import ALL

    run = resolve_run(settings.model)
    if music_alone and run.encoding.kind == "text":
        raise LnfgenError(f"{run.name} makes text; expected a model of music; choose another --model")
    require_no_music_options(run, tracks=settings.tracks != ALL)
    writer = piece_writer(run, settings.out, settings.count, played(settings.program, None), settings.json)
    piece = _read(run, settings.source, settings.tracks)

    from lnfgen.api import load

    trained = load(run.path, settings.device)
    seed = fresh_seed() if settings.seed is None else settings.seed
    drawing = {"temperature": settings.temperature, "seed": seed, "particles": settings.particles}
    with console.jobs() as progress, console.about(settings.source):
        pieces = draw(trained, piece, count=settings.count, **drawing, progress=progress)
    if settings.seed is None:
        console.note(f"seed {seed}")
    for drawn in pieces:
        writer.write(drawn, {})
    writer.close(run=run.name, **drawing, **facts)


def _read(folder: "RunFolder", source: str, tracks: str) -> "Piece":
    """The one piece in a file, as the run's kind has it: ABC is text for a run of text, and notes for one of music.

    Like `convert`, it shows on stderr what was left out of the file.
    """
    from lnfgen.music.tracks import ALL

    if folder.encoding.kind == "text":
        from lnfgen.formats.read_write import READABLE, WRITABLE_TEXT
        from lnfgen.formats.text import decode_utf8, read_text

        suffix = Path(source).suffix.lower()
        if suffix in READABLE and suffix not in WRITABLE_TEXT:
            raise LnfgenError(f"{source} is music; expected a text, as {folder.name} makes; choose another --model")
        text = decode_utf8(sys.stdin.buffer.read(), "stdin") if source == "-" else read_text(Path(source))
        # A line of a corpus has no end of line of its own.
        text = text if "\n" in folder.encoding.vocabulary else text.rstrip("\r\n")
        if not text:
            raise LnfgenError(f"{source} is empty; expected a text")
        return text
    pieces = read_pieces(source, folder.encoding.steps_per_quarter, False, tracks)
    require_no_roll(source, ["--tracks"] if tracks != ALL else [])
    if len(pieces) != 1:
        raise LnfgenError(f"{source} holds {len(pieces)} pieces; expected one; `lnfgen convert` writes each on its own")
    tell_of_file([piece for piece in pieces if not isinstance(piece, str)], source)
    return pieces[0]
