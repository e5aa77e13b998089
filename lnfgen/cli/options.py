"""Options that several commands share, so that each has one name and one help text."""

import secrets
from pathlib import Path
from typing import Annotated, TypedDict

import typer

from lnfgen.cli import console
from lnfgen.conventions import PASSES
from lnfgen.errors import LnfgenError
from lnfgen.music.instruments import programs_of
from lnfgen.wording import counted

Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", callback=console.set_quiet, help="Print results and errors only."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def checked_seed(seed: int | None) -> int | None:
    """Refuse seeds that torch's generators do not take.

    Typer's range would fill the screen of --help with 2^63.
    """
    if seed is not None and not 0 <= seed < 2**63:
        raise LnfgenError(f"--seed {seed}: expected a whole number from 0 to 2^63 - 1")
    return seed


Seed = Annotated[
    int | None,
    typer.Option(
        callback=checked_seed, help="Random seed.", show_default="drawn, and printed on stderr"
    ),
]
FixedSeed = Annotated[int, typer.Option(callback=checked_seed, help="Random seed.")]
_A_RUN = "Folder of a run, as `lnfgen train` prints it, or a model of `lnfgen list --models`."
USUAL_RUN = "the newest run in runs/, or else the model chorales"
Run = Annotated[Path | None, typer.Argument(help=_A_RUN, show_default=USUAL_RUN)]
RunOption = Annotated[Path | None, typer.Option("--run", help=_A_RUN, show_default=USUAL_RUN)]
Count = Annotated[
    int,
    typer.Option(
        min=1, help="Pieces to draw. Several become OUT-01, OUT-02, ..., or one .html page."
    ),
]
Want = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FIGURE=VALUE",
        help="What a piece shall be like: key=G, mode=minor, top=C4..G5, notes_per_bar=8..12, "
        "ends=tonic, contains=WORD, ...; `lnfgen list --figures` has all. Repeatable.",
    ),
]
# The range is checked where pieces are drawn, so that commands and Python refuse the same numbers.
TEMPERATURE = "Below 1 safer than usual, above 1 wilder."
Temperature = Annotated[float, typer.Option(help=TEMPERATURE)]

EFFORT = "Options for time and quality"
Tries = Annotated[
    int,
    typer.Option(
        min=1,
        max=1000,
        rich_help_panel=EFFORT,
        help="Tries to steer a piece to --want, if no plain one has it; then the nearest is taken. "
        "Each takes up to twice as long as the one before.",
    ),
]
Particles = Annotated[
    int,
    typer.Option(
        min=1,
        max=100_000,
        rich_help_panel=EFFORT,
        help="Candidates for each piece. More fit the kept part better, and take longer.",
    ),
]
Passes = Annotated[
    int | None,
    typer.Option(
        rich_help_panel=EFFORT,
        help="For a model by blocks: draw and score in so many passes, from 4 on. More fit better "
        "and take longer.",
        show_default=str(PASSES),
    ),
]
Device = Annotated[
    str,
    typer.Option(rich_help_panel=EFFORT, help="Where to compute: auto, cpu, cuda or cuda:N."),
]

_READING = "Options for reading music"
StepsPerQuarter = Annotated[
    int,
    typer.Option(
        min=1,
        max=960,
        rich_help_panel=_READING,
        help="Round MIDI files and scores to a grid of this many steps a quarter note.",
    ),
]
Parts = Annotated[
    str,
    typer.Option(
        rich_help_panel=_READING,
        help="Parts of a band: auto, which is those that its files have; how many at most, from 1 "
        "(one piano-roll, without drums) to 4; or which, as drums,bass.",
    ),
]
Tracks = Annotated[
    str,
    typer.Option(
        rich_help_panel=_READING,
        help="Tracks (or a score's parts) to read: all, melody, bass, numbers as `lnfgen info` "
        "lists them, or words of their names or instruments; several with commas. For a part of a "
        "band also melody=3.",
    ),
]

WRITING = "Options for writing music"


def _tempo(bpm: float | None) -> float | None:
    from lnfgen.music.pianoroll import require_tempo

    if bpm is not None:
        require_tempo(bpm)
    return bpm


Tempo = Annotated[
    float | None,
    typer.Option(
        callback=_tempo,
        rich_help_panel=WRITING,
        help="Quarter notes a minute, in place of the piece's own.",
    ),
]
Programs = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=WRITING,
        help="General MIDI instrument, a number from 0 or a name, as 73 or flute. With commas, one "
        "for each voice from the top.",
        show_default="a piano, or that of your own file",
    ),
]
Chords = Annotated[
    bool,
    typer.Option(
        "--chords",
        rich_help_panel=WRITING,
        help="Name the chords in the file: those that it names already, or those of its notes.",
    ),
]
Voices = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=8,
        rich_help_panel=WRITING,
        help="Voices to write apart, as tracks of a .mid or staves of a .musicxml.",
        show_default="as many as programs; a .musicxml of chorales has 4",
    ),
]
InKey = Annotated[
    str | None,
    typer.Option(
        "--key",
        rich_help_panel=WRITING,
        help="Move the nearest way to a tonic: G or Bb. The mode stays.",
    ),
]


class Instruments(TypedDict):
    """What a writer of music takes: General MIDI programs, voices, and the name of drawn tracks."""

    program: list[int] | None
    voices: int | None
    drawn_name: str


def instruments(
    program: str | None, voices: int | None, *, is_band: bool, drawn_name: str = "drawn"
) -> Instruments:
    """Return the programs and the voices for a writer.

    Several programs are for as many voices, or for the parts of a band. `drawn_name` names the
    tracks of drawn notes in a person's own file.
    """
    programs = None if program is None else programs_of(program)
    if programs and len(programs) > 1 and not is_band:
        voices = voices or len(programs)
        if len(programs) > voices:
            found = f"{len(programs)} programs for {counted(voices, 'voice')}"
            raise typer.BadParameter(found, param_hint="--program")
    return {"program": programs, "voices": voices, "drawn_name": drawn_name}


def require_fitting(suffix: str, asked: Instruments, chords: bool = False) -> None:
    """Raise an `LnfgenError` if no file with this suffix has these instruments, or names chords."""
    from lnfgen.formats.read_write import MIDI, NAMING_CHORDS, PAGE, SOUND, require_writer

    require_writer(suffix, asked["voices"])
    with_instruments = (*MIDI, PAGE, SOUND)
    programs = asked["program"] or []
    if len(programs) == 1 and suffix not in with_instruments:
        fitting = " ".join(with_instruments)
        raise LnfgenError(
            f"{suffix!r} names no instrument; leave --program out, or write one of {fitting}"
        )
    if chords and suffix not in NAMING_CHORDS:
        fitting = " ".join(NAMING_CHORDS)
        raise LnfgenError(
            f"{suffix!r} names no chords; leave --chords out, or write one of {fitting}"
        )


def fresh_seed() -> int:
    """Draw a seed, which the command prints on stderr, so that its work can be repeated."""
    return secrets.randbelow(2**31)
