"""The commands that draw pieces from one piece of a person share this: their options, and the way from file to file."""

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lnfgen.cli import console, options
from lnfgen.cli.outputs import PieceWriter
from lnfgen.cli.sources import read_pieces, require_no_roll, resolve_run, tell_of_file
from lnfgen.conventions import PARTICLES
from lnfgen.errors import LnfgenError

if TYPE_CHECKING:
    from lnfgen.formats.read_write import Piece
    from lnfgen.runs.folder import RunFolder

Source = Annotated[str, typer.Argument(help="A piece of music, or a text for a model of text; - is stdin.")]


@dataclass(frozen=True)
class DrawingOptions:
    """The options that these commands share, one for each field."""

    out: Annotated[str, typer.Option(help="File to write, - for stdout; the suffix chooses the format.")]
    model: Annotated[Path | None, typer.Option(help=options.A_RUN, show_default=options.USUAL_RUN)] = None
    count: options.Count = 1
    temperature: options.Temperature = 1.0
    particles: Annotated[
        int,
        typer.Option(
            min=1, max=100_000, help="Candidates for each piece. More fit the kept part better, and take longer."
        ),
    ] = PARTICLES
    seed: options.Seed = None
    device: options.Device = "auto"
    json: options.Json = False
    quiet: options.Quiet = False
    tracks: options.Tracks = "all"
    program: options.Programs = "0"

    def draw(
        self, source: str, method: "Callable[..., list[Piece]]", *, music_alone: bool = False, **facts: Any
    ) -> None:
        """Read a piece, draw others from it with a trained model, write them, and print their paths or a JSON object.

        The run, the place to write to and the file are checked before the model is loaded, which takes long.

        Args:
            method: called as `method(trained, piece, count=, temperature=, seed=, particles=, progress=)`.
            facts: further facts for the JSON object.
        """
        run = resolve_run(self.model)
        if music_alone and run.encoding.kind == "text":
            raise LnfgenError(f"{run.name} makes text; expected a model of music; choose another --model")
        options.require_no_music_options(run, tracks=self.tracks != "all")
        writer = PieceWriter(run, self.out, self.count, options.played(self.program, None), self.json)
        piece = _read(run, source, self.tracks)

        from lnfgen.api import load

        trained = load(run.path, self.device)
        seed = options.fresh_seed() if self.seed is None else self.seed
        drawing = {"temperature": self.temperature, "seed": seed, "particles": self.particles}
        unsaid = [seed] if self.seed is None else []
        with console.jobs() as progress:

            def show(*done: Any) -> None:
                if unsaid:  # at the first step, after which nothing is refused any more
                    console.note(f"seed {unsaid.pop()}")
                progress(*done)

            pieces = method(trained, piece, count=self.count, **drawing, progress=show)
        for drawn in pieces:
            writer.write(drawn, {})
        writer.close(run=run.name, **drawing, **facts)


def shares_options(**defaults: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a command that takes `DrawingOptions` first: Typer sees an option for each of its fields instead.

    Args:
        defaults: other defaults of these options for this command.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def with_options(**values: Any) -> None:
            command(
                DrawingOptions(**{field.name: values.pop(field.name) for field in fields(DrawingOptions)}), **values
            )

        _, *own = inspect.signature(command).parameters.values()
        shared = [
            parameter.replace(default=defaults.get(name, parameter.default))
            for name, parameter in inspect.signature(DrawingOptions).parameters.items()
        ]
        all_of_them = [parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in (*own, *shared)]
        with_options.__signature__ = inspect.Signature(all_of_them)  # type: ignore[attr-defined]
        with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in all_of_them}
        with_options.__doc__ = command.__doc__
        return with_options

    return decorate


def _read(run: "RunFolder", source: str, tracks: str) -> "Piece":
    """The one piece in a file, as the run's kind has it: ABC is text for a run of text, and notes for one of music.

    Like `convert`, it shows on stderr what was left out of the file.
    """
    if run.encoding.kind == "text":
        from lnfgen.formats.read_write import READABLE, WRITABLE_TEXT
        from lnfgen.formats.text import decode_utf8, read_text

        suffix = Path(source).suffix.lower()
        if suffix in READABLE and suffix not in WRITABLE_TEXT:
            raise LnfgenError(f"{source} is music; expected a text, as {run.name} makes; choose another --model")
        text = decode_utf8(sys.stdin.buffer.read(), "stdin") if source == "-" else read_text(Path(source))
        # A line of a corpus has no end of line of its own.
        text = text if "\n" in run.encoding.vocabulary else text.rstrip("\r\n")
        if not text:
            raise LnfgenError(f"{source} is empty; expected a text")
        return text
    pieces = read_pieces(source, run.encoding.steps_per_quarter, False, tracks)
    require_no_roll(source, ["--tracks"] if tracks != "all" else [])
    if len(pieces) != 1:
        raise LnfgenError(f"{source} holds {len(pieces)} pieces; expected one; `lnfgen convert` writes each on its own")
    # What was rounded, the known part says.
    tell_of_file([piece for piece in pieces if not isinstance(piece, str)], source, mended=["rounded"])
    return pieces[0]
