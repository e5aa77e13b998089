"""Histograms of the figures of music, on both sides."""

from types import SimpleNamespace

import numpy as np
import pytest

from lnfgen.music.comparison import FigureRow
from lnfgen.plots.distributions import figure_distributions


def svg(rows: list[FigureRow]) -> bytes:
    comparison = SimpleNamespace(figures={row.label: row for row in rows})
    return figure_distributions(comparison, "a $title$", "samples", "reference", ".svg")


@pytest.mark.parametrize("count", [1, 4, 5])
def test_there_is_a_panel_for_each_figure(count):
    values = np.linspace(0, 1, 50)
    rows = [FigureRow(f"label {i}", samples=values, reference=values**2) for i in range(count)]
    drawn = svg(rows)
    for i in range(count):
        assert f"<!-- label {i} -->".encode() in drawn
    assert b"% inside" in drawn
    assert drawn == svg(rows)


def test_a_figure_without_values_and_one_of_a_single_value_are_drawn():
    nothing = np.full(3, np.nan)
    drawn = svg(
        [
            FigureRow("none", samples=nothing, reference=nothing),
            FigureRow("one side", samples=np.ones(3), reference=nothing),
            FigureRow("one value", samples=np.ones(3), reference=np.ones(3)),
        ]
    )
    assert drawn.count(b"% inside") == 1
