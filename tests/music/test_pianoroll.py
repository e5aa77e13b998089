"""The piano-roll's own properties: notes and grid say the same, and cutting loses nothing."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import rolls
from toy_music import WALTZ

from lnfgen.errors import LnfgenError
from lnfgen.music.pianoroll import PianoRoll


def test_a_repeated_note_and_a_held_note_differ() -> None:
    held = PianoRoll.from_notes([(0, 4, 60)])
    repeated = PianoRoll.from_notes([(0, 2, 60), (2, 2, 60)])
    assert np.array_equal(held.sounding, repeated.sounding)
    assert held != repeated
    assert held.notes() == [(0, 4, 60)]
    assert repeated.notes() == [(0, 2, 60), (2, 2, 60)]
    assert PianoRoll(repeated.sounding, None).notes() == [(0, 4, 60)], (
        "without onsets, a run is one note"
    )
    late = repeated.onsets.copy()  # type: ignore[union-attr]
    late[0] = False
    assert PianoRoll(repeated.sounding, late).notes() == repeated.notes(), (
        "a note need not have an onset"
    )


@given(rolls())
def test_notes_and_grid_say_the_same(roll: PianoRoll) -> None:
    notes = roll.notes()
    assert notes == sorted(notes, key=lambda note: (note[0], note[2]))
    again = PianoRoll.from_notes(notes, num_steps=roll.num_steps)
    assert np.array_equal(again.sounding, roll.sounding)
    assert np.array_equal(again.struck(), roll.struck())


def test_notes_overlap_are_counted_out_of_range_and_last_a_step() -> None:
    roll = PianoRoll.from_notes([(0, 8, 60), (4, 2, 60), (1, 0, 62), (0, 1, 20), (0, 1, 109)])
    assert roll.notes() == [(0, 4, 60), (1, 1, 62), (4, 4, 60)]
    assert roll.losses["out_of_range"] == 2
    assert roll == PianoRoll.from_notes(roll.notes()), "what was left out is no part of equality"


@given(rolls(), st.integers(1, 100))
def test_cutting_loses_no_sound_and_keeps_to_bar_lines(roll: PianoRoll, max_length: int) -> None:
    pieces = roll.cut(max_length)
    assert np.array_equal(np.concatenate([piece.sounding for piece in pieces]), roll.sounding)
    assert all(piece.num_steps <= max_length for piece in pieces)
    assert {(piece.time_signature, piece.tempo_bpm) for piece in pieces} == {
        (roll.time_signature, roll.tempo_bpm)
    }
    lines = [*roll.bars().values(), roll.num_steps]
    position = 0
    for piece in pieces:
        if max(np.diff(lines)) <= max_length:
            assert position in lines
        onsets = roll.onsets[position : position + piece.num_steps].copy()  # type: ignore[index]
        onsets[0] = piece.sounding[0]
        assert np.array_equal(piece.onsets, onsets)  # type: ignore[arg-type]
        position += piece.num_steps


def test_bar_lines_on_a_grid_too_coarse_for_the_bar() -> None:
    roll = PianoRoll(
        np.zeros((20, 88), dtype=bool), None, steps_per_quarter=1, time_signature=(5, 8)
    )
    lines = list(roll.bars().values())
    assert lines[0] == 0
    assert all(2 <= after - before <= 3 for before, after in itertools.pairwise(lines))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sounding": np.zeros((4, 88))}, "float64"),
        ({"sounding": np.zeros(4, dtype=bool)}, "bool \\[4\\]"),
        ({"sounding": np.zeros((0, 88), dtype=bool)}, "at least one step"),
        ({"onsets": np.zeros((3, 88), dtype=bool)}, "onsets"),
        ({"onsets": np.ones((4, 88), dtype=bool)}, "nothing sounds"),
        ({"steps_per_quarter": 0}, "steps per quarter"),
        ({"lowest_pitch": 60}, "60 to 147"),
        ({"tempo_bpm": float("nan")}, "tempo"),
        ({"tempo_bpm": 0.0}, "tempo"),
        ({"time_signature": (4, 3)}, "power of two"),
        ({"time_signature": (0, 4)}, "power of two"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, object], said: str) -> None:
    values: dict[str, object] = {
        "sounding": np.zeros((4, 88), dtype=bool),
        "onsets": None,
        **change,
    }
    with pytest.raises(LnfgenError, match=said):
        PianoRoll(**values)  # type: ignore[arg-type]


@given(rolls(), st.integers(2, 6))
def test_a_finer_grid_and_back_is_the_same_piece(roll: PianoRoll, times: int) -> None:
    grid = roll.steps_per_quarter
    for piece in (roll, replace(roll, onsets=None)):
        finer = piece.on_grid(times * grid)
        assert (finer.num_steps, finer.steps_per_quarter) == (times * roll.num_steps, times * grid)
        assert finer.on_grid(grid) == piece
        assert piece.on_grid(grid) is piece


def test_a_coarser_grid_rounds_to_the_nearest_step_and_loses_no_note() -> None:
    # In sixteenths: a note on the beat, one after it, one just before the next beat, one of an
    # eighth at the end.
    roll = PianoRoll.from_notes([(0, 4, 60), (5, 1, 62), (7, 1, 64), (8, 2, 65)], num_steps=10)
    coarse = roll.on_grid(1)
    assert coarse.notes() == [(0, 1, 60), (1, 1, 62), (2, 1, 64), (2, 1, 65)]
    assert (coarse.num_steps, coarse.steps_per_quarter) == (3, 1)


def test_transposing_moves_every_note_and_refuses_to_lose_one() -> None:
    for onsets_known in (True, False):
        roll = PianoRoll.from_notes([(0, 4, 30), (4, 2, 60), (6, 2, 60), (0, 8, 100)], num_steps=9)
        roll = roll if onsets_known else replace(roll, onsets=None)
        for semitones in (-9, 0, 8):
            moved = roll.transposed(semitones)
            assert moved.notes() == [
                (start, length, pitch + semitones) for start, length, pitch in roll.notes()
            ]
            assert moved.transposed(-semitones) == roll
        for semitones in (-10, 9, 300):
            with pytest.raises(LnfgenError, match=r"expected -9 to \+8"):
                roll.transposed(semitones)
    silence = PianoRoll(np.zeros((4, 88), dtype=bool), None)
    assert silence.transposed(7) == silence


def test_transposing_moves_what_a_model_drew_too() -> None:
    drawn = np.zeros((8, 128), dtype=bool)
    drawn[:, 60] = True
    moved = replace(PianoRoll.from_notes([(0, 4, 60), (4, 4, 64)]), drawn=drawn).transposed(3)
    assert [moved.was_drawn(note) for note in moved.notes()] == [True, False]


def test_a_note_before_the_piece_is_refused() -> None:
    with pytest.raises(LnfgenError, match=r"\(-1, 2, 61\) starts before the piece"):
        PianoRoll.from_notes([(0, 4, 60), (-1, 2, 61)])


def test_the_upbeat_is_bar_0() -> None:
    assert (WALTZ.bars(), WALTZ.num_bars) == ({0: 0, 1: 4, 2: 16, 3: 28}, 3)
    plain = replace(WALTZ, upbeat=0)
    assert plain.bars() == {1: 0, 2: 12, 3: 24}
    assert plain != WALTZ
    assert "upbeat of 4" in repr(WALTZ)
    for steps in (-1, 12, 40):
        with pytest.raises(LnfgenError, match=f"an upbeat of {steps} steps"):
            replace(WALTZ, upbeat=steps)
    assert plain.with_upbeat(12) == plain


def test_a_piece_that_is_changed_keeps_its_upbeat() -> None:
    assert WALTZ.transposed(3).in_range(36, 60).upbeat == 4
    assert (WALTZ.on_grid(12).upbeat, WALTZ.on_grid(2).upbeat, WALTZ.on_grid(1).upbeat) == (
        12,
        2,
        1,
    )
    sixteenth = replace(WALTZ, upbeat=1)
    assert sixteenth.on_grid(1).upbeat == 0, "it is rounded, as notes are"
    assert replace(WALTZ, upbeat=11).on_grid(1).upbeat == 0, "it is rounded to a bar"


@pytest.mark.parametrize("metre", [(3, 4), (5, 8), (7, 16)])
@pytest.mark.parametrize("grid", [1, 2, 4])
def test_bar_lines_stay_where_a_piece_is_cut(metre: tuple[int, int], grid: int) -> None:
    whole = PianoRoll(np.zeros((40, 1), np.bool_), None, grid, time_signature=metre)
    for roll in (whole, whole.with_upbeat(1)):
        lines = [step for number, step in roll.bars().items() if number]
        for start, end in itertools.combinations(range(0, 41, 3), 2):
            inside = [step for number, step in roll.stretch(start, end).bars().items() if number]
            first = next((line for line in lines if line >= start), end)
            if first < end:
                assert inside[0] + start == first
        pieces = roll.cut(7)
        assert sum(piece.num_steps for piece in pieces) == 40
        ends = np.cumsum([piece.num_steps for piece in pieces])[:-1].tolist()
        assert set(ends) <= set(lines) or max(np.diff(lines)) > 7
