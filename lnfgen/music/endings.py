"""How a piece closes: the chord, the key and the cadence of its end.

Each function takes a whole piece with its end, of which drums do not count.
"""

import math

import numpy as np

from lnfgen.music.figures import Figure
from lnfgen.music.harmony import chords
from lnfgen.music.home import find_home, last_bass
from lnfgen.music.pianoroll import PianoRoll, pitched_parts
from lnfgen.music.tonality import find_key

BARS_OF_KEY = 4
"""The bars at the start and at the end of a piece whose keys are compared."""

TRIADS = ({0, 4, 7}, {0, 3, 7})
"""The major and the minor triad, as semitones above the root."""

_DOMINANT = {0, 4, 7, 10}
_LEADING_NOTE = 4  # of a dominant, above its root
_FIFTH = 7


def ends_on_triad(piece: PianoRoll) -> bool:
    """True if the last chord of all pitched parts closes the piece.

    It then is a major or a minor triad in root position, held for a quarter or more.
    """
    roll = pitched_parts(piece)
    sounding = roll.sounding[:, 0]
    starts, lengths = chords(sounding, roll.struck()[:, 0])
    if not len(starts) or lengths[-1] < roll.steps_per_quarter:
        return False
    _, intervals = _bass_and_intervals(sounding[starts[-1]])
    return intervals in TRIADS


def ends_at_home(piece: PianoRoll) -> bool:
    """True if the last bass note is the tonic of the key that fits the whole piece.

    The close itself does not decide on that key.
    """
    roll = pitched_parts(piece)
    key = find_home(roll, closes=False)
    return key is not None and last_bass(roll) % 12 == key.tonic


def ends_on_cadence(piece: PianoRoll) -> bool:
    """True if the piece closes from the dominant to the tonic, both in root position.

    The last chord is a triad on the tonic of the home. Before its bass, the bass has the dominant,
    and the chord above that is a major triad or a seventh chord with its third.
    """
    roll = pitched_parts(piece)
    home = find_home(roll)
    if home is None:
        return False
    sounding = roll.sounding[:, 0]
    starts, _ = chords(sounding, roll.struck()[:, 0])
    last_key, intervals = _bass_and_intervals(sounding[starts[-1]])
    is_tonic = (last_key + roll.lowest_pitch) % 12 == home.tonic
    if not is_tonic or intervals not in TRIADS:
        return False
    for start in reversed(starts[:-1].tolist()):
        key, intervals = _bass_and_intervals(sounding[start])
        # The last bass may lie under a suspension first, which resolves to the last chord.
        if key == last_key:
            continue
        is_dominant = (key - last_key) % 12 == _FIFTH
        return is_dominant and _LEADING_NOTE in intervals and intervals <= _DOMINANT
    return False


def keeps_key(piece: PianoRoll) -> float:
    """1 if the first and the last `BARS_OF_KEY` bars are in one key, and 0 if they are not.

    It is nan where the piece has no more bars than these, or the first or last ones are silent.
    """
    roll = pitched_parts(piece)
    bars = list(roll.bars().values())
    if len(bars) <= BARS_OF_KEY:
        return math.nan
    first = find_key(roll.stretch(0, bars[BARS_OF_KEY]))
    last = find_key(roll.stretch(bars[-BARS_OF_KEY], roll.num_steps))
    if first is None or last is None:
        return math.nan
    return float(first == last)


def _bass_and_intervals(sounding: np.ndarray) -> tuple[int, set[int]]:
    """The lowest key of a chord, bool [P], and the pitch classes of all as semitones above it."""
    keys = np.flatnonzero(sounding)
    return int(keys[0]), set(((keys - keys[0]) % 12).tolist())


END_FIGURES = {
    "held_triad": Figure("last chord: a held triad", ends_on_triad, is_share=True),
    "tonic": Figure("last bass note: the tonic", ends_at_home, is_share=True),
    "cadence": Figure("close: dominant to tonic", ends_on_cadence, is_share=True),
    "same_key": Figure("first and last four bars: one key", keeps_key, is_share=True),
}
"""The figures of the end of a piece, by name, which are 0 or 1."""
