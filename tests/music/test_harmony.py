"""Figures of harmony on small pieces whose values can be counted by hand."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from toy_music import struck_chords

from lnfgen.music import harmony
from lnfgen.music.pianoroll import PianoRoll

C_MAJOR = (48, 55, 64, 72)
F_MAJOR = (53, 57, 65, 72)
G_SEVEN = (55, 59, 62, 65)


def of_lengths(*lengths: int, upbeat: int = 0) -> PianoRoll:
    """The same chord again and again, for so many eighths each."""
    starts = itertools.accumulate(lengths, initial=0)
    notes = []
    for start, length in zip(starts, lengths, strict=False):
        notes += [(start, length, pitch) for pitch in C_MAJOR]
    return replace(PianoRoll.from_notes(notes, steps_per_quarter=2), upbeat=upbeat)


def test_a_close_is_a_chord_that_lasts_twice_as_long_as_the_median_one() -> None:
    def of(*lengths: int, upbeat: int = 0) -> float:
        return harmony.close_distance(of_lengths(*lengths, upbeat=upbeat))

    # The median chord is one step. The closes start at the steps 3, 8 and 15.
    assert of(1, 1, 1, 2, 1, 1, 1, 4, 1, 1, 1, 3, 1) == pytest.approx((5 + 7) / 2 / 2)
    assert math.isnan(of(1, 1, 1, 2, 1, 1))  # one close alone
    assert math.isnan(of(2, 2, 2, 2))
    assert math.isnan(of(2, 2, 3, 2, 2, 3, 2))
    assert of(1, 1, 1, 2, 1, 1, 1, 4, 1, 1, 1, 3, 1, upbeat=2) == pytest.approx(3)


def test_what_is_no_close() -> None:
    """A voice that moves under the others ends the chord; a rest is no chord, however long."""
    low = [(step, 1, 48 + step % 2) for step in range(8)]
    moving = PianoRoll.from_notes([(0, 8, 72), *low], steps_per_quarter=2)
    assert math.isnan(harmony.close_distance(moving))
    rests = struck_chords((60,), (), (), (), (62,), (), (), (), (60,))
    assert math.isnan(harmony.close_distance(rests))
    assert math.isnan(harmony.close_distance(struck_chords((), ())))


def test_chords_last_until_a_key_changes() -> None:
    roll = PianoRoll.from_notes([(1, 3, 60), (2, 2, 64), (6, 1, 60), (7, 1, 60)], num_steps=9)
    starts, lengths = harmony.chords(roll.sounding[:, 0], roll.struck()[:, 0])
    assert starts.tolist() == [1, 2, 6, 7]
    assert lengths.tolist() == [1, 2, 1, 1]


def test_the_best_scale() -> None:
    d_major = [(pitch,) for pitch in (62, 64, 66, 67, 69, 71, 73, 74)]  # D twice
    assert harmony.scale_consistency(struck_chords(*d_major)) == 1
    chromatic = [(pitch,) for pitch in range(60, 72)]
    assert harmony.scale_consistency(struck_chords(*chromatic)) == pytest.approx(7 / 12)


@pytest.mark.parametrize(
    ("pitches", "is_chord", "clashes"),
    [
        (C_MAJOR, True, False),
        (G_SEVEN, True, False),
        ((60, 64, 67, 71), True, True),  # a major seventh holds a semitone, an octave lower
        ((60, 64), True, False),
        ((60,), True, False),
        ((60, 63, 66, 69), True, False),
        ((60, 62, 67), False, False),  # a suspension
        ((60, 61, 62), False, True),
        ((48, 73), True, True),  # within a major seventh
    ],
)
def test_chords_and_clashes(pitches: Sequence[int], is_chord: bool, clashes: bool) -> None:
    roll = struck_chords((), pitches)
    assert harmony.chord_rate(roll) == is_chord
    assert harmony.clash_rate(roll) == clashes


def test_voices_move_in_order() -> None:
    roll = struck_chords(C_MAJOR, C_MAJOR, F_MAJOR, (53, 57, 65), C_MAJOR)
    # One chord changes to another one of as many keys: by 5, 2, 1 and 0.
    assert harmony.voice_move(roll) == pytest.approx(2)
    assert math.isnan(harmony.voice_move(struck_chords(C_MAJOR, (60,), C_MAJOR)))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((48, 55), (50, 57), 1),  # fifths
        ((48, 60), (50, 62), 1),  # octaves
        ((48, 67), (50, 57), 0),  # the upper voice comes down: contrary motion
        ((48, 67), (43, 50), 1),  # a twelfth and a fifth, both down
        # fifth and octave; the fourth between the upper voices is none
        ((48, 55, 60), (50, 57, 62), 2),
        ((48, 55), (48, 57), 0),
        ((48, 55), (50, 56), 0),  # a diminished fifth
        ((48, 52), (50, 54), 0),  # thirds
    ],
)
def test_parallels(before: Sequence[int], after: Sequence[int], expected: int) -> None:
    assert harmony.parallel_rate(struck_chords(before, after)) == expected
    # each of the two changes
    assert harmony.parallel_rate(struck_chords(before, after, after, before)) == expected


@pytest.mark.parametrize(
    ("chord", "root"),
    [
        ((0, 4, 7), 0),
        ((4, 7, 0), 0),
        ((9, 0, 4), 9),
        ((0, 7), 0),
        ((5, 0), 5),
        ((9, 0, 4, 7), 9),
        ((0, 3), 0),
        ((2,), 2),
        ((0, 1, 2), -1),
    ],
)
def test_roots_of_chords(chord: Sequence[int], root: int) -> None:
    _, roots = harmony.chord_table()
    assert roots[sum(1 << note for note in chord)] == root
