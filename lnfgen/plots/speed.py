"""Speed pictures: how long something takes against the length of the sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
    ("#8d6e63", "*"),
    ("#00897b", "p"),
)
"""A colour and a mark for each model."""


def sampling_curves(rows: Sequence[Row]) -> dict[str, list[list[Row]]]:
    """The curves of `sampling` rows of a measurement, by kind of data.

    There is a curve for each model that was sampled at two lengths or more, one sequence at a time.
    """
    panels: dict[str, list[list[Row]]] = {}
    for (kind, batch, _, _), group in grouped(rows, "kind", "batch", "model", "backbone"):
        if batch == 1 and len(group) > 1:
            panels.setdefault(kind, []).append(group)
    return panels


def time_against_length(panels: Mapping[str, Sequence[list[Row]]], title: str, suffix: str = ".png") -> bytes:
    """Draw seconds against steps, both on logarithmic scales: a panel for each title, a line for each curve.

    It follows the paper's figure of generation speed. The marks tell models apart and the dashes backbones, so the
    picture can be read without colour. The legend of a panel is in the order of the curves' last points.
    """
    from matplotlib.ticker import NullLocator

    figure = new_figure(7.2 * len(panels), 5.2)
    for axis, (name, curves) in zip(np.ravel(figure.subplots(1, len(panels))), panels.items(), strict=True):
        models = list(dict.fromkeys(curve[0]["model"] for curve in curves))
        backbones = list(dict.fromkeys(curve[0]["backbone"] for curve in curves))
        for curve in sorted(curves, key=lambda curve: -curve[-1]["seconds"]):
            color, marker = _CURVES[models.index(curve[0]["model"]) % len(_CURVES)]
            dashes = ("-", "--", ":", "-.")[backbones.index(curve[0]["backbone"]) % 4]
            style = {"color": color, "marker": marker, "label": variant_name(curve[0])}
            points = [[row[key] for row in curve] for key in ("length", "seconds")]
            axis.loglog(*points, dashes, markersize=5, linewidth=1.4, **style)
        lengths = sorted({row["length"] for curve in curves for row in curve})
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
