"""Figures of form: what sixteen bars of a band do."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from lnfgen.music import form
from lnfgen.music.form import FORM_FIGURES, LONG_BARS, is_long, long_passage
from lnfgen.music.notes import Note
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import PianoRoll

BAR = 16
PARTS = (Part("drums"), Part("bass"), Part("melody"))

A = (0, 4, 7)
B = (2, 5, 9)


def _band(
    drums: Sequence[Note] = (),
    bass: Sequence[Note] = (),
    melody: Sequence[Note] = (),
) -> PianoRoll:
    """A band of sixteen bars."""
    rolls = []
    for notes in (drums, bass, melody):
        rolls.append(PianoRoll.from_notes(notes, num_steps=LONG_BARS * BAR))
    return PianoRoll.of_parts(rolls, PARTS)


def _bars(*bars: tuple[int, ...]) -> list[Note]:
    """Notes in quarters, a tuple of intervals above C4 for each bar."""
    notes = []
    for number, intervals in enumerate(bars):
        for place, interval in enumerate(intervals):
            notes.append((number * BAR + 4 * place, 4, 60 + interval))
    return notes


def test_a_song_that_stands_still_has_no_new_bars() -> None:
    still = _band(melody=_bars(*[A] * 16))
    assert form.stale_bar_rate(still) == 15 / 16
    assert form.different_keys(still) == 3
    moving = _band(melody=_bars(*[tuple(range(bar, bar + 3)) for bar in range(16)]))
    assert form.stale_bar_rate(moving) == 0
    assert form.different_keys(moving) == 18
    assert math.isnan(form.stale_bar_rate(_band()))


def test_a_note_is_new_for_its_part_and_its_place_in_the_bar() -> None:
    roll = _band(melody=_bars(A, A, (4, 0, 7), A, *[()] * 12), bass=[(3 * BAR, 4, 60)])
    # the third and the fourth bar have something new, silent bars have not
    assert form.stale_bar_rate(roll) == 13 / 16


def test_a_bar_returns_after_others_alone() -> None:
    in_turns = _band(melody=_bars(*[A, B] * 8))
    assert form.return_rate(in_turns) == 0
    sections = [A] * 4 + [B, (1, 3, 6), B, (1, 2, 3), (2, 3, 4)] + [A] * 7
    assert form.return_rate(_band(melody=_bars(*sections))) == 1 / 16
    assert math.isnan(form.return_rate(_band(drums=_bars(*[A] * 16))))


def test_parts_that_enter_at_the_lines_of_sections() -> None:
    fifth = [A if bar >= 4 else () for bar in range(16)]
    sixth = [A if bar >= 5 else () for bar in range(16)]
    every = [A] * 16
    assert form.entry_rate(_band(melody=_bars(*fifth), bass=_bars(*every))) == 1
    assert form.entry_rate(_band(melody=_bars(*fifth), bass=_bars(*sixth))) == 0.5
    assert math.isnan(form.entry_rate(_band(melody=_bars(*every))))


@pytest.mark.parametrize(
    ("extra", "pattern", "slips"), [(0, 1, 0), (1, 1, 1 / 15), (2, 1, 1 / 15), (3, 14 / 15, 0)]
)
def test_a_bar_that_is_a_stroke_off_is_a_slip(extra: int, pattern: float, slips: float) -> None:
    beat = [(BAR * bar + 4 * quarter, 1, 36) for bar in range(16) for quarter in range(4)]
    strokes = [(BAR * 7 + 1 + 2 * number, 1, 42) for number in range(extra)]
    roll = _band(drums=[*beat, *strokes])
    assert form.drum_pattern_rate(roll) == pytest.approx(pattern)
    # bar 8 alone is compared with others; those after it have their like before it
    assert form.slip_rate(roll) == pytest.approx(slips)


def test_the_longest_note_is_that_of_any_pitched_part() -> None:
    roll = _band(drums=[(0, 200, 36)], bass=[(0, 40, 36)], melody=[(0, 8, 72)])
    assert form.longest_note(roll) == 10
    assert math.isnan(form.longest_note(_band(drums=[(0, 200, 36)])))


def test_a_long_passage_is_the_first_sixteen_bars_of_a_band() -> None:
    roll = _band(melody=_bars(*[A] * 16))
    assert is_long(roll)
    assert long_passage(roll) == roll
    assert not is_long(roll.stretch(0, 15 * BAR))
    assert not is_long(roll.merged)
    upbeat = roll.stretch(BAR - 4, LONG_BARS * BAR)
    assert not is_long(upbeat)


def test_silence_has_values_that_are_not_known() -> None:
    for name, figure in FORM_FIGURES.items():
        value = figure.value(_band())
        assert math.isnan(value) or value == 0, name
    known = [figure.value(_band(drums=_bars(*[A] * 16))) for figure in FORM_FIGURES.values()]
    assert np.isnan(known[1])
