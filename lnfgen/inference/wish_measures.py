"""How far a piece is from a wish that is no number: its key, its lines, its end, its words.

Each function takes what is wanted and a piece. It gives what the piece has, None for nothing, and
the distance, which is 0 if the wish holds and nan if the piece has nothing to measure.
"""

import math
import re
from typing import Any

import numpy as np

from lnfgen.conventions import TimeSignature
from lnfgen.music.endings import ends_at_home, ends_on_cadence
from lnfgen.music.home import home_likeness
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.time_signature import is_time_signature
from lnfgen.music.tonality import key_of, most_like, pitch_name

Measured = tuple[Any, float]

FAR = 100.0  # the distance of a whole piece whose figure has no value
KEY_UNIT = 0.25  # the unit of the correlations that find a key
ENDS = {"cadence": ends_on_cadence, "tonic": ends_at_home}  # how a piece can close


def in_key(wanted: np.ndarray, roll: PianoRoll, *, closes: bool = True) -> Measured:
    """The home of a roll, and by how much it fits better than the best wanted one.

    It is the key as `find_home` finds it and as models read it, so that the close counts; of a roll
    that is no whole piece yet, it does not. The wanted keys are True, bool [2, 12].
    """
    likeness = home_likeness(roll, closes=closes)
    key = most_like(likeness)
    distance = float(likeness.max() - likeness[wanted].max()) / KEY_UNIT
    if key is None:
        return None, distance
    return str(key), distance


def line_within(top: bool, low: float, high: float, roll: PianoRoll) -> Measured:
    """The lowest and the highest pitch of an outer line, and how many semitones they are outside.

    The line is the highest one if `top`, and otherwise the lowest one. `low` and `high` are MIDI
    pitches.
    """
    line = roll.merged.edge_keys(top)
    pitches = line[line >= 0] + roll.lowest_pitch
    if not len(pitches):
        return None, math.nan
    first = int(pitches.min())
    last = int(pitches.max())
    distance = max(low - first, 0.0) + max(last - high, 0.0)
    return f"{pitch_name(first)}..{pitch_name(last)}", distance


def ends_as(wanted: str, roll: PianoRoll) -> Measured:
    """How a roll closes, as one of `ENDS`, and 1 if it is not as wanted."""
    if ENDS[wanted](roll):
        return wanted, 0.0
    found = [name for name, closes in ENDS.items() if closes(roll)]
    return next(iter(found), None), 1.0


def in_time_signature(wanted: TimeSignature, roll: PianoRoll) -> Measured:
    """The time signature of a roll, and `FAR` if it is another one than is wanted."""
    beats, unit = roll.time_signature
    return f"{beats}/{unit}", 0.0 if roll.time_signature == wanted else FAR


def contains(word: str, text: str) -> Measured:
    """If a text has the word, and `FAR` if it does not."""
    is_there = word in text
    return is_there, 0.0 if is_there else FAR


def in_abc_key(wanted: tuple[int, str | None], text: str) -> Measured:
    """The field K of an ABC tune, once its line is written, and `FAR` if it is another key.

    If no mode is wanted, either is right.
    """
    value = _abc_field("K", text)
    if value is None:
        return None, math.nan
    try:
        tonic, mode = key_of(value)
    except ValueError:
        return value, FAR
    wanted_tonic, wanted_mode = wanted
    agrees = tonic == wanted_tonic and wanted_mode in (None, mode or "major")
    return value, 0.0 if agrees else FAR


def in_abc_time_signature(wanted: TimeSignature, text: str) -> Measured:
    """The field M of an ABC tune, once its line is written, and `FAR` if it is another one."""
    value = _abc_field("M", text)
    if value is None:
        return None, math.nan
    try:
        agrees = time_signature_of(value) == wanted
    except ValueError:
        return value, FAR
    return value, 0.0 if agrees else FAR


def _abc_field(name: str, text: str) -> str | None:
    found = re.search(rf"^{name}: *(.*?) *\n", text, re.MULTILINE)
    if found is None:
        return None
    return found[1]


def time_signature_of(value: Any) -> TimeSignature:
    """Read a time signature, such as "3/4" or (3, 4); a `ValueError` if it is none."""
    parts = value.split("/") if isinstance(value, str) else [str(part) for part in value]
    if len(parts) == 2 and all(part.isdecimal() and len(part) < 4 for part in parts):
        time_signature = (int(parts[0]), int(parts[1]))
        if is_time_signature(time_signature):
            return time_signature
    raise ValueError("a time signature, such as 3/4 or 6/8")
