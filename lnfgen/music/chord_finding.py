"""The chords of a piece, found from its notes.

Notes that are struck divide a piece into spans. Each chord has a score in each span: how long the
notes of the chord sound, less how long others do, and how long its bass is the lowest note. A low
note counts more than a high one. The chords found are those with the greatest sum of scores, less a
cost for each change. A change costs less on a beat, and where the lowest note is struck.

The scores are much as those of B. Pardo and W. P. Birmingham, "Algorithms for Chordal Analysis",
Computer Music Journal 26(2), 2002. The search is the algorithm of A. Viterbi. It was chosen on
songs 1 to 150 of POP909, whose other songs `examples/chords_heard.py` measures.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from lnfgen.music.chart import ChordChange, chart_of, chart_text
from lnfgen.music.chord import NO_CHORD, Chord
from lnfgen.music.key_signature import signature_for
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.music.time_signature import bar_and_beats

_TRIADS = ((0, 4, 7), (0, 3, 7))
_SEVENTHS = ((0, 4, 7, 10), (0, 3, 7, 10), (0, 4, 7, 11))
_RARE = (
    (0, 3, 6),
    (0, 4, 8),
    (0, 5, 7),
    (0, 2, 7),
    (0, 5, 7, 10),
    (0, 4, 7, 9),
    (0, 3, 7, 9),
    (0, 3, 6, 10),
    (0, 3, 6, 9),
)
_KINDS = ((_TRIADS, 0.0, 0.25), (_SEVENTHS, 0.15, 0.25), (_RARE, 0.16, 2.25))
"""The kinds of chords, as semitones above the root, and two costs of each.

They are those of any note that sounds for a quarter, because chords with more notes fit more, and
of a note outside the chord: rare chords are found where no other note sounds for long.
"""

# In quarters of a note that fits, and that is as high as the notes of the piece on average.
_OUTSIDE = 0.25  # what a note costs where there is no chord, for each quarter
_OCTAVE_HIGHER = 0.8  # what a note counts beside the one an octave below it
_MELODY = 0.3  # what the highest key counts where it stands apart from the others,
_APART = 6  # by so many semitones: then it has the melody
_BASS = 0.5  # the lowest note, where it is the bass of the chord
_INVERSION = 0.45  # the cost of a bass that is not the root, for each quarter
_SILENCE = 0.7  # the gain of no chord, for each quarter
_CHANGE = 1.25  # the cost of a change on a beat
_OFF_BEAT = 1.2  # what it costs more off the beat
_BASS_STRUCK = 1.0  # what it costs less where the lowest note is struck

# The beats of a piece are where its bars have them, unless so many times as many notes are struck
# at another place, as in a recording whose file begins anywhere.
_CLEARLY = 1.5
_NEAR = 24  # a place is near another one if it is at most a 24th of a beat away


class _Spans(NamedTuple):
    """The spans of a piece, N of them."""

    starts: np.ndarray  # int [N]: the steps
    # float [N, 25]: quarters of the pitch classes by their weight, of them as a bass, and of all
    features: np.ndarray
    costs: np.ndarray  # float [N]: what a change costs where it starts


def find_chords(piece: PianoRoll) -> list[ChordChange]:
    """The chords of a piece, from its first step on, found from the notes of all pitched parts.

    Their basses are notes of the chords. Where nothing sounds for long, there is no chord.
    """
    roll = piece.merged
    spans = _spans(roll)
    chords, table = _chords_and_table()
    changes: list[ChordChange] = []
    for start, number in zip(spans.starts.tolist(), _best_path(spans, table), strict=True):
        chord = chords[number]
        if not changes or changes[-1].chord != chord:
            changes.append(ChordChange(Fraction(start, roll.steps_per_quarter), chord))
    return changes


def chords_of(song: Song) -> tuple[ChordChange, ...]:
    """The chord symbols of the song's file; those found from its notes if there are none."""
    return song.origin.chords or tuple(find_chords(song.roll))


def naming_chords(song: Song) -> Song:
    """The song with chord symbols: those of its file, or those found from its notes."""
    return replace(song, origin=replace(song.origin, chords=chords_of(song)))


def song_chart(song: Song, chords: Sequence[ChordChange]) -> str:
    """The chart of a song with its chords, as `chords_of` gives them, under its signature."""
    signature = signature_for(song.roll, song.origin.key)
    return chart_text(chart_of(chords, song.roll), signature.sharps)


@lru_cache(maxsize=1)
def _chords_and_table() -> tuple[list[Chord], np.ndarray]:
    """All S chords, and the score of each for a quarter of each feature, float [25, S].

    `NO_CHORD` is the last.
    """
    chords: list[Chord] = []
    columns: list[np.ndarray] = []
    for kinds, of_any, of_others in _KINDS:
        for intervals, root in itertools.product(kinds, range(12)):
            tones = [(root + interval) % 12 for interval in intervals]
            of_notes = np.full(12, -of_any - of_others)
            of_notes[tones] = 1.0 - of_any
            for bass in tones:
                of_bass = np.full(12, 0.0 if bass == root else -_INVERSION)
                of_bass[bass] += _BASS
                chords.append(Chord(root, frozenset(intervals), bass))
                columns.append(np.concatenate([of_notes, of_bass, [0.0]]))
    chords.append(NO_CHORD)
    columns.append(np.concatenate([np.full(12, -_OUTSIDE), np.zeros(12), [_SILENCE]]))
    return chords, np.stack(columns, axis=1)


