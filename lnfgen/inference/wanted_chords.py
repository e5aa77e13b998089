"""Chords that a piece is to have: where its chart puts them, and whether it has them."""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.wish_measures import Measured
from lnfgen.music.chart import (
    Bar,
    ChordChange,
    bars_around,
    changes_over,
    with_others_between,
)
from lnfgen.music.chord import Chord
from lnfgen.music.harmony import pitch_classes
from lnfgen.music.parts import CHORDS, MELODY
from lnfgen.music.pianoroll import PianoRoll, pitched_parts
from lnfgen.music.song import Song, as_song
from lnfgen.music.tonality import Key, most_like, profile_likeness
from lnfgen.music.tracks import BASS

ENOUGH_INSIDE = 0.75
"""The least share of the sounding time of a bar that is inside its chords, if it has them."""

ENOUGH_HELD = 0.9
"""A piece has its chords if at least this share of its bars is inside them, and of their basses."""

MOST_CLASHES = 0.5
"""A bar clashes with its chords if a greater share of what it keeps is outside them."""

MOST_NAMED = 8
"""The most bars that a remark names."""

# The major scale, and the minor one with both its sevenths.
_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10, 11))
_OF_SCALE = 10.0  # what a scale with all notes adds to the correlation with a profile
_OF_TRIAD = 0.5  # and the triad of a key as the first or the last chord


class Span(NamedTuple):
    """A chord and the steps in which it lasts."""

    start: int
    end: int
    classes: np.ndarray  # bool [12], its pitch classes
    bass: int

    def moved(self, steps: int) -> "Span":
        """The chord so many steps later."""
        return self._replace(start=self.start + steps, end=self.end + steps)


def wanted_changes(chart: Sequence[Bar], song: Song) -> list[ChordChange]:
    """The changes of a chart over the bars of a piece in which a model drew something.

    If the song does not know what was drawn, these are all.
    """
    begin, until = _drawn_bars(song)
    return changes_over(chart, song.roll, begin, until)


def with_wanted_changes(chart: Sequence[Bar], song: Song) -> Song:
    """The song with the changes of a chart in the bars that a model drew, and its own elsewhere."""
    begin, until = _drawn_bars(song)
    wanted = changes_over(chart, song.roll, begin, until)
    changes = with_others_between(song.origin.chords, song.roll, begin, until, wanted)
    return replace(song, origin=replace(song.origin, chords=changes))


def _drawn_bars(song: Song) -> tuple[Fraction, Fraction]:
    """Where the bars begin and end in which a model drew something, in quarters."""
    roll = song.roll
    if song.drawn is None or not song.drawn.any():
        return Fraction(0), Fraction(roll.num_steps, roll.steps_per_quarter)
    is_drawn: np.ndarray = np.any(song.drawn, axis=(1, 2))
    return bars_around(roll, is_drawn)


def wanted_spans(chart: Sequence[Bar], song: Song) -> list[Span]:
    """The chords of a chart over a piece in steps, without those that do not last a step.

    Where the chart has no chord, there is no span.
    """
    changes = wanted_changes(chart, song)
    edges = [round(start * song.roll.steps_per_quarter) for start, _ in changes]
    edges.append(song.roll.num_steps)
    spans = []
    for number, (_, chord) in enumerate(changes):
        start, end = edges[number : number + 2]
        if end > start and not chord.is_silent:
            classes = np.isin(np.arange(12), list(chord.pitch_classes))
            spans.append(Span(start, end, classes, chord.bass))
    return spans


def part_of_bass(roles: Sequence[str]) -> int:
    """The number of the part with the lowest note of a chord."""
    for role in (BASS, CHORDS, MELODY):
        if role in roles:
            return roles.index(role)
    return 0


