"""Options of the commands that draw from a person's piece, and the way from file to file."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lnfgen.cli import console, options
from lnfgen.conventions import PARTICLES, TRIES, Progress
from lnfgen.errors import LnfgenError

if TYPE_CHECKING:
    from lnfgen.cli.outputs import PieceWriter
    from lnfgen.formats.read_write import Piece
    from lnfgen.inference.wishes import Wishes
    from lnfgen.runs.trained import Drawing, TrainedModel

PieceSource = Annotated[
    str, typer.Argument(help="A piece of music, or a text for a model of text; - is stdin.")
]


@dataclass(frozen=True)
class DrawingOptions:
    """The options that these commands share, one for each field."""

    out: Annotated[
        str, typer.Option(help="File to write, - for stdout; the suffix chooses the format.")
    ]
    run: options.RunOption = None
    count: options.Count = 1
    want: options.Want = None
    temperature: options.Temperature = 1.0
    seed: options.Seed = None
    json: options.Json = False
    quiet: options.Quiet = False
    tries: options.Tries = TRIES
    particles: options.Particles = PARTICLES
    passes: options.Passes = None
    device: options.Device = "auto"
    tracks: options.Tracks = "all"
    flat: Annotated[
        bool,
        typer.Option(
            "--flat",
            rich_help_panel=options.WRITING,
            help="Write what was heard and drawn as one piano-roll, not as your own file with new "
            "tracks.",
        ),
    ] = False
    program: options.Programs = None
    voices: options.Voices = None
    chords: options.Chords = False

    def prepare(self, name: str, source: str, *, music_alone: bool = False) -> "Task":
        """Read a piece, and load the model that draws from it.

        The run, the place to write to and the file are checked before the model is loaded, which
        takes long.

        Args:
            name: the command, after which the tracks of drawn notes are named.
            source: the file of the piece, or - for stdin.
            music_alone: refuse a model of text.

        Raises:
            LnfgenError: if the run, the place to write to, an option or the piece does not fit.
        """
        from lnfgen.api import load
        from lnfgen.cli.outputs import PieceWriter
        from lnfgen.cli.sources import read_one, require_no_text, resolve_run
        from lnfgen.inference.wish_reading import wishes_for

        run = resolve_run(self.run)
        is_band = bool(run.encoding.roles)
        if music_alone and run.encoding.kind == "text":
            raise LnfgenError(
                f"{run.name} makes text; expected a model of music; choose another --run"
            )
        require_no_text(run, tracks=self.tracks != "all", flat=self.flat)
        wishes = wishes_for(self.want, run.encoding)
        instruments = options.instruments(
            self.program, self.voices, is_band=is_band, drawn_name=name
        )
        writer = PieceWriter(
            run, self.out, self.count, "--count", instruments, self.json, self.chords
        )
        tracks = self.tracks
        if music_alone and is_band and tracks == "melody":
            # Without a choice of its own, harmonize reads a band whole, because all parts but the
            # melody are drawn.
            tracks = "all"
        piece = read_one(run, source, tracks, self.flat)
        model = load(run.path, self.device, self.passes)
        seed = options.fresh_seed() if self.seed is None else self.seed
        return Task(self, seed, wishes, writer, model, piece)


@dataclass(frozen=True)
class Task:
    """A person's piece, the model that draws others from it, and the place to write them to."""

    options: DrawingOptions
    seed: int  # as asked, or drawn
    wishes: "Wishes"
    writer: "PieceWriter"
    model: "TrainedModel"
    piece: "Piece"
    facts: dict[str, Any] = field(default_factory=dict)  # of the next piece, for JSON

    def drawing(self, progress: Progress) -> "Drawing":
        """The arguments that all methods of the model which draw from a piece take."""
        return {
            "count": self.options.count,
            "temperature": self.options.temperature,
            "seed": self.seed,
            "want": self.wishes,
            "tries": self.options.tries,
            "particles": self.options.particles,
            "progress": progress,
            "steered": self._note_steering,
            "drawn": self.write,
        }

    def _note_steering(self, is_steered: bool) -> None:
        self.facts["steered"] = is_steered

    def write(self, piece: "Piece") -> None:
        """Write a piece as soon as it is drawn, and print its path."""
        if self.options.seed is None and self.writer.num_written == 0:
            # It is printed only now, because a piece that was refused has none.
            console.note(f"seed {self.seed}")
        facts: dict[str, Any] = {}
        if not isinstance(piece, str):
            facts["drawn_notes"] = piece.num_drawn
        if self.options.want:
            facts = {"wishes": self.wishes.report(piece), **self.facts}
        if self.options.flat and not isinstance(piece, str):
            # Else it would be written beside its file.
            piece = piece.without_file
        if not isinstance(piece, str):
            piece = self.wishes.with_chords(piece)
        self.writer.write(piece, facts)

    def close(self, **facts: Any) -> None:
        """Print a JSON object that has these facts too, if it is asked for."""
        self.writer.close(
            run=self.model.run.name,
            temperature=self.options.temperature,
            seed=self.seed,
            particles=self.options.particles,
            **facts,
        )


def shares_options(
    **defaults: Any,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a command that takes `DrawingOptions` first.

    Typer sees an option for each of its fields instead.

    Args:
        defaults: other defaults of these options for this command.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def with_options(**values: Any) -> None:
            shared = {field.name: values.pop(field.name) for field in fields(DrawingOptions)}
            command(DrawingOptions(**shared), **values)

        _, *parameters = inspect.signature(command).parameters.values()
        shared = inspect.signature(DrawingOptions).parameters
        for name, parameter in shared.items():
            default = defaults.get(name, parameter.default)
            parameters.append(parameter.replace(default=default))
        # A parameter without a default may follow one with a default only if it is by name.
        by_name = [parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in parameters]
        with_options.__signature__ = inspect.Signature(by_name)  # type: ignore[attr-defined]
        with_options.__doc__ = command.__doc__
        return with_options

    return decorate
