"""Divide a voice into the notes, chords and rests of its bars, with ties that show the beats."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from lnfgen.music.notes import Note
from lnfgen.music.time_signature import bar_length


@dataclass(frozen=True)
class Symbol:
    """A note, chord or rest within a bar. Times are in quarters."""

    offset: Fraction  # from the start of the bar on
    length: Fraction
    pitches: tuple[int, ...] = ()  # MIDI pitches from the lowest one up; none for a rest
    from_before: frozenset[int] = frozenset()  # those that are tied to the symbol before
    goes_on: frozenset[int] = frozenset()  # those that are tied to the next one


def bars_of_voice(
    notes: Sequence[Note],
    num_steps: int,
    steps_per_quarter: int,
    time_signature: tuple[int, int],
    upbeat: int = 0,
) -> list[list[Symbol]]:
    """The symbols of a voice in each bar, which fill it; the last bar ends with the piece.

    An upbeat of `upbeat` steps is the first bar, and is written as the end of one.

    Notes that sound together are a chord. Where one of them starts or ends alone, the others are
    tied there. So are notes at bar lines, and where a reader of this time signature expects to see
    a beat.
    """
    bar = bar_length(time_signature, 1)
    missing = Fraction(0)  # what an upbeat lacks at the start of its bar
    if upbeat:
        missing = bar - Fraction(upbeat, steps_per_quarter)
    end = missing + Fraction(num_steps, steps_per_quarter)
    bars: list[list[Symbol]] = [[] for _ in range(math.ceil(end / bar))]
    for start, stop, sounding in _chords(notes, num_steps):
        chord = Symbol(
            offset=missing + Fraction(start, steps_per_quarter),
            length=Fraction(stop - start, steps_per_quarter),
            pitches=tuple(sorted({pitch for _, _, pitch in sounding})),
            from_before=frozenset(pitch for first, _, pitch in sounding if first < start),
            goes_on=frozenset(pitch for first, length, pitch in sounding if first + length > stop),
        )
        for index, symbol in _in_bars(chord, time_signature):
            if index == 0 and missing:
                symbol = replace(symbol, offset=symbol.offset - missing)
            bars[index].append(symbol)
    return bars


def _chords(notes: Sequence[Note], num_steps: int) -> Iterator[tuple[int, int, list[Note]]]:
    """The stretches of a voice in which the same notes sound: (first step, end, notes).

    The stretches follow each other from the first step to the last one. One of silence has no
    notes.
    """
    edges = {0, num_steps}
    starting: dict[int, list[Note]] = defaultdict(list)
    for note in sorted(notes):
        start, length, _ = note
        edges |= {start, start + length}
        starting[start].append(note)
    sounding: list[Note] = []
    for start, stop in itertools.pairwise(sorted(edges)):
        held = [note for note in sounding if note[0] + note[1] > start]
        sounding = held + starting[start]
        yield start, stop, sounding


def _in_bars(chord: Symbol, time_signature: tuple[int, int]) -> Iterator[tuple[int, Symbol]]:
    """The symbols that a chord or a rest of any length is written as, each with its bar's index.

    The offset of the chord counts from the first bar line on, and those of the symbols from the
    start of their bars.
    """
    bar = bar_length(time_signature, 1)
    position = chord.offset
    end = chord.offset + chord.length
    from_before = chord.from_before
    while position < end:
        index = int(position // bar)
        bar_start = index * bar
        length = min(end, bar_start + bar) - position
        if not chord.pitches and length == bar:
            values = [(position - bar_start, length)]
        else:
            values = split(position - bar_start, length, time_signature)
        for offset, value in values:
            is_last = bar_start + offset + value == end
            goes_on = chord.goes_on if is_last else frozenset(chord.pitches)
            yield index, Symbol(offset, value, chord.pitches, from_before, goes_on)
            from_before = frozenset(chord.pitches)
        position += length


def split(
    offset: Fraction, length: Fraction, time_signature: tuple[int, int]
) -> list[tuple[Fraction, Fraction]]:
    """The pieces (offset, length) of a stretch within a bar that show its beats.

    A piece has no dot or one. It passes over a stronger place of the bar than its start only as a
    plain syncopation (a quarter between two eighths), or as a dotted half that starts on a beat.
    Triplets and their like end with the beat.
    """
    crossed = _places(offset, length, time_signature)
    if not crossed:
        return [(offset, length)]
    strongest = max(level for _, level in crossed)
    start = _level(offset, time_signature)
    is_plain = _is_power_of_two(length)
    is_dotted = _is_power_of_two(length / 3)
    # How much stronger than its start a place may be that the piece passes over.
    margin = 1 if is_plain or (length >= 3 and start >= 0) else 0
    if _is_binary(offset) and (is_plain or is_dotted) and strongest <= start + margin:
        return [(offset, length)]
    places = [place for place, level in crossed if level == strongest]
    # A piece that starts on the beat is the longer one, so that few pieces are needed.
    place = places[-1] if start > strongest else places[0]
    rest = offset + length - place
    before = split(offset, place - offset, time_signature)
    after = split(place, rest, time_signature)
    return before + after


def _places(
    offset: Fraction, length: Fraction, time_signature: tuple[int, int]
) -> list[tuple[Fraction, int]]:
    """The places inside a stretch where it may be split, and their levels."""
    unit = beat_length(time_signature)
    if _is_binary(offset) and _is_binary(length):
        unit = Fraction(1, max(offset.denominator, length.denominator, unit.denominator))
    first = int(offset // unit) + 1
    end = math.ceil((offset + length) / unit)
    return [(index * unit, _level(index * unit, time_signature)) for index in range(first, end)]


def beat_length(time_signature: tuple[int, int]) -> Fraction:
    """The beat in quarters: a quarter; in 6/8, 9/8 and their like, three of the units."""
    beats, unit = time_signature
    if unit >= 8 and beats % 3 == 0:
        return Fraction(12, unit)
    return Fraction(1)


def _level(offset: Fraction, time_signature: tuple[int, int]) -> int:
    """The strength of a place in a bar.

    It is 9 at the start of a bar, 1 in the middle of a bar of 4, 8, ... beats, 0 on another beat,
    and below 0 between beats. Between the beats of 6/8 it is -2 at most, so that no note hides the
    second beat.
    """
    beats, unit = time_signature
    if offset == 0:
        return 9
    beat = beat_length(time_signature)
    if (offset / beat).denominator == 1:
        is_middle = beats % 4 == 0 and offset == Fraction(2 * beats, unit)
        return int(is_middle)
    if beat == 1:
        return 1 - offset.denominator.bit_length()
    return -1 - (offset * unit / 4).denominator.bit_length()


def _is_binary(value: Fraction) -> bool:
    """True if the denominator is a power of two."""
    return value.denominator & (value.denominator - 1) == 0


def _is_power_of_two(value: Fraction) -> bool:
    """True for a value such as 4, 1 or 1/2."""
    return value > 0 and _is_binary(value) and value.numerator & (value.numerator - 1) == 0
