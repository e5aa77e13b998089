"""Figures of time: how long notes are, where in a bar they start, and which bars come again.

Each takes a roll of one part, R = 1, and counts time steps. It is nan where it has no value.
"""

import math
from collections.abc import Sequence

import numpy as np

from lnfgen.music.averages import mean, share, share_of_repeated
from lnfgen.music.pianoroll import PianoRoll, pitched_parts
from lnfgen.music.time_signature import bar_and_beats

FEWEST_NOTES = 4
"""A share of fewer notes says little, and has no value."""


def longest_silence(roll: PianoRoll) -> float:
    """The longest silence between two sounding steps, in quarters; 0 if there is none."""
    steps = np.flatnonzero(roll.sounding.any(axis=(1, 2)))
    if not len(steps):
        return math.nan
    longest = np.diff(steps).max(initial=1) - 1
    return float(longest) / roll.steps_per_quarter


def note_length(roll: PianoRoll) -> float:
    """The mean length of a note in quarters."""
    return share(roll.sounding.sum(), roll.num_notes) / roll.steps_per_quarter


def longest_note(roll: PianoRoll) -> float:
    """The length of the longest note in quarters."""
    longest = max((length for _, length, _ in roll.notes()), default=math.nan)
    return longest / roll.steps_per_quarter


def notes_per_bar(roll: PianoRoll) -> float:
    """The number of notes of all pitched parts, divided by the number of bars.

    A part of a bar counts as that part.
    """
    roll = pitched_parts(roll)
    return float(roll.num_notes) * roll.steps_per_bar / roll.num_steps


def off_quarter_rate(roll: PianoRoll) -> float:
    """The share of notes that do not start on a quarter, counted from the start of bar 1."""
    starts = starts_at(roll)
    grid = roll.steps_per_quarter
    on_quarters = starts[roll.upbeat % grid :: grid]
    return 1.0 - share(on_quarters.sum(), starts.sum())


def downbeat_rate(roll: PianoRoll) -> float:
    """The share of notes that start on a bar line."""
    starts = starts_at(roll)
    lines = [step for number, step in roll.bars().items() if number > 0]
    return share(starts[lines].sum(), starts.sum())


def beat_rate(roll: PianoRoll, pitches: Sequence[int], beats: slice) -> float:
    """The share of the notes on some MIDI pitches that start on some of the beats of a bar.

    It is nan with fewer than `FEWEST_NOTES` such notes.
    """
    starts = _starts_on(roll, pitches)
    if starts.sum() < FEWEST_NOTES:
        return math.nan
    return share(starts[_are_beats(roll, beats)].sum(), starts.sum())


def beats_with_notes(roll: PianoRoll, pitches: Sequence[int], beats: slice) -> float:
    """The share of some of the beats of all bars on which a note on some MIDI pitches starts.

    It is nan if the roll is silent.
    """
    if not roll.sounding.any():
        return math.nan
    has_start = _starts_on(roll, pitches) > 0
    return mean(has_start[_are_beats(roll, beats)])


def _starts_on(roll: PianoRoll, pitches: Sequence[int]) -> np.ndarray:
    """int [T]: how many notes on these MIDI pitches start at each step."""
    wanted = np.isin(np.arange(roll.num_pitches) + roll.lowest_pitch, pitches)
    starts: np.ndarray = roll.struck()[:, 0, wanted].sum(axis=1)
    return starts


def _are_beats(roll: PianoRoll, beats: slice) -> np.ndarray:
    """bool [T]: the steps on which these beats of a bar begin."""
    bar, count, _ = bar_and_beats(roll.time_signature, roll.steps_per_quarter)
    steps = np.arange(roll.num_steps) - roll.upbeat
    beat, after = np.divmod(steps * count, bar)
    are_beats: np.ndarray = (after == 0) & np.isin(beat % count, np.arange(count)[beats])
    return are_beats


def groove_consistency(roll: PianoRoll) -> float:
    """How much the places of onsets agree in neighbouring whole bars.

    It is 1 minus the share of places at which exactly one of two neighbouring bars has an onset. It
    is nan if fewer than half of the whole bars have an onset, as silent bars agree in all places.
    """
    bars = whole_bars(roll, starts_at(roll) > 0)
    if 2 * bars.any(axis=1).sum() < len(bars):
        return math.nan
    return 1.0 - mean(bars[1:] != bars[:-1])


def silent_bar_rate(roll: PianoRoll) -> float:
    """The share of whole bars in which nothing sounds."""
    bars = whole_bars(roll, roll.sounding[:, 0])
    return 1.0 - share(bars.any(axis=1).sum(), len(bars))


def repeat_rate(roll: PianoRoll) -> float:
    """The share of bars with notes that repeat an earlier bar of the roll note for note.

    Only whole bars count.
    """
    cells = np.concatenate([roll.sounding[:, 0], roll.struck()[:, 0]], axis=1)
    return share_of_repeated(whole_bars(roll, cells))


def starts_at(roll: PianoRoll) -> np.ndarray:
    """int [T]: how many notes start at each step."""
    starts: np.ndarray = roll.struck().sum(axis=(1, 2))
    return starts


def whole_bars(roll: PianoRoll, steps: np.ndarray) -> np.ndarray:
    """The values of each step, [T] or [T, values], after the upbeat: a row for each whole bar.

    There are no rows if a bar is no whole number of steps, because equal bars then have different
    places on the grid.
    """
    size = roll.steps_per_bar
    count = (roll.num_steps - roll.upbeat) // size if roll.has_whole_bars else 0
    inside = steps[roll.upbeat : roll.upbeat + count * size]
    return inside.reshape(count, size * steps[0].size)
