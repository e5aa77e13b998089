"""Figures of harmony: scales, chords, clashes, and how voices move from chord to chord.

Where two steps have equally many keys, the voices are the keys in order, which is the assignment
with the least total move. Steps with different numbers of keys are not compared. Each figure takes
a roll of one part, R = 1, and is nan where it has no value.
"""

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np

from lnfgen.music.averages import mean, share
from lnfgen.music.lines import FIFTH
from lnfgen.music.pianoroll import PianoRoll

CLOSE = 2  # a chord that lasts at least this many times as long as the median chord is a close

_MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
_TRIADS = ((0, 4, 7), (0, 3, 7), (0, 3, 6), (0, 4, 8))
_SEVENTHS = ((0, 4, 7, 10), (0, 4, 7, 11), (0, 3, 7, 10), (0, 3, 6, 10), (0, 3, 6, 9))


def scale_consistency(roll: PianoRoll) -> float:
    """The share of notes in the major or natural minor scale that holds most of them."""
    counts = pitch_classes(roll, roll.struck()).sum(axis=0)
    # A minor scale has the notes of a major one, so the twelve major scales are all.
    scales = (np.arange(12)[:, None] + _MAJOR_SCALE) % 12
    return share(counts[scales].sum(axis=1).max(), counts.sum())


def chord_rate(roll: PianoRoll) -> float:
    """The share of sounding steps within a triad or a seventh chord.

    Their pitch classes are all or some of one of `_TRIADS` and `_SEVENTHS`.
    """
    sounding = pitch_classes(roll, roll.sounding) > 0
    sounding = sounding[sounding.any(axis=1)]
    within, _ = chord_table()
    return mean(within[set_number(sounding)])


def clash_rate(roll: PianoRoll) -> float:
    """The share of sounding steps at which two pitch classes are a semitone apart.

    They may be in any octaves.
    """
    sounding = pitch_classes(roll, roll.sounding) > 0
    clashes = (sounding & np.roll(sounding, 1, axis=1)).any(axis=1)
    return share(clashes.sum(), sounding.any(axis=1).sum())


def bass_chord_rate(bass: PianoRoll, chord: PianoRoll) -> float:
    """The share of the notes of a bass, where chords sound, that have a pitch class of the chord.

    Both rolls have R = 1 and T steps.
    """
    return _fitting_rate(bass, pitch_classes(chord, chord.sounding) > 0)


def bass_root_rate(bass: PianoRoll, chord: PianoRoll) -> float:
    """The share of the notes of a bass, where chords with a root sound, that are the root.

    Both rolls have R = 1 and T steps.
    """
    sounding = pitch_classes(chord, chord.sounding) > 0
    _, roots = chord_table()
    root = roots[set_number(sounding)]
    return _fitting_rate(bass, root[:, None] == np.arange(12))


def _fitting_rate(bass: PianoRoll, fitting: np.ndarray) -> float:
    """The share of the notes whose pitch class fits, bool [T, 12], where any would fit."""
    notes = pitch_classes(bass, bass.struck())
    return share(notes[fitting].sum(), notes[fitting.any(axis=1)].sum())


def close_distance(roll: PianoRoll) -> float:
    """The mean distance in quarters from the start of a close to that of the next.

    It is nan with fewer than two closes.
    """
    starts, lengths = chords(roll.sounding[:, 0], roll.struck()[:, 0])
    usual = np.median(lengths) if len(lengths) else math.nan
    closes = starts[lengths >= CLOSE * usual]
    return mean(np.diff(closes)) / roll.steps_per_quarter


def voice_move(roll: PianoRoll) -> float:
    """The mean move of a voice at a chord change, in semitones.

    It is the mean over the changes of the mean over the voices.
    """
    means = []
    for before, after in _chord_changes(roll):
        means.append(np.abs(after - before).mean(axis=1))
    return float(np.concatenate(means).mean()) if means else math.nan


def parallel_rate(roll: PianoRoll) -> float:
    """Pairs of voices in parallel fifths or octaves, for each chord change.

    Both voices move in the same direction, and both before and after they are a perfect fifth
    apart, or both before and after whole octaves; further octaves between them do not count.
    """
    parallels = 0
    changes = 0
    for before, after in _chord_changes(roll):
        changes += len(before)
        low, high = np.triu_indices(before.shape[1], 1)  # each pair of voices
        intervals = (before[:, high] - before[:, low]) % 12
        same = intervals == (after[:, high] - after[:, low]) % 12
        directions = np.sign(after - before)
        together = (directions[:, low] != 0) & (directions[:, low] == directions[:, high])
        perfect = (intervals == 0) | (intervals == FIFTH)
        parallels += int((same & together & perfect).sum())
    return share(parallels, changes)


def chords(sounding: np.ndarray, struck: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first step of each chord and how many steps it lasts, int [N] each, of bool [T, P].

    A chord lasts as long as no key starts or stops. A silence is no chord.
    """
    changed = (sounding[1:] != sounding[:-1]) | struck[1:]
    starts = np.append(0, np.flatnonzero(changed.any(axis=1)) + 1)
    lengths = np.diff(starts, append=len(sounding))
    is_chord = sounding[starts].any(axis=1)
    return starts[is_chord], lengths[is_chord]


def _chord_changes(roll: PianoRoll) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The keys before and after each chord change, for each number of keys that occurs.

    They are int [changes, keys] twice. A chord changes where the next step has equally many keys
    but not the same ones.
    """
    before = roll.sounding[:-1, 0]
    after = roll.sounding[1:, 0]
    counts = before.sum(axis=1)
    changed = (before != after).any(axis=1) & (counts == after.sum(axis=1))
    for number in np.unique(counts[changed]).tolist():
        steps = changed & (counts == number)
        _, keys_before = np.nonzero(before[steps])
        _, keys_after = np.nonzero(after[steps])
        yield keys_before.reshape(-1, number), keys_after.reshape(-1, number)


def pitch_classes(roll: PianoRoll, cells: np.ndarray) -> np.ndarray:
    """int64 [T, 12]: how many of the cells, bool [T, 1, P], have each pitch class, C first."""
    below = roll.lowest_pitch % 12  # keys from C up to the first column
    octaves = -(-(below + roll.num_pitches) // 12)
    padded = np.zeros((len(cells), octaves * 12), np.int64)
    padded[:, below : below + roll.num_pitches] = cells[:, 0]
    return padded.reshape(len(cells), octaves, 12).sum(axis=1)


def set_number(classes: np.ndarray) -> np.ndarray:
    """The numbers, int [...], of sets of pitch classes, bool [..., 12]: bit c is class c."""
    numbers: np.ndarray = classes @ (1 << np.arange(12))
    return numbers


def set_above(root: int, intervals: Iterable[int]) -> int:
    """The number of the set of the pitch classes that are so many semitones above a root."""
    return sum(1 << (root + interval) % 12 for interval in intervals)


@lru_cache(maxsize=1)
def chord_table() -> tuple[np.ndarray, np.ndarray]:
    """For each set of pitch classes whether a triad or a seventh chord holds it, and its root.

    They are bool and int [4096]; `set_number` numbers the sets. The root is that of the first such
    chord whose root is in the set; -1 if there is none.
    """
    sets = np.arange(1 << 12)
    within = np.zeros(len(sets), np.bool_)
    roots = np.full(len(sets), -1)
    for chord in (*_TRIADS, *_SEVENTHS):
        for root in range(12):
            notes = set_above(root, chord)
            is_held = (sets & ~notes) == 0
            has_root = (sets >> root & 1) > 0
            within |= is_held
            roots[is_held & has_root & (roots < 0)] = root
    return within, roots
