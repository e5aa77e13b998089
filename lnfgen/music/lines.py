"""Figures of pitches and lines: how many keys sound, where they are, and how melodies move.

A piano-roll does not assign its keys to voices. So the highest and the lowest key of each sounding
step are taken as lines. Each figure takes a roll of one part, R = 1, and is nan where it has no
value.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from lnfgen.music.averages import mean, share_of_repeated
from lnfgen.music.pianoroll import PianoRoll, pitched_parts
from lnfgen.music.rhythm import whole_bars

FIFTH = 7  # semitones of a perfect fifth; a line that moves further leaps
MOTIF = 4  # the notes of a stretch of melody that may come again


def exact_polyphony_rate(roll: PianoRoll, num_keys: int) -> float:
    """The share of all steps at which exactly so many keys sound."""
    return mean(keys_at(roll) == num_keys)


def polyphony(roll: PianoRoll) -> float:
    """The mean number of keys of the steps at which some sound."""
    keys = keys_at(roll)
    return mean(keys[keys > 0])


def different_keys(roll: PianoRoll) -> float:
    """How many different keys sound (the pitch count of mgeval).

    A part that repeats one chord has few.
    """
    number = int(roll.sounding.any(axis=(0, 1)).sum())
    return float(number) if number else math.nan


def median_of_notes(roll: PianoRoll) -> float:
    """The median of the pitches of all notes, as a MIDI number."""
    _, _, keys = np.nonzero(roll.struck())
    return _median_pitch(roll, keys)


def median_pitch(roll: PianoRoll, top: bool) -> float:
    """The median pitch of the highest line, or of the lowest one, as a MIDI number.

    It is that over the sounding steps.
    """
    return _median_pitch(roll, line_keys(roll, top))


def _median_pitch(roll: PianoRoll, keys: np.ndarray) -> float:
    return float(np.median(keys)) + roll.lowest_pitch if len(keys) else math.nan


def mean_move(roll: PianoRoll, top: bool) -> float:
    """The mean move of an outer line to another key, in semitones."""
    return mean(line_moves(roll, top))


def leap_rate(roll: PianoRoll, top: bool) -> float:
    """The share of the moves of an outer line that go over a fifth."""
    return mean(line_moves(roll, top) > FIFTH)


def leaps(roll: PianoRoll) -> int:
    """How often the highest line of all pitched parts moves over a fifth."""
    return int((line_moves(pitched_parts(roll), True) > FIFTH).sum())


def melody_bar_rate(roll: PianoRoll) -> float:
    """The share of whole bars whose highest line, pitches and starts, is that of an earlier bar.

    Bars without notes do not count.
    """
    line, begins = melody(roll)
    # a silent step is 0, 0
    values = np.stack([line + 1, begins], axis=1)
    return share_of_repeated(whole_bars(roll, values))


def melody_repeat_rate(roll: PianoRoll) -> float:
    """The share of the stretches of `MOTIF` notes of the highest line that came before.

    They have the same pitches and times.
    """
    line, begins = melody(roll)
    steps = np.flatnonzero(begins)
    if len(steps) < MOTIF:
        return math.nan
    pitches = sliding_window_view(line[steps], MOTIF)
    times = sliding_window_view(np.diff(steps), MOTIF - 1)
    different = np.unique(np.concatenate([pitches, times], axis=1), axis=0)
    return 1 - len(different) / len(pitches)


def keys_at(roll: PianoRoll) -> np.ndarray:
    """int [T]: how many keys sound at each step."""
    keys: np.ndarray = roll.sounding.sum(axis=(1, 2))
    return keys


def line_keys(roll: PianoRoll, top: bool) -> np.ndarray:
    """int [N]: the columns of the highest line, or of the lowest one, at the N sounding steps."""
    line = roll.edge_keys(top)[:, 0]
    return line[line >= 0]


def line_moves(roll: PianoRoll, top: bool) -> np.ndarray:
    """The semitones of each move of an outer line to another key.

    Silence between two keys does not count.
    """
    moves = np.abs(np.diff(line_keys(roll, top)))
    return moves[moves > 0]


def melody(roll: PianoRoll) -> tuple[np.ndarray, np.ndarray]:
    """The highest line: its column at each step, int [T], and where its notes start, bool [T].

    The column is -1 in silence.
    """
    line = roll.edge_keys(True)[:, 0]
    struck = roll.struck()[np.arange(roll.num_steps), 0, line]
    moves = np.diff(line, prepend=-1) != 0
    return line, (line >= 0) & (struck | moves)
