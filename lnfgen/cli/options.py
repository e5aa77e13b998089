"""Options that several commands share, so that each has one name and one help text."""

import secrets
from pathlib import Path
from typing import Annotated, Any

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
    """Refuse seeds that torch's generators do not take. Typer's range would fill the screen of
    --help with 2^63."""
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
A_RUN = "Folder of a run, as `lnfgen train` prints it, or a model of `lnfgen list --models`."
USUAL_RUN = "the newest run in runs/, or else the model chorales"
Run = Annotated[Path | None, typer.Argument(help=A_RUN, show_default=USUAL_RUN)]
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
        help="What a piece shall be like: key=G, mode=minor, top=C4..G5, notes_per_bar=8..12, ends=cadence, "
        "contains=WORD, ...; `lnfgen list --figures` has all. Repeatable.",
    ),
]
Seconds = Annotated[
    float, typer.Option(min=0, help="Time for --want; after it the nearest pieces are taken.")
]
Temperature = Annotated[float, typer.Option(help="Below 1 safer, above 1 wilder.")]
Passes = Annotated[
    int | None,
    typer.Option(
        help="For a model by blocks: draw and score in so many passes, from 4 on. More fit better and take longer.",
        show_default=str(PASSES),
    ),
]
Device = Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda or cuda:N.")]

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
        help="Parts of a band: how many at most, from 1 (one piano-roll, without drums) to 4, or which, as drums,bass.",
    ),
]
Tracks = Annotated[
    str,
    typer.Option(
        rich_help_panel=_READING,
        help="Tracks (or a score's parts) to read: all, melody, bass, numbers as `lnfgen info` lists them, or words of "
        "their names or instruments; several with commas. For a part of a band also melody=3.",
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
        help="General MIDI instrument, a number from 0 or a name, as 73 or flute. With commas, one for each voice from "
        "the top.",
        show_default="a piano, or that of your own file",
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


def played(program: str | None, voices: int | None, *, is_band: bool) -> dict[str, Any]:
    """Return the programs and the voices for a writer; several programs are as many voices, or
    parts of a band."""
    programs = None if program is None else programs_of(program)
    if programs and len(programs) > 1 and not is_band:
        voices = voices or len(programs)
        if len(programs) > voices:
            found = f"{len(programs)} programs for {counted(voices, 'voice')}"
            raise typer.BadParameter(found, param_hint="--program")
    return {"program": programs, "voices": voices}


def require_fitting(suffix: str, played: dict[str, Any]) -> None:
    """Raise an `LnfgenError` if a file with this suffix cannot be written, or not with what
    `played` gives."""
    from lnfgen.formats.read_write import MIDI, PAGE, SOUND, require_writer

    require_writer(suffix, played["voices"])
    named = (*MIDI, PAGE, SOUND)
    if len(played["program"] or ()) == 1 and suffix not in named:
        raise LnfgenError(
            f"{suffix!r} names no instrument; leave --program out, or write one of {' '.join(named)}"
        )


def fresh_seed() -> int:
    """Draw a seed, which the command prints on stderr, so that its work can be repeated."""
    return secrets.randbelow(2**31)
