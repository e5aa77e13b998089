"""Latent panels: the prior's density at a few steps, and over it the posteriors of the values that may stand there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lnfgen.data.encoding import Encoding
from lnfgen.plots.canvas import ACCENT, MID, file_bytes, new_figure, set_title, show_legend_below
from lnfgen.plots.steps import LatentStep, candidate_labels, step_title

if TYPE_CHECKING:
    from lnfgen.plots.conditionals import Extent, View, Views

_MASSES = (0.95, 0.8, 0.6, 0.4, 0.2)  # contours: the smallest regions that hold these shares of the density
_LABEL_DISTANCE = 0.042  # of a panel's width


def draw_views(steps: Sequence[LatentStep], seen: Views, encoding: Encoding, title: str, suffix: str = ".png") -> bytes:
    """Draw what `conditionals.views_of` gives: a panel for each step, with titles and labels from the encoding.

    The prior's density is drawn as filled contours, the smallest regions that hold 20, 40, 60, 80 and 95 % of it. Each
    candidate's posterior is two ellipses over it, at 1 and 2 standard deviations, bold for the candidate that the piece
    has. Labels that are numbers are explained below the panels.
    """
    labels, key = candidate_labels(steps, encoding)
    columns = min(len(steps), 2)
    rows = math.ceil(len(steps) / columns)
    figure = new_figure(4.6 * columns, 4.3 * rows + 0.4)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for index, (axis, step, view, names) in enumerate(zip(grid.flat, steps, seen.views, labels, strict=False)):
        _draw_density(axis, view.density, seen.extent)
        _draw_posteriors(axis, view, names, step.true, seen.extent)
        axis.set_title(step_title(step, encoding), loc="left", fontsize=9, parse_math=False)
        lowest = index + columns >= len(steps)
        axis.tick_params(labelsize=8, labelbottom=lowest)
        if lowest:
            axis.set_xlabel(f"latent feature {seen.features[0]}", fontsize=9)
        if index % columns == 0:
            axis.set_ylabel(f"latent feature {seen.features[1]}", fontsize=9)
    for axis in grid.flat[len(steps) :]:
        axis.set_visible(False)
    grid[0, 0].set(xlim=seen.extent[:2], ylim=seen.extent[2:])  # for all panels
    set_title(
        figure, f"{title}\ncontours: p(z_t | {seen.given}); ellipses: q(z_t | x) of each candidate, the true one bold"
    )
    if key:
        from matplotlib.lines import Line2D

        marks = [Line2D([], [], linestyle="none")] * len(key)
        show_legend_below(figure, marks, key, columns=3, loc="outside lower left", handlelength=0)
    return file_bytes(figure, suffix)


def _draw_density(axis: Any, density: np.ndarray, extent: Extent) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    ordered = np.sort(density.ravel())[::-1]
    held = np.cumsum(ordered)
    levels = np.unique(ordered[np.searchsorted(held[:-1], np.array(_MASSES) * held[-1])])
    if len(levels) < 2:  # the window shows none of the density
        return
    shades = LinearSegmentedColormap.from_list("shades", ["#edf3f8", "#7fa8cc"])
    top = max(density.max(), levels[-1] * 1.001)
    axis.contourf(density, levels=[*levels, top], cmap=shades, origin="lower", extent=extent)
    axis.contour(density, levels=levels, colors=MID, linewidths=0.6, origin="lower", extent=extent)


def _draw_posteriors(axis: Any, view: View, labels: Sequence[str], true: int, extent: Extent) -> None:
    from matplotlib.patches import Ellipse
    from matplotlib.patheffects import withStroke

    bold = {"color": ACCENT, "fontsize": 11, "fontweight": "bold", "zorder": 8}
    plain = {"color": "#333333", "fontsize": 9, "zorder": 7}
    for index, (x, y) in enumerate(_label_places(view.means, extent)):
        style = bold if index == true else plain
        width, depth = (1.8, 6) if index == true else (0.8, 5)
        for times, alpha in ((1, 1.0), (2, 0.55)):
            size = 2 * times * view.deviations[index]
            ring: dict[str, Any] = {"edgecolor": style["color"], "linewidth": width, "zorder": depth}
            axis.add_patch(Ellipse(view.means[index], *size, fill=False, alpha=alpha, **ring))
        halo = [withStroke(linewidth=2.2, foreground="white")]
        where = {"ha": "center", "va": "center", "clip_on": True, "parse_math": False, "path_effects": halo}
        axis.text(x, y, labels[index], **where, **style)


def _label_places(means: np.ndarray, extent: Extent) -> np.ndarray:
    """Where to write the labels, `[C, 2]`: at the means, pushed apart where labels would cover each other."""
    low = np.array([extent[0], extent[2]])
    size = np.array([extent[1], extent[3]]) - low
    # No two labels start at the same point, so that each pair has a direction to move in.
    places = (means - low) / size + 1e-6 * np.arange(len(means))[:, None]
    for _ in range(60):
        gaps = places[:, None] - places
        distances = np.linalg.norm(gaps, axis=-1) + np.eye(len(means))
        push = np.clip(_LABEL_DISTANCE - distances, 0, None) / (2 * distances)
        places = places + (gaps * push[..., None]).sum(1)
    return low + size * places