def _spans(roll: PianoRoll) -> _Spans:
    """The spans of a roll of one part."""
    sounding = roll.sounding[:, 0]
    struck = roll.struck()[:, 0]
    sounds = np.any(sounding, axis=1)
    falls_silent = np.append(False, sounds[:-1] & ~sounds[1:])
    begins = np.any(struck, axis=1) | falls_silent
    begins[0] = True
    starts = np.flatnonzero(begins)
    lowest = sounding.argmax(axis=1)
    basses = _classes_of(lowest, roll) * sounds[:, None]
    all_steps = np.ones((roll.num_steps, 1))
    of_steps = np.concatenate([_weighted_classes(roll), basses, all_steps], axis=1)
    features = np.add.reduceat(of_steps, starts) / roll.steps_per_quarter
    bass_is_struck = struck[starts, lowest[starts]]
    num_struck = struck[starts].sum(axis=1)
    is_on_beat = _is_on_beat(roll, starts, num_struck)
    costs = _CHANGE + _OFF_BEAT * ~is_on_beat - _BASS_STRUCK * bass_is_struck
    return _Spans(starts, features, costs)


def _weighted_classes(roll: PianoRoll) -> np.ndarray:
    """float [T, 12]: the weights of the keys of each pitch class that sound at each step."""
    sounding = roll.sounding[:, 0]
    columns = np.arange(roll.num_pitches)
    count_of_key = sounding.sum(axis=0)
    middle = count_of_key @ columns / max(1, count_of_key.sum())
    weights = _OCTAVE_HIGHER ** ((columns - middle) / 12)
    of_keys = weights[:, None] * _classes_of(columns, roll)
    highest = roll.edge_keys(top=True)[:, 0]
    less = (1 - _MELODY) * _has_melody(roll, highest)
    classes: np.ndarray = sounding @ of_keys - less[:, None] * of_keys[highest]
    return classes


def _has_melody(roll: PianoRoll, highest: np.ndarray) -> np.ndarray:
    """bool [T]: whether the highest key, int [T], stands apart from the others at each step."""
    below = roll.sounding[:, 0].copy()
    below[np.arange(roll.num_steps), highest] = False
    second = roll.num_pitches - 1 - below[:, ::-1].argmax(axis=1)
    is_apart: np.ndarray = below.any(axis=1) & (highest - second >= _APART)
    return is_apart


def _classes_of(keys: np.ndarray, roll: PianoRoll) -> np.ndarray:
    """bool [K, 12]: the pitch classes of keys, which are the numbers of their columns, int [K]."""
    classes: np.ndarray = (keys[:, None] + roll.lowest_pitch) % 12 == np.arange(12)
    return classes


def _is_on_beat(roll: PianoRoll, starts: np.ndarray, num_struck: np.ndarray) -> np.ndarray:
    """bool [N]: whether a step is on a beat, of int [N] steps and how many notes they strike.

    All are, where beats are not some whole number of steps.
    """
    bar, beats, _ = bar_and_beats(roll.time_signature, roll.steps_per_quarter)
    beat = int(bar / beats)
    if beat < 1 or beat * beats != bar:
        return np.ones(len(starts), np.bool_)
    near = beat // _NEAR
    places = (starts - roll.upbeat) % beat
    at_place = np.bincount(places, num_struck, minlength=beat)
    rolled = [np.roll(at_place, shift) for shift in range(-near, near + 1)]
    around = np.sum(rolled, axis=0)
    first = int(np.argmax(around))
    if around[first] <= _CLEARLY * around[0]:
        first = 0
    after = (places - first) % beat
    return np.minimum(after, beat - after) <= near


def _best_path(spans: _Spans, table: np.ndarray) -> list[int]:
    """The number of the chord in each span, by the scores in `table`, float [25, S]."""
    totals = spans.features[0] @ table
    best_before = [0]
    stays = [np.packbits(np.ones(len(totals), np.bool_))]
    for features, cost in zip(spans.features[1:], spans.costs[1:], strict=True):
        best = int(totals.argmax())
        changed = totals[best] - cost
        best_before.append(best)
        stays.append(np.packbits(totals >= changed))
        totals = np.maximum(totals, changed) + features @ table
    number = int(totals.argmax())
    path: list[int] = []
    for best, packed in zip(reversed(best_before), reversed(stays), strict=True):
        path.append(number)
        did_stay = packed[number // 8] >> (7 - number % 8) & 1
        if not did_stay:
            number = best
    return path[::-1]
