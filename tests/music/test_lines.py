"""Figures of pitches and lines on small pieces whose values can be counted by hand."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from toy_music import song_of_band, struck_chords

from lnfgen.music import lines
from lnfgen.music.figures import music_figures
from lnfgen.music.pianoroll import PianoRoll

CHORD = (48, 55, 64, 72)


def test_keys_a_step() -> None:
    roll = struck_chords(CHORD, CHORD, (*CHORD, 76), (60,), ())
    assert lines.exact_polyphony_rate(roll, 4) == pytest.approx(2 / 5)
    assert lines.polyphony(roll) == pytest.approx(14 / 4)
    assert lines.keys_at(roll).tolist() == [4, 4, 5, 1, 0]
    assert lines.different_keys(roll) == 6
    assert lines.median_of_notes(roll) == 62  # between 60 and 64
    assert math.isnan(lines.different_keys(struck_chords(())))


def test_lines_skip_repeated_notes_and_silence() -> None:
    roll = struck_chords((48, 72), (48, 72), (50, 74), (), (50, 82), (43, 83))
    figures = music_figures(4)

    def of_four(name: str, roll: PianoRoll) -> float:
        return figures[name].value(roll)

    assert of_four("top_interval", roll) == pytest.approx((2 + 8 + 1) / 3)
    assert of_four("top_leap_rate", roll) == pytest.approx(1 / 3)
    assert of_four("bass_interval", roll) == pytest.approx((2 + 7) / 2)
    assert of_four("top_pitch", roll) == 74  # of 72, 72, 74, 82, 83
    assert of_four("bass_pitch", roll) == 48  # of 48, 48, 50, 50, 43
    assert of_four("bass_pitch", replace(roll, lowest_pitch=33)) == 60
    fifth = struck_chords((60,), (67,))
    assert of_four("top_leap_rate", fifth) == 0  # a fifth is not over a fifth
    held = PianoRoll.from_notes([(0, 3, 60), (3, 1, 72)], steps_per_quarter=2)
    assert of_four("top_pitch", held) == 60  # a median over time


def test_leaps_of_a_band_are_those_of_its_pitched_parts() -> None:
    piece = song_of_band(1)
    assert lines.leaps(piece) == lines.leaps(piece.merged)
    assert lines.leaps(struck_chords((60,), (68,), (61,))) == 1


def test_bars_whose_melody_came_before() -> None:
    def of(
        *keys: Sequence[int], upbeat: int = 0, time_signature: tuple[int, int] = (2, 8)
    ) -> float:
        roll = struck_chords(*keys, time_signature=time_signature)
        return lines.melody_bar_rate(replace(roll, upbeat=upbeat))

    # over other notes
    assert of((60,), (62,), (48, 60), (50, 62), (60,), (64,)) == pytest.approx(1 / 3)
    # a rest is part of its bar
    assert of((60,), (62,), (), (60,), (), (60,)) == pytest.approx(1 / 3)
    assert of((60,), (62,), (), (), (), ()) == 0  # silent bars do not count
    # the last bar is not whole
    assert of((62,), (60,), (62,), (60,), (62,), (60,), upbeat=1) == pytest.approx(1 / 2)
    assert math.isnan(of((), (), (60,)))
    notes = [(0, 1, 60), (1, 1, 60), (2, 2, 60)]
    held = PianoRoll.from_notes(notes, steps_per_quarter=2, time_signature=(2, 8))
    assert lines.melody_bar_rate(held) == 0
    five = [(pitch,) for pitch in (60, 62, 64, 65, 67)] * 2
    assert of(*five, time_signature=(5, 8)) == pytest.approx(1 / 2)


def test_a_melody_comes_again_over_other_chords() -> None:
    tune = (60, 62, 64, 67, 65)
    first = [(pitch, 50) for pitch in tune]
    second = [(pitch, 47, 43) for pitch in tune]
    # of seven stretches of four notes, the last two
    assert lines.melody_repeat_rate(struck_chords(*first, *second)) == pytest.approx(2 / 7)
    higher = [(pitch + 2,) for pitch in tune]
    assert lines.melody_repeat_rate(struck_chords(*first, *higher)) == 0
    slower: list[Sequence[int]] = []
    for pitch in tune:
        slower += [(pitch,), ()]
    assert lines.melody_repeat_rate(struck_chords(*first, *slower)) == 0
    assert math.isnan(lines.melody_repeat_rate(struck_chords((60,), (62,), (64,))))
    assert math.isnan(lines.melody_repeat_rate(struck_chords((), ())))


def test_a_held_note_is_one_note_and_again_the_highest() -> None:
    held = PianoRoll.from_notes([(0, 2, 60), (2, 1, 62), (3, 1, 64)], steps_per_quarter=2)
    assert math.isnan(lines.melody_repeat_rate(held)), "three notes"
    under = PianoRoll.from_notes([(0, 4, 60), (1, 1, 62), (4, 1, 64)], steps_per_quarter=2)
    line, begins = lines.melody(under)
    assert (line + under.lowest_pitch).tolist() == [60, 62, 60, 60, 64]
    assert begins.tolist() == [True, True, True, False, True]
