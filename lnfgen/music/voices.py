"""Figures of how lines and voices move from step to step.

A piano-roll does not say which key belongs to which voice. The highest and the lowest key of each sounding step are
taken as lines. Where two steps have equally many keys, the voices are the keys in order, which is the assignment with
the least total move. Steps with different numbers of keys are not compared.

Sources: the mean interval of a line is the average pitch interval of mgeval (see `lnfgen.music.figures`), without
repeated notes. Parallels are counted in the grader of chorales of A. Fang, A. Liu, P. Seetharaman and B. Pardo, "Bach
or Mock? A Grading Function for Chorales in the Style of J.S. Bach", ML4MD workshop at ICML 2020, arXiv 2006.13329.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from lnfgen.music.pianoroll import PianoRoll

FIFTH = 7
"""Semitones of a perfect fifth. A line that moves further leaps."""

MOTIF = 4
"""Notes of a stretch of melody that may come again."""


def mean_interval(roll: PianoRoll, *, top: bool) -> float:
    """The mean interval in semitones between different keys that follow each other in the highest or lowest line."""
    moves = _moves(roll, top)
    return float(moves.mean()) if len(moves) else math.nan


def leap_rate(roll: PianoRoll, *, top: bool) -> float:
    """The share of the moves of the highest or lowest line that are over a fifth."""
    moves = _moves(roll, top)
    return float((moves > FIFTH).mean()) if len(moves) else math.nan


def melody_repeat_rate(roll: PianoRoll) -> float:
    """The share of the stretches of four notes of the highest line that came before in the piece.

    Pitches and the times from note to note are the same. What is below them may differ.
    """
    line = roll.edge_keys(True)
    steps = np.flatnonzero(line >= 0)
    begins = roll.struck()[steps, line[steps]] | (np.diff(line, prepend=-1)[steps] != 0)
    steps = steps[begins]
    if len(steps) < MOTIF:
        return math.nan
    pitches = sliding_window_view(line[steps], MOTIF)
    times = sliding_window_view(np.diff(steps), MOTIF - 1)
    return 1 - len(np.unique(np.concatenate([pitches, times], axis=1), axis=0)) / len(pitches)


def voice_move(roll: PianoRoll) -> float:
    """The mean move of a voice in semitones, first over the voices of a chord change and then over the changes."""
    means = [np.abs(after - before).mean(axis=1) for before, after in _chord_changes(roll)]
    return float(np.concatenate(means).mean()) if means else math.nan


def parallel_rate(roll: PianoRoll) -> float:
    """Pairs of voices in parallel fifths or octaves, for each chord change.

    Both voices move in the same direction, and both before and after they are a perfect fifth apart, or both before and
    after whole octaves; further octaves between them do not count.
    """
    parallels = changes = 0
    for before, after in _chord_changes(roll):
        changes += len(before)
        low, high = np.triu_indices(before.shape[1], 1)  # each pair of voices
        intervals = (before[:, high] - before[:, low]) % 12
        same = intervals == (after[:, high] - after[:, low]) % 12
        directions = np.sign(after - before)
        together = (directions[:, low] != 0) & (directions[:, low] == directions[:, high])
        parallels += int((same & together & ((intervals == 0) | (intervals == FIFTH))).sum())
    return parallels / changes if changes else math.nan


def _moves(roll: PianoRoll, top: bool) -> np.ndarray:
    """The semitones of each move of a line to another key. Silence between two keys does not count."""
    line = roll.edge_keys(top)
    moves = np.abs(np.diff(line[line >= 0]))
    return moves[moves > 0]


def _chord_changes(roll: PianoRoll) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The keys before and after each chord change, int [changes, keys] twice, for each number of keys that occurs.

    It is a change where the next step has other keys, and as many.
    """
    before, after = roll.sounding[:-1], roll.sounding[1:]
    counts = before.sum(axis=1)
    changed = (before != after).any(axis=1) & (counts == after.sum(axis=1))
    for number in np.unique(counts[changed]).tolist():
        rows = changed & (counts == number)
        yield tuple(np.nonzero(part[rows])[1].reshape(-1, number) for part in (before, after))  # type: ignore[misc]
