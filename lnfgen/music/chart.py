"""Charts: chords over the bars of a piece, as people write them, and the times at which they start.

`C Am | F G7` is two bars with two chords each. `%` repeats the bar before, `.` the chord before,
and `x2` at the end of a line the line. Without bar lines each chord has a bar of its own.
"""

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from lnfgen.music.chord import NO_CHORD, Chord, parse_chord
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.time_signature import bar_and_beats, bar_length

Bar = tuple[Chord, ...]
"""The chords of a bar, which share it by beats; see `cell_starts`."""

BARS_OF_LINE = 4
MAX_BARS = 10_000

_SAME_BAR = "%"
_SAME_CHORD = (".", "/")
_TIMES = re.compile(r"x(\d{1,3})")
_MOST_CELLS = 16


class ChordChange(NamedTuple):
    """A chord and when it starts; it lasts until the next one, or to the end of the piece."""

    start: Fraction  # quarters from the first step of the piece
    chord: Chord


def parse_chart(text: str) -> list[Bar]:
    """The bars of a chart; see the text of this module.

    For another text it is a `ValueError` that names the place.
    """
    has_lines = "|" in text
    bars: list[Bar] = []
    for line in text.splitlines():
        words, times = _line_and_times(line)
        of_line = list(_bars_of_line(words, has_lines, bars))
        bars += of_line * times
        if len(bars) > MAX_BARS:
            raise ValueError(f"more than {MAX_BARS:,} bars; expected fewer")
    if not bars:
        raise ValueError("found no chord; expected at least one, as in C Am | F G7")
    return bars


def _line_and_times(line: str) -> tuple[str, int]:
    """A line of a chart without its `x2`, and how often it is played."""
    before, _, last = line.rstrip(" \t|").rpartition(" ")
    times = _TIMES.fullmatch(last)
    if times is None:
        return line, 1
    return before, int(times[1])


def _bars_of_line(line: str, has_lines: bool, before: Sequence[Bar]) -> Iterator[Bar]:
    """The bars of a line, after those that came before it."""
    last = before[-1] if before else None
    cells = line.replace("]", "|").split("|") if has_lines else line.split()
    for cell in cells:
        words = cell.split()
        if not words:
            continue
        if words != [_SAME_BAR]:
            last = _bar(words, last)
        elif last is None:
            raise ValueError(f"{_SAME_BAR} is the first bar; expected one to repeat before it")
        yield last


def _bar(words: Sequence[str], before: Bar | None) -> Bar:
    """The chords of a bar, after another one."""
    chords: list[Chord] = []
    for word in words:
        if word not in _SAME_CHORD:
            chords.append(parse_chord(word))
        elif chords:
            chords.append(chords[-1])
        elif before is not None:
            chords.append(before[-1])
        else:
            raise ValueError(f"{word} is the first chord; expected one to repeat before it")
    return tuple(chords)


def cell_starts(count: int, time_signature: tuple[int, int]) -> list[Fraction]:
    """Where the chords of a bar start, as shares of the bar, if it has so many.

    They start on beats, or on halves or thirds of beats where there are more of them than beats.
    Where the beats cannot be shared equally, the earlier chords have one more.
    """
    _, beats, divisions = bar_and_beats(time_signature, 1)
    return shared_starts(count, beats, divisions)


def shared_starts(count: int, units: int, divisions: int) -> list[Fraction]:
    """Where chords start that share so many units, as shares of all of them.

    If there are more chords than units, each unit is divided, and then its parts in two. Where the
    units cannot be shared equally, the earlier chords have one more.
    """
    if units < count:
        units *= divisions
    while units < count:
        units *= 2
    return [Fraction(math.ceil(Fraction(index * units, count)), units) for index in range(count)]


def bar_lines(piece: PianoRoll) -> list[Fraction]:
    """Where the bars of a piece start, in quarters from its first step; an upbeat is no bar."""
    bar = bar_length(piece.time_signature, 1)
    first = Fraction(piece.upbeat, piece.steps_per_quarter)
    end = Fraction(piece.num_steps, piece.steps_per_quarter)
    return [first + index * bar for index in range(math.ceil((end - first) / bar))]


def beat_steps(piece: PianoRoll) -> list[int]:
    """The steps of a piece on a beat, from its first bar line on."""
    _, number, _ = bar_and_beats(piece.time_signature, 1)
    beat = bar_length(piece.time_signature, 1) / number
    steps: list[int] = []
    for line in bar_lines(piece):
        for place in range(number):
            steps.append(round((line + place * beat) * piece.steps_per_quarter))
    return [step for step in steps if step < piece.num_steps]


