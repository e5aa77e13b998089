"""Pictures: how a run was trained, what its prior has learned, how long sampling takes. Made to be read in grey too."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lnfgen.errors import OutputError, RunError

FORMATS = (".png", ".svg", ".pdf")

_DPI = 130
_DARK, _MID, _LIGHT, _ACCENT = "#173a5e", "#5b8db8", "#d9e4ee", "#c0392b"
_MASSES = (0.95, 0.8, 0.6, 0.4, 0.2)  # contours: the smallest regions that hold these shares of the density
_LABEL_DISTANCE = 0.042  # of a panel's width
_LINE_DISTANCE = 0.042  # of a panel's height, between labels of curves
_CURVES = (
    ("#000000", "o"),
    ("#c0392b", "s"),
    ("#7a5195", "D"),
    ("#173a5e", "^"),
    ("#2e7d32", "v"),
    ("#b36b00", "P"),
    ("#5b8db8", "X"),
)  # of models
_UNITS = {"nats_per_step": "nats per time step", "bits_per_char": "bits per character"}
_NEEDED = ("step", "kl_weight", "learning_rate", "train_elbo", "train_reconstruction", "train_kl")


@dataclass(frozen=True)
class LatentPanel:
    """One step: the prior's density `[G, G]` from the bottom up, and the candidates' posteriors `[C, 2]`."""

    title: str
    density: np.ndarray
    means: np.ndarray
    deviations: np.ndarray
    labels: Sequence[str]
    true: int  # the candidate that the piece has here


@dataclass(frozen=True)
class TimeCurve:
    """How long something takes at each length; curves of one `mark` are one model, of one `family` share a line."""

    label: str
    mark: str
    family: str
    lengths: Sequence[int]
    seconds: Sequence[float]


def require_format(path: Path) -> str:
    """The suffix of a picture's file, before the work that would fill it.

    Raises:
        OutputError: if no picture has it.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise OutputError(f"cannot draw {path}: found suffix {suffix or 'none'!r}, expected one of {' '.join(FORMATS)}")
    return suffix


def training_curves(lines: Sequence[dict[str, Any]], unit: str, title: str, where: str, suffix: str = ".png") -> bytes:
    """A run's validations against updates: ELBO, and for a latent model reconstruction, KL and KL weight.

    All are costs. The grey region is where the KL weight is below 1, dotted lines are where the learning rate falls,
    and the ring is the validation whose weights are kept.

    Raises:
        RunError: if there are fewer than two validations, or a figure is missing; `where` names their file.
    """
    if len(lines) < 2:
        raise RunError(
            f"{where} holds {len(lines)} of the at least 2 validations that a curve needs; "
            "train on: lnfgen train --resume"
        )
    missing = [key for key in _NEEDED if any(not isinstance(line.get(key), int | float) for line in lines)]
    if missing:
        raise RunError(f"{where} is damaged: a line has no {missing[0]}; restore it, or train again")

    values = {key: np.array([line.get(key, math.nan) for line in lines], float) for key in _keys(lines)}
    latent = bool(np.any(values["train_kl"]))
    names = ["elbo", "reconstruction", "kl", "kl_weight"] if latent else ["elbo"]
    figure = _figure(9.6 if latent else 6.4, 6.6 if latent else 4.2)
    axes = np.ravel(figure.subplots(*((2, 2) if latent else (1, 1)), sharex=True))
    for axis, name in zip(axes, names, strict=True):
        _draw_curve(axis, name, values, unit, latent)
    for axis in axes[-2:]:
        axis.set_xlabel("updates", fontsize=9)
    _mark_choice(axes[0], lines, values)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8, frameon=False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, parse_math=False)
    return _file(figure, suffix)


def latent_panels(
    panels: Sequence[LatentPanel],
    extent: tuple[float, float, float, float],
    features: tuple[int, int],
    title: str,
    key: Sequence[str] = (),
    suffix: str = ".png",
) -> bytes:
    """The prior's density as filled contours, and over it each candidate's posterior, of 1 and 2 standard deviations.

    Contours are the smallest regions that hold 20, 40, 60, 80 and 95 % of what the window shows. The candidate that the
    piece has is drawn bold. `key` explains labels that stand for something longer, below.
    """
    columns = min(len(panels), 2)
    rows = math.ceil(len(panels) / columns)
    below = 0.2 * math.ceil(len(key) / 2) + (0.2 if key else 0)
    figure = _figure(4.6 * columns, 4.3 * rows + 0.4 + below)
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
        last = index + columns >= len(panels)  # nothing below it
        axis.tick_params(labelbottom=last)
        axis.xaxis.label.set_visible(last)
        axis.yaxis.label.set_visible(index % columns == 0)
    for axis in grid.flat[len(panels) :]:
        axis.set_visible(False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, parse_math=False)
    if key:
        _draw_key(figure, key)
    return _file(figure, suffix)


