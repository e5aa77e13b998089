"""Notes become cells and cells become notes; on another grid they go to the nearest step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnfgen.music.notes import (
    cells_of_notes,
    nearest_step,
    notes_of_cells,
    notes_on_grid,
    starts_of,
)

NOTES = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9), st.integers(60, 63)), max_size=12)


@given(NOTES)
def test_cells_have_the_notes_that_they_were_made_of(notes: list[tuple[int, int, int]]) -> None:
    sounding, onsets = cells_of_notes(notes, 1, 60, 4)
    found = notes_of_cells(sounding, starts_of(sounding, onsets), 60)
    assert {(start, pitch) for start, _, pitch in found} == {
        (start, pitch) for start, _, pitch in notes
    }
    expected = np.zeros_like(sounding)
    for start, length, pitch in notes:
        expected[start : start + length, pitch - 60] = True
    assert np.array_equal(sounding, expected)


def test_a_note_lasts_a_step_and_has_a_column() -> None:
    sounding, onsets = cells_of_notes([(2, 0, 60), (0, 5, 59)], 3, 60, 2)
    assert sounding.shape == (5, 2)
    assert np.argwhere(sounding).tolist() == [[2, 0]]
    assert np.argwhere(onsets).tolist() == [[2, 0]]


@pytest.mark.parametrize(("step", "expected"), [(0, 0), (1, 0), (2, 1), (3, 1), (5, 1), (6, 2)])
def test_half_a_step_goes_to_the_later_one(step: int, expected: int) -> None:
    assert nearest_step(step, 4, 1) == expected


def test_notes_on_a_coarser_grid_may_have_no_length() -> None:
    assert notes_on_grid([(0, 1, 60), (3, 4, 62)], 4, 1) == [(0, 0, 60), (1, 1, 62)]
    assert notes_on_grid([(1, 2, 60)], 2, 6) == [(3, 6, 60)]