def bars_around(piece: PianoRoll, steps: np.ndarray) -> tuple[Fraction, Fraction]:
    """Where the bars begin and end that have any of these steps, bool [T], in quarters.

    The steps are some at least. What is before the first bar line belongs to the first bar.
    """
    places = np.flatnonzero(steps)
    first = Fraction(int(places[0]), piece.steps_per_quarter)
    last = Fraction(int(places[-1]), piece.steps_per_quarter)
    end = Fraction(piece.num_steps, piece.steps_per_quarter)
    lines = bar_lines(piece)
    begin = max([line for line in lines if line <= first], default=Fraction(0))
    until = min([line for line in lines if line > last], default=end)
    return begin, until


def changes_over(
    chart: Sequence[Bar],
    piece: PianoRoll,
    begin: Fraction = Fraction(0),
    until: Fraction | None = None,
) -> list[ChordChange]:
    """The changes of a chart over a piece, again and again if it is shorter than that.

    It begins at the first bar line that is not before `begin`, in quarters, and ends with the
    piece, or at `until`, from where on there is no chord.
    """
    bar = bar_length(piece.time_signature, 1)
    end = Fraction(piece.num_steps, piece.steps_per_quarter)
    last = end if until is None else until
    lines = [line for line in bar_lines(piece) if begin <= line < last]
    changes: list[ChordChange] = []
    for line, chords in zip(lines, itertools.cycle(chart), strict=False):
        starts = cell_starts(len(chords), piece.time_signature)
        for share, chord in zip(starts, chords, strict=True):
            start = line + share * bar
            is_new = not changes or changes[-1].chord != chord
            if is_new and start < last:
                changes.append(ChordChange(start, chord))
    if last < end:
        changes.append(ChordChange(last, NO_CHORD))
    return changes


def with_others_between(
    changes: Sequence[ChordChange],
    piece: PianoRoll,
    begin: Fraction,
    until: Fraction,
    others: Sequence[ChordChange],
) -> tuple[ChordChange, ...]:
    """The changes over a piece with others in place of those from `begin` up to `until`.

    The chord that lasts at `until` goes on there. Without changes, there are the others alone.
    """
    if not changes:
        return tuple(others)
    before = [change for change in changes if change.start < begin]
    between = [change for change in others if change.start < until]
    after = [change for change in changes if change.start > until]
    if until < Fraction(piece.num_steps, piece.steps_per_quarter):
        after.insert(0, ChordChange(until, chord_at(changes, until)))
    return (*before, *between, *after)


def chart_of(changes: Sequence[ChordChange], piece: PianoRoll) -> list[Bar]:
    """The bars of a piece with their chords.

    A chord that starts off the cells of its bar, as in a triplet, starts in the nearest one. There
    is no chord before the first change.
    """
    bar = bar_length(piece.time_signature, 1)
    chart: list[Bar] = []
    for line in bar_lines(piece):
        own = [change for change in changes if line < change.start < line + bar]
        shares = [Fraction(0)]
        chords = [chord_at(changes, line)]
        for start, chord in own:
            shares.append((start - line) / bar)
            chords.append(chord)
        chart.append(_cells(shares, chords, piece.time_signature))
    return chart


def chord_at(changes: Sequence[ChordChange], time: Fraction) -> Chord:
    """The chord that sounds at a time, in quarters; no chord before the first change."""
    chord = NO_CHORD
    for change in changes:
        if change.start > time:
            break
        chord = change.chord
    return chord


def _cells(
    shares: Sequence[Fraction], chords: Sequence[Chord], time_signature: tuple[int, int]
) -> Bar:
    """The fewest cells of a bar that start where its chords do, else those of its divisions."""
    _, beats, divisions = bar_and_beats(time_signature, 1)
    cells = cell_starts(beats * divisions, time_signature)
    for count in range(len(shares), _MOST_CELLS + 1):
        found = cell_starts(count, time_signature)
        if set(shares) <= set(found):
            cells = found
            break
    placed: dict[Fraction, Chord] = {}
    for share, chord in zip(shares, chords, strict=True):
        distances = [abs(cell - share) for cell in cells]
        placed[cells[distances.index(min(distances))]] = chord
    bar: list[Chord] = []
    for cell in cells:
        bar.append(placed[cell] if cell in placed else bar[-1])
    return tuple(bar)


def chart_text(chart: Sequence[Bar], sharps: int = 0) -> str:
    """The chart as text, four bars a line, which `parse_chart` reads again.

    Args:
        sharps: those of the key signature that its chords are spelled under, or minus the flats.
    """
    lines = []
    for first in range(0, len(chart), BARS_OF_LINE):
        words: list[str] = []
        before: Bar | None = None
        for bar in chart[first : first + BARS_OF_LINE]:
            words.append(_SAME_BAR if bar == before else _bar_text(bar, sharps))
            before = bar
        lines.append(f"| {' | '.join(words)} |")
    return "\n".join(lines)


def _bar_text(bar: Bar, sharps: int) -> str:
    words: list[str] = []
    before: Chord | None = None
    for chord in bar:
        words.append(_SAME_CHORD[0] if chord == before else chord.name(sharps))
        before = chord
    return " ".join(words)
