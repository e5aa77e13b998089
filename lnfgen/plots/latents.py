"""Latent panels: the prior's density at a few steps, and over it the posteriors of the values that may stand there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lnfgen.data.encoding import Encoding
from lnfgen.plots.candidates import LatentStep
from lnfgen.plots.canvas import ACCENT, MID, file_bytes, new_figure, set_title
from lnfgen.plots.labels import candidate_labels, step_title

if TYPE_CHECKING:
    from lnfgen.plots.conditionals import Views

_MASSES = (0.95, 0.8, 0.6, 0.4, 0.2)  # contours: the smallest regions that hold these shares of the density
_LABEL_DISTANCE = 0.042  # of a panel's width


@dataclass(frozen=True)
class LatentPanel:
    """What one panel shows: a step's prior density, and the posterior of each candidate, in two latent features."""

    title: str
    density: np.ndarray  # [G, G], the bottom row first
    means: np.ndarray  # [C, 2]
    deviations: np.ndarray  # [C, 2]
    labels: Sequence[str]  # one for each candidate
    true: int  # the index of the candidate that the piece has at the step


def draw_views(steps: Sequence[LatentStep], seen: Views, encoding: Encoding, title: str, suffix: str = ".png") -> bytes:
    """Draw what `conditionals.look` saw at the steps, a panel for each, with titles and labels from the encoding."""
    labels, key = candidate_labels(steps, encoding)
    panels = [
        LatentPanel(step_title(step, encoding), view.density, view.means, view.deviations, names, step.true)
        for step, view, names in zip(steps, seen.views, labels, strict=True)
    ]
    what = "p(z_t | z_<t, T)" if seen.triangular else "p(z_t | T)"
    legend = f"contours: {what}; ellipses: q(z_t | x) of each candidate, the true one bold"
    return latent_panels(panels, seen.extent, seen.features, f"{title}\n{legend}", key, suffix)


def latent_panels(
    panels: Sequence[LatentPanel],
    extent: tuple[float, float, float, float],
    features: tuple[int, int],
    title: str,
    key: Sequence[str] = (),
    suffix: str = ".png",
) -> bytes:
    """Draw the prior's density as filled contours, and over it each candidate's posterior as two ellipses.

    The contours are the smallest regions that hold 20, 40, 60, 80 and 95 % of the density in the window. The ellipses
    are at 1 and 2 standard deviations. The candidate that the piece has is drawn bold.

    Args:
        extent: the window, which all panels share: left, right, bottom, top.
        features: the numbers of the two latent features, for the axes.
        key: lines that explain short labels; they are written below the panels.
    """
    columns = min(len(panels), 2)
    rows = math.ceil(len(panels) / columns)
    below = 0.2 * math.ceil(len(key) / 2) + (0.2 if key else 0)
    figure = new_figure(4.6 * columns, 4.3 * rows + 0.4 + below)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for index, (axis, panel) in enumerate(zip(grid.flat, panels, strict=False)):
        _draw_density(axis, panel.density, extent)
        _draw_posteriors(axis, panel, extent)
        axis.set_xlim(extent[0], extent[1])
        axis.set_ylim(extent[2], extent[3])
        axis.set_title(panel.title, loc="left", fontsize=9, parse_math=False)
        axis.set_xlabel(f"latent feature {features[0]}", fontsize=9)
        axis.set_ylabel(f"latent feature {features[1]}", fontsize=9)
        axis.tick_params(labelsize=8)
        last = index + columns >= len(panels)  # no panel is below this one
        axis.tick_params(labelbottom=last)
        axis.xaxis.label.set_visible(last)
        axis.yaxis.label.set_visible(index % columns == 0)
    for axis in grid.flat[len(panels) :]:
        axis.set_visible(False)
    set_title(figure, title)
    if key:
        _draw_key(figure, key)
    return file_bytes(figure, suffix)


def _draw_density(axis: Any, density: np.ndarray, extent: tuple[float, float, float, float]) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    left, right, bottom, top = extent
    rows, columns = density.shape
    across = left + (right - left) * (np.arange(columns) + 0.5) / columns
    up = bottom + (top - bottom) * (np.arange(rows) + 0.5) / rows
    levels = _levels(density)
    if len(levels) < 2:  # the window shows none of the density
        return
    shades = LinearSegmentedColormap.from_list("shades", ["#edf3f8", "#7fa8cc"])
    axis.contourf(across, up, density, levels=[*levels, max(density.max(), levels[-1] * 1.001)], cmap=shades)
    axis.contour(across, up, density, levels=levels, colors=MID, linewidths=0.6)


def _levels(density: np.ndarray) -> list[float]:
    """The density at the edge of each contour, in rising order."""
    ordered = np.sort(density.ravel())[::-1]
    held = np.cumsum(ordered)
    if not held[-1] > 0:
        return []
    places = np.minimum(np.searchsorted(held, np.array(_MASSES) * held[-1]), len(ordered) - 1)
    return sorted({float(ordered[place]) for place in places if ordered[place] > 0})


def _draw_posteriors(axis: Any, panel: LatentPanel, extent: tuple[float, float, float, float]) -> None:
    from matplotlib.patches import Ellipse
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2.2, foreground="white")]
    for index, place in enumerate(_label_places(panel.means, extent)):
        true = index == panel.true
        color, width = (ACCENT, 1.8) if true else ("#333333", 0.8)
        for times, alpha in ((1, 1.0), (2, 0.55)):
            size = 2 * times * panel.deviations[index]
            style: dict[str, Any] = {
                "fill": False,
                "edgecolor": color,
                "linewidth": width,
                "alpha": alpha,
                "zorder": 5 + true,
            }
            axis.add_patch(Ellipse(panel.means[index], size[0], size[1], **style))
        axis.text(
            *place,
            panel.labels[index],
            ha="center",
            va="center",
            color=color,
            fontsize=11 if true else 9,
            fontweight="bold" if true else "normal",
            parse_math=False,
            clip_on=True,
            zorder=7 + true,
            path_effects=halo,
        )


def _label_places(means: np.ndarray, extent: tuple[float, float, float, float]) -> np.ndarray:
    """Where to write the labels, `[C, 2]`: at the means, pushed apart where labels would cover each other."""
    low = np.array([extent[0], extent[2]])
    size = np.array([extent[1], extent[3]]) - low
    places = (means - low) / size + 1e-6 * np.arange(len(means))[
        :, None
    ]  # no two at the same point, so that each pair has a direction to move in
    for _ in range(60):
        gaps = places[:, None] - places
        distances = np.hypot(gaps[..., 0], gaps[..., 1]) + np.eye(len(means))
        push = np.clip(_LABEL_DISTANCE - distances, 0, None) / (2 * distances)
        places = places + (gaps * push[..., None]).sum(1)
    return low + size * places


def _draw_key(figure: Any, key: Sequence[str]) -> None:
    """Write the key's lines below the panels, as a legend without marks."""
    from matplotlib.lines import Line2D

    blanks = [Line2D([], [], linestyle="none") for _ in key]
    legend = figure.legend(
        blanks, key, loc="outside lower left", ncols=3, fontsize=8, frameon=False, handlelength=0, handletextpad=0
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
