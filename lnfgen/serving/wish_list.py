"""The wishes that a model of music takes, by their names, as a page offers them."""

from dataclasses import asdict, dataclass
from typing import Any

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.inference.wish_measures import ENDS
from lnfgen.inference.wish_reading import OTHERS, numbers
from lnfgen.music.tonality import MODES
from lnfgen.runs.folder import RunFolder
from lnfgen.serving.asked import NOT_BY_NAME
from lnfgen.serving.wish_ranges import Ranges

TONICS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_PITCH = "pitch"  # the unit of a MIDI number, which a page shows as C4
_FIRST = ("notes_per_bar", "polyphony", "note_length", "off_quarter_rate", "repeat_rate", "leaps")
_USUAL_UNIT_OF_STEP = 1.0


@dataclass(frozen=True)
class OfferedWish:
    """A wish that a person can have.

    Attributes:
        name: as `lnfgen list --figures` has it.
        what: what it is, in words.
        low, high: the range that most pieces of the training data have; None if it is not known,
            or there is none.
        unit: `pitch` for MIDI numbers, else empty.
        step: 1 if its values are whole; None otherwise.
        choices: the values that it may have; None for numbers.
    """

    name: str
    what: str
    low: float | None = None
    high: float | None = None
    unit: str = ""
    step: int | None = None
    choices: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def offered_wishes(run: RunFolder, ranges: Ranges) -> list[OfferedWish]:
    """The wishes for pieces of a run: choices first, then the usual numbers, then all others."""
    encoding = run.encoding
    assert isinstance(encoding, MusicEncoding)
    wishes = _choices(run, encoding)
    figures = numbers("music", encoding.roles)
    others = [name for name in figures if name not in _FIRST]
    for name in (*_FIRST, *others):
        figure = figures[name]
        low, high = ranges.get(name, (None, None))
        is_pitch = name.endswith("_pitch")
        is_count = figure.unit == _USUAL_UNIT_OF_STEP and not is_pitch
        wishes.append(
            OfferedWish(
                name,
                figure.label,
                low,
                high,
                unit=_PITCH if is_pitch else "",
                step=1 if is_pitch or is_count else None,
            )
        )
    return wishes


def _choices(run: RunFolder, encoding: MusicEncoding) -> list[OfferedWish]:
    """The wishes that are no figures of a piece."""
    keys = [f"{tonic}{mode}" for mode in ("", "m") for tonic in TONICS]
    choices = {
        "key": tuple(keys),
        "mode": tuple(MODES),
        "time_signature": _time_signatures(run, encoding),
        "ends": tuple(ENDS),
    }
    lowest = float(encoding.pitch_range[0])
    highest = float(encoding.pitch_range[-1])
    wishes = []
    for name, what in OTHERS["music"].items():
        if name in NOT_BY_NAME:
            continue
        if name in choices:
            wishes.append(OfferedWish(name, what, choices=choices[name]))
        else:  # all pitches of a line
            wishes.append(OfferedWish(name, what, lowest, highest, unit=_PITCH, step=1))
    return wishes


def _time_signatures(run: RunFolder, encoding: MusicEncoding) -> tuple[str, ...]:
    """Those in which the model can draw a new song, the commonest first."""
    usual = "{}/{}".format(*encoding.time_signature)
    if not run.config.model.reads_time_signature:
        return (usual,)
    words = str(run.dataset["splits"]["train"].get("time_signatures", usual)).split()
    return tuple(sorted(set(words), key=lambda word: (-words.count(word), word)))
