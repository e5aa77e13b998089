"""The commands that draw pieces from one piece of a person share this: their options, and the way
from file to file."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from lnfgen.cli import console, options
from lnfgen.conventions import PARTICLES, SECONDS
from lnfgen.errors import LnfgenError

Source = Annotated[
    str, typer.Argument(help="A piece of music, or a text for a model of text; - is stdin.")
]


@dataclass(frozen=True)
class DrawingOptions:
    """The options that these commands share, one for each field."""

    out: Annotated[
        str, typer.Option(help="File to write, - for stdout; the suffix chooses the format.")
    ]
    model: Annotated[
        Path | None, typer.Option(help=options.A_RUN, show_default=options.USUAL_RUN)
    ] = None
    count: options.Count = 1
    want: options.Want = None
    seconds: options.Seconds = SECONDS
    temperature: options.Temperature = 1.0
    particles: Annotated[
        int,
        typer.Option(
            min=1,
            max=100_000,
            help="Candidates for each piece. More fit the kept part better, and take longer.",
        ),
    ] = PARTICLES
    seed: options.Seed = None
    json: options.Json = False
    quiet: options.Quiet = False
    tracks: options.Tracks = "all"
    flat: Annotated[
        bool,
        typer.Option(
            "--flat",
            rich_help_panel=options.WRITING,
            help="Write what was heard and drawn as one piano-roll, not as your own file with new tracks.",
        ),
    ] = False
    program: options.Programs = None
    voices: options.Voices = None

    def draw(
        self,
        name: str,
        source: str,
        method: str,
        *,
        music_alone: bool = False,
        shown: Sequence[str] = (),
        **own: Any,
    ) -> None:
        """Read a piece, draw others from it with a trained model, write them, and print their paths
        or a JSON object.

        The run, the place to write to and the file are checked before the model is loaded, which
        takes long.

        Args:
            name: that of the command, and of the tracks of drawn notes.
            method: the name of a method of `TrainedModel`. It takes the piece, `own` options and
                those of `Drawing`.
            shown: those of `own` that the JSON object has too, by name.
        """
        from lnfgen.api import load
        from lnfgen.cli.outputs import PieceWriter
        from lnfgen.cli.sources import read_one, require_no_text, resolve_run
        from lnfgen.inference.wishes import wishes_for

        run = resolve_run(self.model)
        if music_alone and run.encoding.kind == "text":
            raise LnfgenError(
                f"{run.name} makes text; expected a model of music; choose another --model"
            )
        require_no_text(run, tracks=self.tracks != "all", flat=self.flat)
        wishes = wishes_for(self.want, run.encoding)
        instruments = options.played(
            self.program, self.voices, is_band=bool(run.encoding.parts)
        ) | {"drawn_name": name}
        writer = PieceWriter(run, self.out, self.count, "--count", instruments, self.json)
        # Without a choice of its own, harmonize reads a band whole, because all parts but the
        # melody are drawn.
        is_whole = music_alone and self.tracks == "melody" and run.encoding.parts
        piece = read_one(run, source, "all" if is_whole else self.tracks, self.flat)
        trained = load(run.path)
        seed = options.fresh_seed() if self.seed is None else self.seed
        drawing = {"temperature": self.temperature, "seed": seed, "particles": self.particles}
        with console.jobs() as progress:
            asked = {"want": wishes, "seconds": self.seconds, "count": self.count}
            pieces = getattr(trained, method)(piece, **own, **asked, **drawing, progress=progress)
        if self.seed is None:
            console.note(f"seed {seed}")  # only now, because a piece that was refused has none
        for drawn in pieces:
            written = (
                replace(drawn, song=None) if self.flat and not isinstance(drawn, str) else drawn
            )
            writer.write(written, {"wishes": wishes.report(drawn)} if self.want else {})
        writer.close(run=run.name, **drawing, **{option: own[option] for option in shown})


def shares_options(command: Callable[..., None], **defaults: Any) -> Callable[..., None]:
    """Decorate a command that takes `DrawingOptions` first: Typer sees an option for each of its
    fields instead.

    Args:
        defaults: other defaults of these options for this command.
    """

    def with_options(**values: Any) -> None:
        shared = {field.name: values.pop(field.name) for field in fields(DrawingOptions)}
        command(DrawingOptions(**shared), **values)

    _, *own = inspect.signature(command).parameters.values()
    shared = [
        parameter.replace(default=defaults.get(name, parameter.default))
        for name, parameter in inspect.signature(DrawingOptions).parameters.items()
    ]
    all_of_them = [parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in (*own, *shared)]
    with_options.__signature__ = inspect.Signature(all_of_them)  # type: ignore[attr-defined]
    with_options.__doc__ = command.__doc__
    return with_options
