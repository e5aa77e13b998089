"""Histograms of the figures of music, on both sides."""

from types import SimpleNamespace

import numpy as np
import pytest

from lnfgen.music.figure_rows import FigureRow
from lnfgen.plots.distributions import figure_distributions


def _row(label: str, samples: np.ndarray, reference: np.ndarray) -> FigureRow:
    """A row of windows that are each of a song of their own."""
    of_songs = (np.arange(len(samples)), np.arange(len(reference)))
    return FigureRow(label, samples, reference, of_songs)


def svg(rows: list[FigureRow]) -> bytes:
    comparison = SimpleNamespace(figures={row.label: row for row in rows})
    return figure_distributions(comparison, "a $title$", "samples", "reference", ".svg")


@pytest.mark.parametrize("count", [1, 4, 5])
def test_there_is_a_panel_for_each_figure(count):
    values = np.linspace(0, 1, 50)
    rows = [_row(f"label {i}", values, values**2) for i in range(count)]
    drawn = svg(rows)
    for i in range(count):
        assert f"<!-- label {i} -->".encode() in drawn
    assert b"% inside" in drawn
    assert drawn == svg(rows)


def test_a_figure_without_values_and_one_of_a_single_value_are_drawn():
    nothing = np.full(3, np.nan)
    drawn = svg(
        [
            _row("none", nothing, nothing),
            _row("one side", np.ones(3), nothing),
            _row("one value", np.ones(3), np.ones(3)),
        ]
    )
    assert drawn.count(b"% inside") == 1
