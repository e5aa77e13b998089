"""How a voice is written: which notes, rests and ties say what sounds in it, bar by bar."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from lnfgen.music.pianoroll import Note


@dataclass(frozen=True)
class Symbol:
    """A note, chord or rest within a bar. Times are in quarters.

    Attributes:
        offset, length: its place, from the start of the bar on.
        pitches: MIDI pitches from the lowest one up; none for a rest.
        from_before, goes_on: those of its pitches that are tied to the symbol before, and to the next one.
    """

    offset: Fraction
    length: Fraction
    pitches: tuple[int, ...] = ()
    from_before: frozenset[int] = frozenset()
    goes_on: frozenset[int] = frozenset()


def bars_of_voice(
    notes: Sequence[Note], num_steps: int, steps_per_quarter: int, time_signature: tuple[int, int], upbeat: int = 0
) -> list[list[Symbol]]:
    """The symbols of a voice in each bar, which fill it; the last bar ends with the piece.

    An upbeat of so many steps is the first bar, and is written as the end of one.

    Notes that sound together are a chord. Where one of them starts or ends alone, the others are tied there. So are
    notes at bar lines, and where a reader of this metre expects to see a beat.
    """
    edges = sorted({0, num_steps, *(edge for start, length, _ in notes for edge in (start, start + length))})
    ordered = sorted(notes)
    bar = Fraction(4 * time_signature[0], time_signature[1])
    missing = bar - Fraction(upbeat, steps_per_quarter) if upbeat else Fraction(0)  # of the first bar, before the piece
    end = missing + Fraction(num_steps, steps_per_quarter)
    bars: list[list[Symbol]] = [[] for _ in range(-int(-end // bar))]
    sounding: list[Note] = []
    upcoming = 0
    for start, stop in itertools.pairwise(edges):
        sounding = [note for note in sounding if note[0] + note[1] > start]
        while upcoming < len(ordered) and ordered[upcoming][0] == start:
            sounding.append(ordered[upcoming])
            upcoming += 1
        pitches = tuple(sorted({note[2] for note in sounding}))
        before = frozenset(note[2] for note in sounding if note[0] < start)
        after = frozenset(note[2] for note in sounding if note[0] + note[1] > stop)
        position, until = (missing + Fraction(step, steps_per_quarter) for step in (start, stop))
        while position < until:
            index = int(position // bar)
            inside = min(until, (index + 1) * bar)
            whole_rest = not pitches and inside - position == bar
            inner = position - index * bar, inside - position
            for offset, length in [inner] if whole_rest else split(*inner, time_signature):
                last = index * bar + offset + length == until
                offset -= 0 if index else missing
                bars[index].append(Symbol(offset, length, pitches, before, after if last else frozenset(pitches)))
                before = frozenset(pitches)
            position = inside
    return bars


def split(offset: Fraction, length: Fraction, time_signature: tuple[int, int]) -> list[tuple[Fraction, Fraction]]:
    """A stretch of a bar in parts (offset, length) that show its beats.

    A part has no dot or one. It passes over a stronger place of the bar than its start only as a plain syncopation, as
    a quarter between two eighths does, or where it is a dotted half and starts on a beat. On grids of triplets and the
    like, parts end with the beat.
    """
    crossed = _places(offset, length, time_signature)
    strongest = max((level for _, level in crossed), default=None)
    if strongest is None or _is_readable(offset, length, strongest, time_signature):
        return [(offset, length)]
    places = [place for place, level in crossed if level == strongest]
    # A part that starts on the beat is the longer one, so that few parts are needed.
    place = places[-1 if _level(offset, time_signature) > strongest else 0]
    rest = offset + length - place
    return [*split(offset, place - offset, time_signature), *split(place, rest, time_signature)]


def _is_readable(offset: Fraction, length: Fraction, crossed: int, time_signature: tuple[int, int]) -> bool:
    """Whether a note may be written whole that passes over places of this level at most."""
    if not _is_binary(offset) or not _is_binary(length):
        return False
    plain, dotted = _is_power_of_two(length), _is_power_of_two(length / 3)
    start = _level(offset, time_signature)
    syncopated = plain or (dotted and length >= 3 and start >= 0)
    return (plain or dotted) and (crossed <= start or (syncopated and crossed <= start + 1))


def _places(offset: Fraction, length: Fraction, time_signature: tuple[int, int]) -> list[tuple[Fraction, int]]:
    """The places inside a stretch where it may be split, and their levels."""
    unit = _beat(time_signature)
    if _is_binary(offset) and _is_binary(length):
        unit = Fraction(1, max(offset.denominator, length.denominator, unit.denominator))
    places = (index * unit for index in range(int(offset // unit) + 1, int(-(-(offset + length) // unit))))
    return [(place, _level(place, time_signature)) for place in places]


def _beat(time_signature: tuple[int, int]) -> Fraction:
    """The beat in quarters: a quarter; in 6/8, 9/8 and their like, three of the units."""
    beats, unit = time_signature
    return Fraction(12, unit) if unit >= 8 and beats % 3 == 0 else Fraction(1)


def _level(offset: Fraction, time_signature: tuple[int, int]) -> int:
    """How strong a place in a bar is: 9 where it starts, 0 on a beat, 1 in the middle of four, below 0 between beats.

    Between the beats of 6/8 it is -2 at most, so that no note hides the second beat.
    """
    beats, unit = time_signature
    if offset == 0:
        return 9
    beat = _beat(time_signature)
    if (offset / beat).denominator > 1:
        inner = offset if beat == 1 else offset * unit / 4
        halvings = inner.denominator.bit_length() - 1
        return -halvings if beat == 1 else -halvings - 2
    return int(beats % 4 == 0 and offset == Fraction(2 * beats, unit))


def _is_binary(value: Fraction) -> bool:
    return value.denominator & (value.denominator - 1) == 0


def _is_power_of_two(value: Fraction) -> bool:
    return value.numerator & (value.numerator - 1) == 0 and _is_binary(value) and value > 0
