"""Lead sheets: a melody with chord symbols, and the chords and the bass that play the symbols.

Chords are in close position around middle C, and the voices move as little as they can from one to
the next. The movement is that of the least voice leading between two chords, in which several
voices may share a note, and none cross: D. Tymoczko, "The Geometry of Musical Chords", Science 313,
2006.
"""

import itertools
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from lnfgen.music.chart import ChordChange
from lnfgen.music.chord import NO_CHORD, Chord

_MIDDLE_C = 60
_LOWEST_BASS = 36  # C2

Position = tuple[int, ...]  # the MIDI pitches of a chord from the lowest up
TimedNote = tuple[Fraction, Fraction, int]  # (start, end, MIDI pitch) in quarters


class Accompaniment(NamedTuple):
    """The notes that play the symbols of a lead sheet."""

    chords: list[TimedNote]
    bass: list[TimedNote]


def accompaniment(
    changes: Sequence[ChordChange], lines: Iterable[Fraction], end: Fraction
) -> Accompaniment:
    """What plays these chords up to the end of a piece.

    Each chord is struck where it begins, and again at each bar line while it lasts. The bass has
    the bass of the symbol. No chord is silence.

    Args:
        lines: where the bars of the piece start, in quarters.
    """
    played = Accompaniment([], [])
    position: Position = ()
    for start, until, chord in _strikes(changes, lines, end):
        position = _nearest_position(chord, position)
        for pitch in position:
            played.chords.append((start, until, pitch))
        played.bass.append((start, until, _LOWEST_BASS + chord.bass))
    return played


def _strikes(
    changes: Sequence[ChordChange], lines: Iterable[Fraction], end: Fraction
) -> list[tuple[Fraction, Fraction, Chord]]:
    """Where each chord is struck, until when it lasts, and the chord."""
    at = dict(changes)
    bar_lines = set(lines)
    starts = sorted({start for start in at.keys() | bar_lines if start < end})
    struck: list[tuple[Fraction, Chord]] = []
    chord = NO_CHORD
    for start in starts:
        before = chord
        chord = at.get(start, before)
        if start in bar_lines or chord != before:
            struck.append((start, chord))
    struck.append((end, NO_CHORD))
    strikes: list[tuple[Fraction, Fraction, Chord]] = []
    for (start, chord), (until, _) in itertools.pairwise(struck):
        if not chord.is_silent:
            strikes.append((start, until, chord))
    return strikes


def _nearest_position(chord: Chord, before: Position) -> Position:
    """The close position of a chord that is nearest to the one before, or to middle C."""
    if not before:
        before = (_MIDDLE_C,)
    positions = _close_positions(chord)
    return min(positions, key=lambda position: (_movement(before, position), position))


@lru_cache(maxsize=4096)
def _close_positions(chord: Chord) -> list[Position]:
    """The inversions of a chord within an octave, each in the octave nearest to middle C."""
    classes = sorted((chord.root + interval) % 12 for interval in chord.intervals)
    positions: list[Position] = []
    for lowest in classes:
        above_lowest = sorted((pitch_class - lowest) % 12 for pitch_class in classes)
        mean = lowest + sum(above_lowest) / len(above_lowest)
        octave = round((_MIDDLE_C - mean) / 12)
        first = lowest + 12 * octave
        positions.append(tuple(first + step for step in above_lowest))
    return positions


@lru_cache(maxsize=4096)
def _movement(one: Position, other: Position) -> int:
    """The semitones that all voices move together from one chord to the other."""
    costs = [[0] * len(other) for _ in one]
    for row, column in itertools.product(range(len(one)), range(len(other))):
        ways: list[int] = []
        if row and column:
            ways.append(costs[row - 1][column - 1])
        if row:
            ways.append(costs[row - 1][column])
        if column:
            ways.append(costs[row][column - 1])
        costs[row][column] = min(ways, default=0) + abs(one[row] - other[column])
    return costs[-1][-1]
