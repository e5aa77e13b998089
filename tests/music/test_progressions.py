"""Pairs of chords, which of them a corpus has, and how often and by what the root moves."""

import math

import numpy as np
import pytest
from toy_music import chorale, struck_chords

from lnfgen.formats.scores import read_score
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.progressions import (
    KnownPairs,
    chord_changes,
    chord_numbers,
    chord_pairs,
    resting_bass_rate,
    tonic_rate,
    variety_of_chords,
)

C_MAJOR = (48, 55, 64)
F_MAJOR = (53, 60, 69)
G_SEVENTH = (43, 59, 65)


def test_a_pair_is_there_where_the_chord_changes() -> None:
    roll = struck_chords(C_MAJOR, C_MAJOR, F_MAJOR, C_MAJOR, F_MAJOR)
    pairs = chord_pairs(roll, tonic=0).tolist()
    assert len(pairs) == 3
    assert pairs[0] == pairs[2] != pairs[1]


def test_the_octaves_of_a_chord_above_its_bass_do_not_matter() -> None:
    wide = (48, 67, 76, 79)
    one = chord_pairs(struck_chords(C_MAJOR, F_MAJOR), tonic=0)
    assert chord_pairs(struck_chords(wide, F_MAJOR), tonic=0).tolist() == one.tolist()
    inverted = (52, 60, 67)
    assert chord_pairs(struck_chords(inverted, F_MAJOR), tonic=0).tolist() != one.tolist()


def test_pairs_are_counted_from_the_tonic() -> None:
    (song,) = read_score(chorale(), ".mxl")
    moved = song.roll.transposed(4)
    pairs = chord_pairs(song.roll, tonic=7)
    assert len(pairs) > 20
    assert chord_pairs(moved, tonic=11).tolist() == pairs.tolist()
    assert chord_pairs(moved, tonic=7).tolist() != pairs.tolist()


def test_figures_of_successive_chords() -> None:
    over_c = (48, 57, 65)  # F major above its fifth
    minor = (60, 63, 67)
    roll = struck_chords(C_MAJOR, over_c, C_MAJOR, F_MAJOR, minor)
    numbers = chord_numbers(roll, tonic=0)
    assert len(numbers) == 5
    assert variety_of_chords(numbers) == 4 / 5
    assert tonic_rate(numbers) == 3 / 5
    assert resting_bass_rate(numbers) == 2 / 4
    assert tonic_rate(chord_numbers(roll, tonic=5)) == 1 / 5
    one = numbers[:1]
    assert (variety_of_chords(one), tonic_rate(one)) == (1, 1)
    assert math.isnan(resting_bass_rate(one))
    for figure in (variety_of_chords, tonic_rate, resting_bass_rate):
        assert math.isnan(figure(numbers[:0]))


def test_silence_has_no_pairs() -> None:
    assert not len(chord_pairs(PianoRoll.from_notes([], num_steps=8), tonic=0))


def test_a_pair_is_new_if_no_other_piece_has_it() -> None:
    one = np.array([1, 2, 2])
    other = np.array([2, 3])
    known = KnownPairs([one, other])
    assert known.new_rate(np.array([1, 2, 3, 4])) == 0.25
    assert known.new_rate(one, own=1) == pytest.approx(1 / 3)  # 1 is in itself alone
    assert math.isnan(known.new_rate(np.zeros(0, int)))


def test_changes_are_counted_by_bars_and_by_fifths() -> None:
    a_minor = (45, 52, 60)
    rest: tuple[int, ...] = ()
    halves = struck_chords(C_MAJOR, a_minor, F_MAJOR, G_SEVENTH, C_MAJOR, C_MAJOR, grid=2, length=4)
    changes, by_fifths = chord_changes(halves)
    assert (changes, by_fifths) == (4 / 3, 0.25)
    with_rest = struck_chords(C_MAJOR, rest, rest, F_MAJOR, grid=1, length=4)
    assert chord_changes(with_rest)[0] == 0
    assert math.isnan(chord_changes(with_rest)[1])


def test_another_bass_is_no_change_of_chord() -> None:
    in_thirds = struck_chords(C_MAJOR, (52, 55, 60), F_MAJOR, grid=1, length=4)
    assert chord_changes(in_thirds) == (1 / 3, 1.0)


def test_other_keys_have_the_same_changes() -> None:
    (song,) = read_score(chorale(), ".mxl")
    assert chord_changes(song.roll.transposed(3)) == chord_changes(song.roll)
