"""How the notes of a file lie in time beside its beats: all late, or swung."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

EVEN = Fraction(1, 2)
FEWEST = 16  # notes that show how a file is played

# The grids whose notes may all be late together, in steps per quarter: that of the model, and one
# that has triplets and swing too.
_FINE = 12
# So much of a quarter may two notes differ that are on one place,
_NEAR = 0.01
# and so many of all notes are on the places of a grid.
_MOST = 0.9
# Notes on one place of the quarter are the beats if they are so many times as many as on another.
_CLEARLY = 1.5
# Where the second eighth of a swung quarter may begin: a dotted one, 0.75, is written so.
_SWUNG = (0.56, 0.72)
_NEAR_SWING = 0.03
# Of the notes between beats that share is there, and hardly one is where even eighths or the second
# of three triplets begin.
_MOST_SWUNG = 0.7
_FEW_EVEN = 0.1


@dataclass(frozen=True)
class Timing:
    """Where a file plays what is written on its beats. Times are in quarters.

    Attributes:
        late: how far all notes come after their places, below 0 if before.
        swing: where the second eighth of a quarter begins; at the half it is even.
    """

    late: Fraction = Fraction(0)
    swing: Fraction = EVEN

    @property
    def is_plain(self) -> bool:
        return not self.late and self.swing == EVEN

    def written(self, played: Fraction) -> Fraction:
        """The time that is written for a time of the file."""
        beat, place = divmod(played - self.late, 1)
        if place < self.swing:
            return beat + place / (2 * self.swing)
        return beat + EVEN + (place - self.swing) / (2 * (1 - self.swing))

    def played(self, written: Fraction) -> Fraction:
        """The time of the file for a time that is written, not before its start."""
        beat, place = divmod(written, 1)
        if place < EVEN:
            at = 2 * self.swing * place
        else:
            at = self.swing + 2 * (1 - self.swing) * (place - EVEN)
        return max(beat + at + self.late, Fraction(0))


PLAIN = Timing()


def find_timing(
    starts: Sequence[int], quarter: int, steps_per_quarter: int, *, may_swing: bool
) -> Timing:
    """The timing of notes that start at these ticks, of which a quarter has so many.

    Few notes, and those that a person plays freely, have the plain one. Eighths swing only where
    quarters are the beats.
    """
    if len(starts) < FEWEST:
        return PLAIN
    late = _lateness(starts, quarter, steps_per_quarter)
    swing = EVEN
    if may_swing:
        swing = _swing(starts, late, quarter)
    return Timing(Fraction(late, quarter), swing)


def _lateness(starts: Sequence[int], quarter: int, steps_per_quarter: int) -> int:
    """By how many ticks all notes are late, less than a quarter of a quarter; 0 if they are not."""
    places = Counter(start % quarter for start in starts)
    for grid in (steps_per_quarter, _FINE):
        cell = Fraction(quarter, grid)
        if _share_on(places, 0, cell, quarter) >= _MOST:
            return 0
        commonest = max(places, key=lambda place: _share_on(places, place, cell, quarter))
        if _share_on(places, commonest, cell, quarter) >= _MOST:
            return _beat_among(places, commonest, cell, quarter)
    return 0


def _share_on(places: Counter[int], first: int, cell: Fraction, quarter: int) -> float:
    """The share of the notes near the places of a grid that begins at `first`."""
    near = max(1.0, _NEAR * quarter)
    ticks = np.fromiter(places, float)
    counts = np.fromiter(places.values(), float)
    beside = (ticks - first) / float(cell)
    away = np.abs(beside - np.round(beside)) * float(cell)
    return float(counts[away <= near].sum() / counts.sum())


def _beat_among(places: Counter[int], first: int, cell: Fraction, quarter: int) -> int:
    """The place of the beat, among those of a grid: the nearest to 0 or, if clearly, the fullest.

    A place counts from the beat of the file on, and is negative before it.
    """
    counts: dict[int, int] = {}
    num_cells = quarter / cell
    for number in range(math.ceil(num_cells)):
        place = round(first + number * cell) % quarter
        if place > quarter // 2:
            place -= quarter
        if 4 * abs(place) < quarter:
            counts[place] = places[place % quarter]
    nearest = min(counts, key=abs)
    fullest = max(counts, key=lambda place: counts[place])
    return fullest if counts[fullest] > _CLEARLY * counts[nearest] else nearest


def _swing(starts: Sequence[int], late: int, quarter: int) -> Fraction:
    """Where the second eighth of a quarter begins; the half if it does not swing."""
    places = (np.array(starts) - late) % quarter / quarter
    between = places[(places > _NEAR_SWING) & (places < 1 - _NEAR_SWING)]
    low, high = _SWUNG
    second = between[(between > low - _NEAR_SWING) & (between < high + _NEAR_SWING)]
    if len(second) < FEWEST // 2:
        return EVEN
    swing = float(np.median(second))
    if not low <= swing <= high:
        return EVEN

    def share(place: float) -> float:
        return float((np.abs(between - place) <= _NEAR_SWING).mean())

    others = max(share(0.5), share(1 / 3))
    if share(swing) < _MOST_SWUNG or others > _FEW_EVEN:
        return EVEN
    return Fraction(round(swing * quarter), quarter)
