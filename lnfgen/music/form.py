"""Figures of form: what sixteen bars of a band do that eight cannot show.

A song that stands still has the same rhythm, chords and registers in each passage as one that goes
somewhere. So these are figures of a long passage: how many keys it uses, in how many bars nothing
new comes, which bars come back after others, and whether parts enter and rest at the lines of
sections. Each takes a roll with all of its parts, and only whole bars count.
"""

import math

import numpy as np

from lnfgen.music import lines, rhythm
from lnfgen.music.averages import mean, share
from lnfgen.music.figures import Figure
from lnfgen.music.parts import are_pitched
from lnfgen.music.pianoroll import PianoRoll, pitched_parts
from lnfgen.music.tracks import DRUMS

LONG_BARS = 16
"""The bars of a passage that these figures are of."""

SECTION_BARS = 4
"""The bars of a section, and the fewest between a bar and its return."""

_LOOK_BACK = 4  # bars before a bar of drums with which it is compared
_FEW_STROKES = 2  # by so many, two bars of drums are nearly equal


def different_keys(roll: PianoRoll) -> float:
    """The number of different keys of all pitched parts together."""
    return lines.different_keys(pitched_parts(roll))


def longest_note(roll: PianoRoll) -> float:
    """The length of the longest note of any pitched part, in quarters."""
    parts = np.flatnonzero(are_pitched(roll.roles)).tolist()
    lengths = [rhythm.longest_note(roll.part(part)) for part in parts]
    known = [length for length in lengths if not math.isnan(length)]
    return max(known, default=math.nan)


def stale_bar_rate(roll: PianoRoll) -> float:
    """The share of bars in which nothing new comes.

    Each note of this bar began in an earlier one too, in the same part, on the same key and at the
    same place of the bar. Silent bars count; the value of silence is nan.
    """
    bars = _bars_of_notes(roll)
    if not bars.any():
        return math.nan
    came_before = np.logical_or.accumulate(bars, axis=0)[:-1]
    is_new = (bars[1:] & ~came_before).any(axis=1)
    return 1.0 - share(int(is_new.sum()) + int(bars[0].any()), len(bars))


def return_rate(roll: PianoRoll) -> float:
    """The share of bars that come back after at least `SECTION_BARS` other bars.

    An earlier bar has the same notes of the pitched parts, and no bar between has them. Silent bars
    do not count.
    """
    pitched = pitched_parts(roll)
    bars = _bars_of_notes(pitched)
    last_place: dict[bytes, int] = {}
    num_sounding = 0
    num_returns = 0
    for place, bar in enumerate(bars):
        if not bar.any():
            continue
        num_sounding += 1
        notes = bar.tobytes()
        if notes in last_place:
            num_returns += place - last_place[notes] > SECTION_BARS
        last_place[notes] = place
    return share(num_returns, num_sounding)


def entry_rate(roll: PianoRoll) -> float:
    """The share of the entries and rests of parts that are at the line of a section.

    A part enters or rests where it plays in one of two neighbouring bars alone. A section has
    `SECTION_BARS` bars. It is nan where all parts play, or rest, throughout.
    """
    plays = _plays_in_bars(roll)
    changes = (plays[1:] != plays[:-1]).sum(axis=1)
    at_lines = changes[SECTION_BARS - 1 :: SECTION_BARS].sum()
    return share(at_lines, changes.sum())


def drum_pattern_rate(roll: PianoRoll) -> float:
    """The share of bars of drums that keep to a pattern.

    They differ from one of the `_LOOK_BACK` bars before by `_FEW_STROKES` strokes or less. Silent
    bars do not count.
    """
    distances = _strokes_from_before(roll)
    if not len(distances):
        return math.nan
    return mean(distances <= _FEW_STROKES)


def slip_rate(roll: PianoRoll) -> float:
    """The share of bars of drums that nearly repeat one before.

    They differ from each of the `_LOOK_BACK` bars before, but from one by `_FEW_STROKES` strokes or
    less: a variation, or a slip.
    """
    distances = _strokes_from_before(roll)
    if not len(distances):
        return math.nan
    return mean((distances > 0) & (distances <= _FEW_STROKES))


def _strokes_from_before(roll: PianoRoll) -> np.ndarray:
    """By how many strokes each sounding bar of drums differs from the most similar one before."""
    if DRUMS not in roll.roles:
        return np.zeros(0, int)
    drums = roll.part(roll.roles.index(DRUMS))
    bars = _bars_of_notes(drums)
    distances = []
    for place in range(1, len(bars)):
        if bars[place].any():
            before = bars[max(0, place - _LOOK_BACK) : place]
            distances.append(int((before != bars[place]).sum(axis=1).min()))
    return np.array(distances, int)


def _bars_of_notes(roll: PianoRoll) -> np.ndarray:
    """bool [bars, N]: where a note of any part begins in each whole bar."""
    struck = roll.struck()
    return rhythm.whole_bars(roll, struck.reshape(len(struck), -1))


def _plays_in_bars(roll: PianoRoll) -> np.ndarray:
    """bool [bars, R]: whether each part sounds in each whole bar."""
    of_parts = []
    for part in range(roll.num_parts):
        sounding = roll.sounding[:, part]
        of_parts.append(rhythm.whole_bars(roll, sounding).any(axis=1))
    return np.stack(of_parts, axis=1)


FORM_FIGURES = {
    "form_different_keys": Figure("different keys", different_keys, 1.0),
    "form_longest_note": Figure("longest note, quarters", longest_note, 1.0),
    "form_stale_bar_rate": Figure("bars in which nothing new comes", stale_bar_rate, is_share=True),
    "form_return_rate": Figure("bars that come back after four", return_rate, is_share=True),
    "form_entry_rate": Figure("entries at every fourth line", entry_rate, is_share=True),
    "form_drum_pattern_rate": Figure(
        "drums: bars near one of the four before", drum_pattern_rate, role=DRUMS, is_share=True
    ),
    "form_slip_rate": Figure(
        "drums: bars a stroke or two off one before", slip_rate, role=DRUMS, is_share=True
    ),
}
"""The figures of form by name, of music in parts."""


def is_long(roll: PianoRoll) -> bool:
    """True of a roll in parts with at least `LONG_BARS` whole bars."""
    num_bars = (roll.num_steps - roll.upbeat) / roll.steps_per_bar
    return bool(roll.parts) and roll.has_whole_bars and num_bars >= LONG_BARS


def long_passage(roll: PianoRoll) -> PianoRoll:
    """The first `LONG_BARS` bars of a roll that `is_long`, with its upbeat."""
    return roll.stretch(0, roll.upbeat + LONG_BARS * int(roll.steps_per_bar))