def on_chords(chart: Sequence[Bar], piece: PianoRoll | Song) -> Measured:
    """How much of what was drawn is on its chords: the share of bars, and of the chords' basses.

    A bar is if `ENOUGH_INSIDE` of what was drawn there is inside its chords, and a bass if it is
    the lowest note where its chord starts. A person's own notes do not count, and neither does a
    chord that starts where no bass was drawn. The distance is 0 if both shares are at least
    `ENOUGH_HELD`.
    """
    song = as_song(piece)
    spans = wanted_spans(chart, song)
    roll = pitched_parts(song.roll)
    drawn = pitched_parts(song.drawn_notes)
    inside = list(inside_of_bars(spans, drawn).values())
    if not inside or not spans:
        return None, math.nan
    bars = float(np.mean(np.array(inside) >= ENOUGH_INSIDE))
    value: dict[str, float] = {"bars": round(bars, 3)}
    distance = max(0.0, ENOUGH_HELD - bars)
    starts = [_starts_on_bass(span, song, roll, drawn) for span in spans]
    of_drawn = [is_right for is_right in starts if is_right is not None]
    if of_drawn:
        basses = float(np.mean(of_drawn))
        value["basses"] = round(basses, 3)
        distance += max(0.0, ENOUGH_HELD - basses)
    return value, distance


def inside_of_bars(spans: Sequence[Span], roll: PianoRoll) -> dict[int, float]:
    """The share of the sounding time of each bar that is inside its chords, by its number.

    Bars without chords or without notes have none. The roll has one part.
    """
    cells = pitch_classes(roll, roll.sounding)  # [T, 12]
    inside = np.zeros(len(cells))
    total = np.zeros(len(cells))
    for start, end, classes, _ in spans:
        inside[start:end] = cells[start:end, classes].sum(axis=1)
        total[start:end] = cells[start:end].sum(axis=1)
    bars = roll.bars()
    ends = [*list(bars.values())[1:], roll.num_steps]
    shares: dict[int, float] = {}
    for (number, start), end in zip(bars.items(), ends, strict=True):
        if total[start:end].any():
            shares[number] = float(inside[start:end].sum() / total[start:end].sum())
    return shares


def _starts_on_bass(span: Span, song: Song, roll: PianoRoll, drawn: PianoRoll) -> bool | None:
    """If the lowest note where a chord starts is its bass; None if no bass was drawn there.

    The pitched parts of the song, and of what was drawn in it, are one part each.
    """
    keys = roll.sounding[span.start, 0]
    lowest = int(keys.argmax())
    if song.drawn is not None:
        of_bass = song.drawn[span.start, part_of_bass(song.roll.roles)]
        if not of_bass.any():
            return None
        if keys.any() and not drawn.sounding[span.start, 0, lowest]:
            return None
    return bool(keys.any()) and (lowest + roll.lowest_pitch) % 12 == span.bass


def clash_remarks(chart: Sequence[Bar], part: KnownMusic) -> list[str]:
    """A remark on the bars whose kept notes clash with their chords, if there are any."""
    spans = wanted_spans(chart, replace(part.song, drawn=part.hidden_cells))
    shares = inside_of_bars(spans, pitched_parts(part.known_notes))
    clashing = [str(number) for number, share in shares.items() if share < 1 - MOST_CLASHES]
    if not clashing:
        return []
    bars = "bar" if len(clashing) == 1 else "bars"
    named = ", ".join(clashing[:MOST_NAMED])
    more = len(clashing) - MOST_NAMED
    if more > 0:
        named += f" and {more} more"
    return [f"what is kept clashes with the chords in {bars} {named}; it stays as it is"]


def home_of_chart(chart: Sequence[Bar]) -> Key | None:
    """The key of a chart: the one whose scale has most of the notes of its chords.

    Of several, it is the one whose triad begins or ends the chart, or else whose profile is most
    like its notes. All bars count alike. It is none if the chart has no chord.
    """
    durations = np.zeros(12)
    every: list[Chord] = []
    for bar in chart:
        for chord in bar:
            every.append(chord)
            for pitch_class in chord.pitch_classes:
                durations[pitch_class] += 1 / len(bar)
    if not durations.any():
        return None
    likeness = profile_likeness(durations)
    for mode, third in ((0, 4), (1, 3)):
        for tonic in range(12):
            scale = [(tonic + step) % 12 for step in _SCALES[mode]]
            likeness[mode, tonic] += _OF_SCALE * durations[scale].sum() / durations.sum()
            for chord in (every[0], every[-1]):
                if chord.root == tonic and third in chord.intervals:
                    likeness[mode, tonic] += _OF_TRIAD
    return most_like(likeness)