def time_against_length(panels: Mapping[str, Sequence[TimeCurve]], title: str, suffix: str = ".png") -> bytes:
    """Seconds against steps, both on log scales: a panel for each title, a labelled line for each curve.

    The paper's figure of generation speed. Lines are told apart by their labels, marks and dashes, not by colour alone.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    figure = _figure(7.2 * len(panels), 5.2)
    for axis, (name, curves) in zip(np.ravel(figure.subplots(1, len(panels))), panels.items(), strict=True):
        axis.set_xscale("log")
        axis.set_yscale("log")
        marks = list(dict.fromkeys(curve.mark for curve in curves))
        families = list(dict.fromkeys(curve.family for curve in curves))
        for curve in curves:
            color, marker = _CURVES[marks.index(curve.mark) % len(_CURVES)]
            dashes = ("-", "--", ":", "-.")[families.index(curve.family) % 4]
            axis.plot(curve.lengths, curve.seconds, dashes, color=color, marker=marker, markersize=5, linewidth=1.4)
        lengths = sorted({length for curve in curves for length in curve.lengths})
        axis.set_xlim(lengths[0] * 0.85, lengths[-1] * 1.15)
        axis.margins(y=0.08)
        _label_ends(axis, curves, {mark: _CURVES[index % len(_CURVES)][0] for index, mark in enumerate(marks)})
        axis.set_xticks(lengths, [str(length) for length in lengths])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel("steps of the sequence", fontsize=9)
        axis.set_ylabel("seconds", fontsize=9)
        axis.set_title(name, loc="left", fontsize=9)
        axis.grid(color="#e3e6ea", linewidth=0.6)
        axis.set_axisbelow(True)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
        axis.tick_params(labelsize=8)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, parse_math=False)
    return _file(figure, suffix)


def _label_ends(axis: Any, curves: Sequence[TimeCurve], colors: Mapping[str, str]) -> None:
    """Each curve's label beside its last point, pushed apart where they would touch, with a line that leads there."""
    low, high = np.log(axis.get_ylim())
    ends = [(math.log(curve.seconds[-1]) - low) / (high - low) for curve in curves]
    for curve, end, place in zip(curves, ends, _apart(ends, _LINE_DISTANCE), strict=True):
        right = axis.transAxes.transform((1, 0))[0]
        last = axis.transAxes.inverted().transform((axis.transData.transform((curve.lengths[-1], 1))[0], right))[0]
        axis.annotate(
            curve.label,
            (last, end),
            (1.06, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            color=colors[curve.mark],
            parse_math=False,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": "#b0b6bd", "linewidth": 0.6, "shrinkA": 1, "shrinkB": 4},
        )


def _apart(places: Sequence[float], distance: float) -> list[float]:
    """The places, each moved as little as keeps any two of them `distance` apart, in the same order."""
    order = np.argsort(places, kind="stable")
    offsets = distance * np.arange(len(places))
    # With the distances taken off, "apart" is "in order": the nearest such numbers pool neighbours that are not.
    pools: list[tuple[float, int]] = []
    for value in np.array(places)[order] - offsets:
        pools.append((float(value), 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (second, n), (first, m) = pools.pop(), pools.pop()
            pools.append(((first * m + second * n) / (m + n), m + n))
    spread = np.concatenate([np.full(count, mean) for mean, count in pools]) + offsets
    result = np.empty(len(places))
    result[order] = spread
    return result.tolist()


def _keys(lines: Sequence[dict[str, Any]]) -> list[str]:
    valid = ["valid_elbo", "valid_reconstruction", "valid_kl"] if "valid_elbo" in lines[0] else []
    return [*_NEEDED, *valid]


def _draw_curve(axis: Any, name: str, values: dict[str, np.ndarray], unit: str, latent: bool) -> None:
    steps = values["step"]
    for part, style in (("train", {"color": _MID, "linestyle": "--"}), ("valid", {"color": _DARK, "linestyle": "-"})):
        if f"{part}_{name}" in values:
            axis.plot(steps, values[f"{part}_{name}"], label=part, linewidth=1.5, **style)
    annealed = values["kl_weight"] < 1
    if name == "kl_weight":
        axis.plot(steps, values[name], color=_DARK, linewidth=1.5)
        axis.set_ylim(-0.03, 1.06)
        axis.set_ylabel("KL weight", fontsize=9)
    else:
        title = {"elbo": "ELBO" if latent else "NLL (= ELBO)", "reconstruction": "reconstruction", "kl": "KL"}[name]
        axis.set_ylabel(f"{title}, {_UNITS[unit]}", fontsize=9)
        _scale(axis, name, [values[key] for key in (f"train_{name}", f"valid_{name}") if key in values], annealed)
    if annealed.any():
        end = steps[min(int(annealed.sum()), len(steps) - 1)]
        axis.axvspan(0, end, color="#000000", alpha=0.06, linewidth=0, label="KL weight below 1")
    rates = values["learning_rate"]
    for place, index in enumerate(np.flatnonzero(rates[1:] < 0.999 * rates[:-1])):
        axis.axvline(
            steps[index],
            color="#777777",
            linestyle=":",
            linewidth=1.2,
            label="learning rate falls" if place == 0 else None,
        )
    axis.set_xlim(0, steps[-1] * 1.02)
    axis.grid(axis="y", color="#e3e6ea", linewidth=0.6)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    axis.tick_params(labelsize=8)


def _scale(axis: Any, name: str, curves: list[np.ndarray], annealed: np.ndarray) -> None:
    """Parts that span decades get a log scale; the ELBO a window on what counts: the figures of the whole objective."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if name == "elbo":
        start = int(annealed.sum()) if annealed.sum() < len(annealed) - 1 else 0
        late = np.concatenate([curve[max(start, len(curve) // 8) :] for curve in curves])
        late = late[np.isfinite(late)]
        if len(late):
            margin = 0.12 * float(np.ptp(late)) + 1e-3 * float(np.abs(late).max()) + 1e-9
            axis.set_ylim(late.min() - margin, late.max() + margin)
    elif all(np.all(curve > 0) for curve in curves) and max(c.max() for c in curves) > 8 * min(c.min() for c in curves):
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())


def _mark_choice(axis: Any, lines: Sequence[dict[str, Any]], values: dict[str, np.ndarray]) -> None:
    chosen = [index for index, line in enumerate(lines) if line.get("best")]
    if chosen and "valid_elbo" in values:
        step, cost = values["step"][chosen[-1]], values["valid_elbo"][chosen[-1]]
        label = f"kept: update {int(step)}, {cost:.4g}"
        style = {"marker": "o", "markersize": 9, "markerfacecolor": "none", "markeredgewidth": 1.8}
        axis.plot([step], [cost], color=_ACCENT, linestyle="none", label=label, zorder=5, **style)


def _draw_density(axis: Any, density: np.ndarray, extent: tuple[float, float, float, float]) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    left, right, bottom, top = extent
    rows, columns = density.shape
    across = left + (right - left) * (np.arange(columns) + 0.5) / columns
    up = bottom + (top - bottom) * (np.arange(rows) + 0.5) / rows
    levels = _levels(density)
    if len(levels) < 2:  # nothing of it is in this window
        return
    shades = LinearSegmentedColormap.from_list("shades", ["#edf3f8", "#7fa8cc"])
    axis.contourf(across, up, density, levels=[*levels, max(density.max(), levels[-1] * 1.001)], cmap=shades)
    axis.contour(across, up, density, levels=levels, colors=_MID, linewidths=0.6)


def _levels(density: np.ndarray) -> list[float]:
    """The densities at the edges of the smallest regions that hold each share of what is shown, rising."""
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
    for index, place in enumerate(_spread(panel.means, extent)):
        true = index == panel.true
        color, width = (_ACCENT, 1.8) if true else ("#333333", 0.8)
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


def _spread(means: np.ndarray, extent: tuple[float, float, float, float]) -> np.ndarray:
    """Places of labels `[C, 2]`: the means, pushed apart until each can be read."""
    low = np.array([extent[0], extent[2]])
    size = np.array([extent[1], extent[3]]) - low
    places = (means - low) / size + 1e-6 * np.arange(len(means))[:, None]  # no two in one point
    for _ in range(60):
        gaps = places[:, None] - places
        distances = np.hypot(gaps[..., 0], gaps[..., 1]) + np.eye(len(means))
        push = np.clip(_LABEL_DISTANCE - distances, 0, None) / (2 * distances)
        places = places + (gaps * push[..., None]).sum(1)
    return low + size * places


def _draw_key(figure: Any, key: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    blanks = [Line2D([], [], linestyle="none") for _ in key]
    legend = figure.legend(
        blanks, key, loc="outside lower left", ncols=3, fontsize=8, frameon=False, handlelength=0, handletextpad=0
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _file(figure: Any, suffix: str) -> bytes:
    """The bytes of a picture, without the date that would make two of them differ."""
    from matplotlib import rc_context

    metadata = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[suffix]
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "lnfgen"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a symbol without a glyph shows as a box
        figure.savefig(buffer, format=suffix[1:], metadata=metadata)
    return buffer.getvalue()
