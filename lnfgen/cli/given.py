"""What the commands share that a piece of a person goes into, and pieces made of it come out of."""

import sys
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lnfgen.cli import console
from lnfgen.cli.options import drawn_seed, played, require_no_music_options
from lnfgen.cli.outputs import piece_writer
from lnfgen.cli.sources import read_pieces, require_no_roll, resolve_run, tell_of_file
from lnfgen.errors import LnfgenError

if TYPE_CHECKING:
    from lnfgen.formats.read_write import Piece
    from lnfgen.inference.given import Given
    from lnfgen.inference.variation import Variation
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


class Opened:
    """The pieces that a command was given, the model that it draws with, and the writer of what comes out.

    The run, the place to write to and the files are checked before the model is loaded, which takes long.

    Args:
        said: how a person asked for the count, if not by --count.
        music_alone: the command is not for text.
    """

    def __init__(
        self,
        sources: Sequence[str],
        out: str,
        model: Path | None,
        count: int,
        seed: int | None,
        tracks: str,
        program: str,
        device: str,
        json: bool,
        said: str | None = None,
        music_alone: bool = False,
    ) -> None:
        from lnfgen.music.tracks import ALL

        self.sources, self.count, self._asked_seed = sources, count, seed
        self.run = resolve_run(model)
        if music_alone and self.run.encoding.kind == "text":
            raise LnfgenError(f"{self.run.name} makes text; expected a model of music; choose another --model")
        require_no_music_options(self.run, tracks=tracks != ALL)
        self.writer = piece_writer(self.run, out, count, played(program, None), json, said)
        if sources.count("-") > 1:
            raise LnfgenError("found - twice, and stdin holds one piece; give a file name")
        self.pieces = [_read(self.run, source, tracks) for source in sources]

        from lnfgen.runs.trained import TrainedModel

        self.model, self.encoding = TrainedModel(self.run, device).model, self.run.encoding

    @cached_property
    def seed(self) -> int:
        """The seed; one that is drawn is said where it is first needed, and so not before an error in the files."""
        return drawn_seed(self._asked_seed)

    def fill(self, given: "Given", verb: str, temperature: float, particles: int, free: Sequence[str] = ()) -> None:
        """Draw the rest of the piece, of which some is given, and write what comes out.

        `free` are the words for what is to be drawn, where a person has given some.
        """
        from lnfgen.inference.filling import fill_pieces
        from lnfgen.inference.given import beyond_the_model

        given = self._at_home(given, self.sources[0])
        if cut := beyond_the_model(self.encoding, given, free):
            console.warn(f"{self.sources[0]}: {cut}")
        with console.live(verb, 1) as bar:
            drawn = fill_pieces(
                self.model,
                self.encoding,
                given,
                count=self.count,
                temperature=temperature,
                seed=self.seed,
                particles=particles,
                progress=lambda done, total: bar.update(done, total=total),
            )
            for filling in drawn:
                moved = {} if filling.moved is None else {"moved": filling.moved}
                self.writer.write(filling.piece, {"effective_particles": filling.ess * particles, **moved})
        known = {"run": self.run.name, "seed": self.seed, "particles": particles, "transposed": given.shift}
        self.writer.close(**known, free=float(given.free.mean()))

    @cached_property
    def laid(self) -> "list[Given]":
        """The pieces on the model's grid and keys."""
        from lnfgen.inference.given import given_whole

        pairs = zip(self.pieces, self.sources, strict=True)
        return [self._at_home(given_whole(self.encoding, piece), source) for piece, source in pairs]

    def write(self, variations: "Iterable[Variation]", verb: str, facts: dict[str, Any]) -> None:
        """Write what is made of the `laid` pieces."""
        with console.live(verb, self.count) as bar:
            for index, variation in enumerate(variations):
                self.writer.write(variation.piece, {"shared": _one_or_all(variation.shared)})
                bar.update(index + 1)
        transposed = _one_or_all([given.shift for given in self.laid])
        self.writer.close(run=self.run.name, seed=self.seed, transposed=transposed, **facts)

    def _at_home(self, given: "Given", source: str) -> "Given":
        """What is given, where the model is at home, with a word on what was changed."""
        from lnfgen.inference.filling import at_home

        given = at_home(self.model, self.encoding, given)
        if given.changes:
            console.warn(f"{source}: {given.changes}")
        if given.shift:
            console.note(f"{source}: moved {given.shift:+} semitones to where the model is at home, and back")
        return given


def _one_or_all(values: Sequence[float]) -> float | list[float]:
    """For JSON: a number where one piece is given, and a list for several."""
    return values[0] if len(values) == 1 else list(values)


def _read(folder: "RunFolder", source: str, tracks: str) -> "Piece":
    """The one piece in a file, as the run's kind has it: ABC is text for a run of text, and notes for one of music.

    What was left out of the file is said, as `convert` says it.
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
