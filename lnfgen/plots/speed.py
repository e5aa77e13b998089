"""Speed pictures: how long something takes against the length of the sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lnfgen.bench.rows import Row, grouped, variant_name
from lnfgen.plots.canvas import file_bytes, label_log_axis, new_figure, set_title, show_legend, style_axis

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
    """Draw seconds against steps, both on logarithmic scales: a panel for each title, a line for each curve.

    It follows the paper's figure of generation speed. Marks and dashes tell the lines apart, so the picture can be read
    without colour. The legend of a panel is in the order of the curves' last points.
    """
    from matplotlib.ticker import NullLocator

    figure = new_figure(7.2 * len(panels), 5.2)
    for axis, (name, curves) in zip(np.ravel(figure.subplots(1, len(panels))), panels.items(), strict=True):
        marks = list(dict.fromkeys(curve.mark for curve in curves))
        families = list(dict.fromkeys(curve.family for curve in curves))
        for curve in sorted(curves, key=lambda curve: -curve.seconds[-1]):
            color, marker = _CURVES[marks.index(curve.mark) % len(_CURVES)]
            dashes = ("-", "--", ":", "-.")[families.index(curve.family) % 4]
            line = {"color": color, "marker": marker, "markersize": 5, "linewidth": 1.4, "label": curve.label}
            axis.loglog(curve.lengths, curve.seconds, dashes, **line)
        lengths = sorted({length for curve in curves for length in curve.lengths})
        axis.set_xticks(lengths, [str(length) for length in lengths])
        axis.xaxis.set_minor_locator(NullLocator())
        label_log_axis(axis)
        axis.set_xlabel("steps of the sequence", fontsize=9)
        axis.set_ylabel("seconds", fontsize=9)
        axis.set_title(name, loc="left", fontsize=9)
        style_axis(axis)
        show_legend(axis, loc="center left", bbox_to_anchor=(1, 0.5), labelspacing=0.9, handlelength=4)
    set_title(figure, title)
    return file_bytes(figure, suffix)
