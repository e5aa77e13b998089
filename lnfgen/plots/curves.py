"""Training curves: how a run's figures changed from validation to validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lnfgen.conventions import UNIT_WORDS, Unit
from lnfgen.errors import RunError
from lnfgen.plots.canvas import (
    ACCENT,
    DARK,
    MID,
    file_bytes,
    label_log_axis,
    new_figure,
    set_title,
    show_legend,
    style_axis,
)

_NEEDED = ("step", "kl_weight", "learning_rate", "train_elbo", "train_reconstruction", "train_kl")


def training_curves(lines: Sequence[dict[str, Any]], unit: Unit, title: str, where: str, suffix: str = ".png") -> bytes:
    """Draw a run's validations against its updates: the ELBO, and for a latent model reconstruction, KL and KL weight.

    All curves are costs: lower is better. The grey region is where the KL weight is below 1. Dotted lines are where the
    learning rate falls. The ring is the validation whose weights are kept as the model.

    Args:
        lines: the validations, as `RunFolder.metrics` gives them.
        unit: the unit of the figures, as `Encoding.unit` names it.
        where: the file that the lines come from, for messages.

    Raises:
        RunError: if there are fewer than two validations, or if one lacks a figure.
    """
    if len(lines) < 2:
        raise RunError(
            f"{where} holds {len(lines)} of the at least 2 validations that a curve needs; "
            "train on: lnfgen train --resume"
        )
    missing = [key for key in _NEEDED if any(not isinstance(line.get(key), int | float) for line in lines)]
    if missing:
        raise RunError(f"{where} is damaged: a line has no {missing[0]}; restore it, or train again")

    values = {key: np.array([line.get(key, math.nan) for line in lines], float) for key in lines[0] if key != "best"}
    latent = bool(np.any(values["train_kl"]))
    if latent:
        figure = new_figure(9.6, 6.6)
        axes = figure.subplots(2, 2, sharex=True).ravel()
        titles = {"elbo": "ELBO", "reconstruction": "reconstruction", "kl": "KL", "kl_weight": "KL weight"}
    else:
        figure = new_figure(6.4, 4.2)
        axes = [figure.subplots()]
        titles = {"elbo": "NLL (= ELBO)"}
    for axis, (name, what) in zip(axes, titles.items(), strict=True):
        _draw_curve(axis, name, values)
        axis.set_ylabel(what if name == "kl_weight" else f"{what}, {UNIT_WORDS[unit]}", fontsize=9)
    for axis in axes[-2:]:
        axis.set_xlabel("updates", fontsize=9)
    chosen = [line for line in lines if line.get("best") and "valid_elbo" in line]
    if chosen:
        step, cost = chosen[-1]["step"], chosen[-1]["valid_elbo"]
        ring = {"s": 80, "facecolors": "none", "edgecolors": ACCENT, "linewidths": 1.8, "zorder": 5}
        axes[0].scatter(step, cost, label=f"kept: update {step}, {cost:.4g}", **ring)
    handles, labels = axes[0].get_legend_handles_labels()
    show_legend(figure, handles=handles, labels=labels, loc="outside lower center", ncols=len(labels))
    set_title(figure, title)
    return file_bytes(figure, suffix)


def _draw_curve(axis: Any, name: str, values: dict[str, np.ndarray]) -> None:
    steps, weights, rates = values["step"], values["kl_weight"], values["learning_rate"]
    styles = ((f"train_{name}", "train", MID, "--"), (f"valid_{name}", "valid", DARK, "-"), (name, None, DARK, "-"))
    curves = []
    for key, label, color, dashes in styles:
        if key in values:
            axis.plot(steps, values[key], dashes, color=color, label=label, linewidth=1.5)
            curves.append(values[key])
    if name == "elbo":
        # The range is that of the values once the KL weight is 1, and of no first eighth: high values would flatten it.
        start = max(len(steps) // 8, min(int((weights < 1).sum()), len(steps) - 2))
        late = np.concatenate([curve[start:] for curve in curves])
        if np.isfinite(late).any():
            low, high = np.nanmin(late), np.nanmax(late)
            margin = 0.12 * (high - low) + 1e-3 * abs(high) + 1e-9
            axis.set_ylim(low - margin, high + margin)
    elif name == "kl_weight":
        axis.set_ylim(-0.03, 1.06)
    elif np.min(curves) > 0 and np.max(curves) > 8 * np.min(curves):
        axis.set_yscale("log")
        label_log_axis(axis)
    if (weights < 1).any():
        end = steps[min(int((weights < 1).sum()), len(steps) - 1)]
        axis.axvspan(0, end, color="#000000", alpha=0.06, linewidth=0, label="KL weight below 1")
    falls = steps[:-1][rates[1:] < 0.999 * rates[:-1]]
    for step in falls:
        label = "learning rate falls" if step == falls[0] else None
        axis.axvline(step, color="#777777", linestyle=":", linewidth=1.2, label=label)
    axis.set_xlim(0, steps[-1] * 1.02)
    style_axis(axis, grid="y")
