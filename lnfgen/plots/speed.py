"""Speed pictures: how long something takes against the length of the sequence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lnfgen.bench.rows import Row, grouped, variant_name
from lnfgen.plots.canvas import file_bytes, label_log_axis, new_figure, set_title, style_axis

_LABEL_DISTANCE = 0.042  # between the labels of curves, as a share of a panel's height
_CURVES = (
    ("#000000", "o"),
    ("#c0392b", "s"),
    ("#7a5195", "D"),
    ("#173a5e", "^"),
    ("#2e7d32", "v"),
    ("#b36b00", "P"),
    ("#5b8db8", "X"),
)
"""A colour and a mark for each model."""


@dataclass(frozen=True)
class TimeCurve:
    """How many seconds something takes at each length."""

    label: str
    mark: str  # curves with the same one have the same colour and marks, such as those of one model
    family: str  # curves with the same one have the same dashes, such as those of one backbone
    lengths: Sequence[int]
    seconds: Sequence[float]


def sampling_curves(rows: Sequence[Row]) -> dict[str, list[TimeCurve]]:
    """The curves of `sampling` rows of a measurement, by kind of data.

    There is a curve for each model that was sampled at two lengths or more, one sequence at a time.
    """
    panels: dict[str, list[TimeCurve]] = {}
    for (kind, batch, model, backbone), group in grouped(rows, "kind", "batch", "model", "backbone"):
        if batch == 1 and len(group) > 1:
            lengths, seconds = [row["length"] for row in group], [row["seconds"] for row in group]
            panels.setdefault(kind, []).append(TimeCurve(variant_name(group[0]), model, backbone, lengths, seconds))
    return panels


def time_against_length(panels: Mapping[str, Sequence[TimeCurve]], title: str, suffix: str = ".png") -> bytes:
    """Draw seconds against steps, both on logarithmic scales: a panel for each title, a labelled line for each curve.

    It follows the paper's figure of generation speed. Labels, marks and dashes tell the lines apart, so the
    picture can be read without colour.
    """
    from matplotlib.ticker import NullLocator

    figure = new_figure(7.2 * len(panels), 5.2)
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
        label_log_axis(axis)
        axis.set_xlabel("steps of the sequence", fontsize=9)
        axis.set_ylabel("seconds", fontsize=9)
        axis.set_title(name, loc="left", fontsize=9)
        style_axis(axis)
    set_title(figure, title)
    return file_bytes(figure, suffix)


def _label_ends(axis: Any, curves: Sequence[TimeCurve], colors: Mapping[str, str]) -> None:
    """Write each curve's label to the right of its last point, with a thin line between the two.

    Labels that would touch are pushed apart.
    """
    low, high = np.log(axis.get_ylim())
    ends = [(math.log(curve.seconds[-1]) - low) / (high - low) for curve in curves]
    for curve, end, place in zip(curves, ends, push_apart(ends, _LABEL_DISTANCE), strict=True):
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


def push_apart(places: Sequence[float], distance: float) -> list[float]:
    """Move the places so that neighbours are at least `distance` apart, in the same order, and as little as possible.

    "As little" means the least sum of squared moves. If 0, 1, 2, ... times the distance is taken off the sorted places,
    the condition becomes that they do not fall. The nearest such sequence replaces each stretch that falls by its mean.
    """
    order = np.argsort(places, kind="stable")
    offsets = distance * np.arange(len(places))
    pools: list[tuple[float, int]] = []  # the mean of each stretch, and how many places it has
    for value in np.array(places)[order] - offsets:
        pools.append((float(value), 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (second, n), (first, m) = pools.pop(), pools.pop()
            pools.append(((first * m + second * n) / (m + n), m + n))
    spread = np.concatenate([np.full(count, mean) for mean, count in pools]) + offsets
    result = np.empty(len(places))
    result[order] = spread
    return result.tolist()
