"""Distributions of the figures of music: samples against a reference, a panel for each figure."""

import math
from typing import Any

import numpy as np

from lnfgen.music.comparison import FigureRow, MusicComparison, spread
from lnfgen.plots.canvas import (
    ACCENT,
    DARK,
    MID,
    file_bytes,
    new_figure,
    set_title,
    show_legend,
    style_axis,
)

_COLUMNS = 4
_BINS = 16


def figure_distributions(
    comparison: MusicComparison, title: str, samples: str, reference: str, suffix: str
) -> bytes:
    """Draw a histogram of each figure on both sides.

    It is filled for the reference and a line for the samples. The grey region is from the
    reference's 5 % to its 95 % quantile, and the title of a panel says what share of the samples is
    inside. Both histograms have the same area, whatever the sizes of the sides are.

    Args:
        samples, reference: what the legend calls the sides.
    """
    rows = list(comparison.figures.values())
    lines = math.ceil(len(rows) / _COLUMNS)
    figure = new_figure(3.3 * _COLUMNS, 1.75 * lines + 0.8)
    grid = figure.subplots(lines, _COLUMNS, squeeze=False)
    for axis, row in zip(grid.flat, rows, strict=False):
        _draw_row(axis, row, samples, reference)
    for axis in grid.flat[len(rows) :]:
        axis.set_visible(False)
    show_legend(figure, grid[0, 0])
    set_title(figure, title)
    return file_bytes(figure, suffix)


def _draw_row(axis: Any, row: FigureRow, samples: str, reference: str) -> None:
    """Draw the panel of one figure."""
    of_reference = row.reference[~np.isnan(row.reference)]
    of_samples = row.samples[~np.isnan(row.samples)]
    known = np.concatenate([of_reference, of_samples])
    first = 0.0
    last = 1.0
    if len(known):
        # A few extreme values would press all others into one bar; they are counted in the first or
        # the last one.
        first, last = np.quantile(known, (0.005, 0.995)).tolist()
    low, _, high = spread(row.reference)
    if not math.isnan(low):
        first = min(first, low)
        last = max(last, high)
        axis.axvspan(
            low, high, color="#000000", alpha=0.07, linewidth=0, label=f"{reference}, 5 to 95 %"
        )
    margin = 0.02 * (last - first) or 0.5
    edges = np.linspace(first - margin, last + margin, _BINS + 1)

    def shares(values: np.ndarray) -> np.ndarray:
        counts, _ = np.histogram(np.clip(values, first, last), edges)
        return counts / max(len(values), 1)

    axis.stairs(shares(of_reference), edges, fill=True, color=MID, alpha=0.75, label=reference)
    axis.stairs(shares(of_samples), edges, color=ACCENT, linewidth=1.6, label=samples)
    axis.set_title(row.label, loc="left", fontsize=8, parse_math=False)
    if not math.isnan(row.inside):
        axis.set_title(f"{100 * row.inside:.0f} % inside", loc="right", fontsize=8, color=DARK)
    axis.set_xlim(edges[0], edges[-1])
    axis.set_yticks([])
    style_axis(axis, grid="x")
    axis.spines["left"].set_visible(False)
