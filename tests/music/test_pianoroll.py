"""The piano-roll: notes and cells say the same, cutting loses nothing, parts are an axis."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import bands, rolls
from toy_music import WALTZ, song_of_band

from lnfgen.errors import LnfgenError
from lnfgen.music.parts import ROLES, Part
from lnfgen.music.pianoroll import PianoRoll, pitched_parts

SILENCE = np.zeros((4, 88), np.bool_)


def test_a_repeated_note_and_a_held_note_differ() -> None:
    held = PianoRoll.from_notes([(0, 4, 60)])
    repeated = PianoRoll.from_notes([(0, 2, 60), (2, 2, 60)])
    assert np.array_equal(held.sounding, repeated.sounding)
    assert held != repeated
    assert held.notes() == [(0, 4, 60)]
    assert repeated.notes() == [(0, 2, 60), (2, 2, 60)]


def test_onsets_need_not_be_known() -> None:
    repeated = PianoRoll.from_notes([(0, 2, 60), (2, 2, 60)])
    assert repeated.onsets is not None
    unknown = replace(repeated, onsets=None)
    assert unknown.notes() == [(0, 4, 60)], "without onsets, a run is one note"
    late = repeated.onsets.copy()
    late[0] = False
    assert replace(repeated, onsets=late).notes() == repeated.notes(), "a note begins a run"


@given(rolls())
def test_notes_and_grid_say_the_same(roll: PianoRoll) -> None:
    notes = roll.notes()
    assert notes == sorted(notes, key=lambda note: (note[0], note[2]))
    again = PianoRoll.from_notes(notes, num_steps=roll.num_steps)
    assert np.array_equal(again.sounding, roll.sounding)
    assert np.array_equal(again.struck(), roll.struck())


def test_notes_overlap_and_last_a_step() -> None:
    roll = PianoRoll.from_notes([(0, 8, 60), (4, 2, 60), (1, 0, 62), (0, 1, 20), (0, 1, 109)])
    assert roll.notes() == [(0, 4, 60), (1, 1, 62), (4, 4, 60)]
    assert roll.num_notes == 3
    assert roll == PianoRoll.from_notes(roll.notes()), "what was left out is no part of the value"


@given(rolls() | bands(), st.integers(1, 100))
def test_cutting_loses_no_sound_and_keeps_to_bar_lines(roll: PianoRoll, max_length: int) -> None:
    pieces = roll.cut(max_length)
    assert np.array_equal(np.concatenate([piece.sounding for piece in pieces]), roll.sounding)
    lines = [*roll.bars().values(), roll.num_steps]
    bars_fit = max(np.diff(lines)) <= max_length
    position = 0
    for piece in pieces:
        assert piece.num_steps <= max_length
        assert piece.time_signature == roll.time_signature
        assert piece.tempo_bpm == roll.tempo_bpm
        if bars_fit:
            assert position in lines
        end = position + piece.num_steps
        onsets = roll.onsets[position:end].copy()  # type: ignore[index]
        onsets[0] = piece.sounding[0]
        assert np.array_equal(piece.onsets, onsets)  # type: ignore[arg-type]
        position = end


def test_bar_lines_on_a_grid_too_coarse_for_the_bar() -> None:
    silence = np.zeros((20, 88), np.bool_)
    roll = PianoRoll.of_one(silence, steps_per_quarter=1, time_signature=(5, 8))
    lines = list(roll.bars().values())
    assert lines[0] == 0
    for before, after in itertools.pairwise(lines):
        assert 2 <= after - before <= 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sounding": np.zeros((4, 1, 88))}, "float64"),
        ({"sounding": SILENCE}, "bool \\[4, 88\\]; expected bool \\[steps, parts, pitches\\]"),
        ({"sounding": np.zeros((0, 1, 88), bool)}, "at least one step, part and pitch"),
        ({"onsets": np.zeros((3, 1, 88), bool)}, "expected bool \\[4, 1, 88\\] as sounding"),
        ({"onsets": np.ones((4, 1, 88), bool)}, "nothing sounds"),
        ({"steps_per_quarter": 0}, "0 steps per quarter; expected 1 to 960"),
        ({"steps_per_quarter": 961}, "961 steps per quarter; expected 1 to 960"),
        ({"lowest_pitch": 60}, "60 to 147"),
        ({"tempo_bpm": float("nan")}, "tempo"),
        ({"tempo_bpm": 0.0}, "tempo"),
        ({"time_signature": (4, 3)}, "power of two"),
        ({"time_signature": (0, 4)}, "power of two"),
        ({"upbeat": 4}, "an upbeat of 4 steps"),
        ({"parts": (Part("bass"), Part("melody"))}, "1 parts, of which 2 are named"),
        ({"sounding": np.zeros((4, 2, 88), bool)}, "2 parts, of which 0 are named"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], said: str) -> None:
    values = {"sounding": SILENCE[:, None], "onsets": None, **change}
    with pytest.raises(LnfgenError, match=said):
        PianoRoll(**values)


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
    assert coarse.num_steps == 3
    assert coarse.steps_per_quarter == 1


@pytest.mark.parametrize("onsets_known", [True, False])
def test_transposing_moves_every_note_and_refuses_to_lose_one(onsets_known: bool) -> None:
    roll = PianoRoll.from_notes([(0, 4, 30), (4, 2, 60), (6, 2, 60), (0, 8, 100)], num_steps=9)
    if not onsets_known:
        roll = replace(roll, onsets=None)
    for semitones in (-9, 0, 8):
        moved = roll.transposed(semitones)
        expected = [(start, length, pitch + semitones) for start, length, pitch in roll.notes()]
        assert moved.notes() == expected
        assert moved.transposed(-semitones) == roll
    for semitones in (-10, 9, 300):
        with pytest.raises(LnfgenError, match=r"expected -9 to \+8"):
            roll.transposed(semitones)


def test_silence_may_be_transposed() -> None:
    silence = PianoRoll.of_one(SILENCE)
    assert silence.transposed(7) == silence


def test_a_note_before_the_piece_is_refused() -> None:
    with pytest.raises(LnfgenError, match=r"\(-1, 2, 61\) starts before the piece"):
        PianoRoll.from_notes([(0, 4, 60), (-1, 2, 61)])


def test_the_upbeat_is_bar_0() -> None:
    assert WALTZ.bars() == {0: 0, 1: 4, 2: 16, 3: 28}
    assert WALTZ.num_bars == 3
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
    assert WALTZ.on_grid(12).upbeat == 12
    assert WALTZ.on_grid(2).upbeat == 2
    assert WALTZ.on_grid(1).upbeat == 1
    sixteenth = replace(WALTZ, upbeat=1)
    assert sixteenth.on_grid(1).upbeat == 0, "it is rounded, as notes are"
    assert replace(WALTZ, upbeat=11).on_grid(1).upbeat == 0, "it is rounded to a bar"


@pytest.mark.parametrize("time_signature", [(3, 4), (5, 8), (7, 16)])
@pytest.mark.parametrize("grid", [1, 2, 4])
@pytest.mark.parametrize("upbeat", [0, 1])
def test_bar_lines_stay_where_a_piece_is_cut(
    time_signature: tuple[int, int], grid: int, upbeat: int
) -> None:
    silence = np.zeros((40, 1), np.bool_)
    whole = PianoRoll.of_one(silence, steps_per_quarter=grid, time_signature=time_signature)
    roll = whole.with_upbeat(upbeat)
    lines = bar_lines(roll)
    for start, end in itertools.combinations(range(0, 41, 3), 2):
        inside = bar_lines(roll.stretch(start, end))
        first = next((line for line in lines if line >= start), end)
        if first < end:
            assert inside[0] + start == first
    lengths = [piece.num_steps for piece in roll.cut(7)]
    assert sum(lengths) == 40
    ends = np.cumsum(lengths)[:-1].tolist()
    assert set(ends) <= set(lines) or max(np.diff(lines)) > 7


def bar_lines(roll: PianoRoll) -> list[int]:
    """Where the bars after an upbeat start."""
    return [step for number, step in roll.bars().items() if number]


# Parts.

LINE = PianoRoll.from_notes([(0, 4, 60)])


def test_a_band_has_each_part_once() -> None:
    with pytest.raises(LnfgenError, match="a band of bass, bass; expected each part once"):
        PianoRoll.of_parts([LINE, LINE], [Part("bass"), Part("bass")])


def test_a_band_has_the_steps_of_its_longest_part() -> None:
    pair = PianoRoll.of_parts([LINE, LINE.on_grid(8).on_grid(4)], [Part("bass"), Part("melody")])
    assert pair.sounding.shape == (4, 2, 88)
    longer = PianoRoll.from_notes([(2, 8, 60)])
    pair = PianoRoll.of_parts([LINE, longer], [Part("bass"), Part("melody")])
    assert pair.num_steps == 10
    assert pair.notes(0) == LINE.notes()
    assert pair.part(1) == longer
    assert "parts bass melody" in repr(pair)


@given(bands())
def test_a_band_counts_time_steps_as_its_parts_do(piece: PianoRoll) -> None:
    for number in range(piece.num_parts):
        part = piece.part(number)
        assert (part.num_steps, part.steps_per_quarter) == (
            piece.num_steps,
            piece.steps_per_quarter,
        )
        assert part.bars() == piece.bars()
        assert part.seconds == piece.seconds
        assert part.notes() == piece.notes(number)
        assert np.array_equal(part.struck()[:, 0], piece.struck()[:, number])
        for top in (True, False):
            assert np.array_equal(part.edge_keys(top)[:, 0], piece.edge_keys(top)[:, number])


@pytest.mark.parametrize("grid", [480, 960])
def test_a_band_may_have_as_fine_a_grid_as_one_part(grid: int) -> None:
    fine = song_of_band(1).on_grid(grid)
    assert fine.steps_per_quarter == grid
    assert fine.part(1) == song_of_band(1).part(1).on_grid(grid)


def test_drums_are_struck_wherever_they_sound() -> None:
    held = PianoRoll.from_notes([(0, 3, 36), (4, 2, 36)])
    pair = PianoRoll.of_parts([held, held], [Part("drums"), Part("bass")])
    assert pair.notes(0) == [(0, 1, 36), (4, 1, 36)]
    assert pair.notes(1) == held.notes()
    finer = pair.on_grid(8)
    assert finer.notes(0) == [(0, 1, 36), (8, 1, 36)]


def test_a_band_is_merged_without_its_drums() -> None:
    song = song_of_band(1)
    merged = song.merged
    assert merged.sounding.shape == (song.num_steps, 1, song.num_pitches)
    assert np.array_equal(merged.sounding[:, 0], song.sounding[:, 1:].any(axis=1))
    assert not merged.parts
    assert merged.merged is merged
    drums = PianoRoll.of_parts([LINE], [Part("drums")])
    assert not drums.merged.sounding.any()
    assert pitched_parts(drums).notes() == [(0, 1, 60)]
    assert pitched_parts(song) == merged


def test_drums_stay_where_a_band_is_transposed() -> None:
    song = song_of_band(1)
    moved = song.transposed(2)
    assert moved.part(0) == song.part(0)
    for number in (1, 2, 3):
        assert moved.part(number) == song.part(number).transposed(2)


def test_a_piece_plays_in_the_parts_that_are_wanted() -> None:
    song = song_of_band(1)
    every = [Part(role) for role in ROLES]
    assert song.in_parts(every) is song
    assert song.in_parts([]) == song.merged
    pair = song.in_parts([Part("melody"), Part("bass", 33)])
    assert pair.roles == ("melody", "bass")
    assert pair.notes(0) == song.notes(3)
    assert pair.notes(1) == song.notes(1)
    alone = song.part(2).in_parts(every)
    assert alone.notes(2) == song.notes(2), "music with chords plays the chords"
    assert song.part(3).in_parts(every).notes(3) == song.notes(3), "a line is a melody"
    assert song.part(3).in_parts(every, "bass").notes(1) == song.notes(3)


def test_only_some_cells_of_a_roll() -> None:
    roll = PianoRoll.from_notes([(0, 4, 60), (2, 4, 64)])
    cells = np.zeros(roll.sounding.shape, np.bool_)
    cells[:3] = True
    assert roll.only(cells).notes() == [(0, 3, 60), (2, 1, 64)]
    assert roll.only(~np.zeros_like(cells)) == roll
