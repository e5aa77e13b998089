"""Training curves: how the figures of a run, or of several beside one another, changed between validations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lnfgen.conventions import UNIT_WORDS, Unit
from lnfgen.errors import RunError
from lnfgen.plots.canvas import (
    ACCENT,
    DARK,
    MID,
    PALETTE,
    file_bytes,
    label_log_axis,
    new_figure,
    set_title,
    show_legend_below,
    style_axis,
)

_DASHES = ("-", "--", ":")
_NEEDED = ("step", "kl_weight", "learning_rate", "train_elbo", "train_reconstruction", "train_kl")


def training_curves(lines: Sequence[dict[str, Any]], unit: Unit, title: str, where: str, suffix: str = ".png") -> bytes:
    """Draw a run's validations against its updates: the ELBO, and for a latent model reconstruction, KL and KL weight.

    All curves are costs: lower is better. The ELBO is reconstruction + KL + length; the cost of the lengths does not
    change, so it is a number beside the axis. The grey region is where the KL weight is below 1. Dotted lines are where
    the learning rate falls; one that falls from validation to validation is marked where that begins. The ring is the
    validation whose weights are kept as the model.

    Args:
        lines: the validations, as `RunFolder.metrics` gives them.
        unit: the unit of the figures, as `Encoding.unit` names it.
        where: the file that the lines come from, for messages.

    Raises:
        RunError: if there are fewer than two validations, or if one lacks a figure.
    """
    _require(lines, _NEEDED, where)
    values = {key: np.array([line.get(key, math.nan) for line in lines], float) for key in lines[0] if key != "kept"}
    latent = bool(np.any(values["train_kl"]))
    if latent:
        figure = new_figure(9.6, 6.6)
        axes = figure.subplots(2, 2, sharex=True).ravel()
        names = {"elbo": "ELBO", "reconstruction": "reconstruction", "kl": "KL", "kl_weight": "KL weight"}
        names["elbo"] = f"ELBO (length: {_length_cost(values):.3g})"
    else:
        figure = new_figure(6.4, 4.2)
        axes = [figure.subplots()]
        names = {"elbo": "NLL (= ELBO)"}
    for axis, (name, what) in zip(axes, names.items(), strict=True):
        _draw_curve(axis, name, values)
        axis.set_ylabel(what if name == "kl_weight" else f"{what}, {UNIT_WORDS[unit]}", fontsize=9)
    for axis in axes[-2:]:
        axis.set_xlabel("updates", fontsize=9)
    chosen = [line for line in lines if line.get("kept") and "valid_elbo" in line]
    if chosen:
        step, cost = chosen[-1]["step"], chosen[-1]["valid_elbo"]
        ring = {"s": 80, "facecolors": "none", "edgecolors": ACCENT, "linewidths": 1.8, "zorder": 5}
        axes[0].scatter(step, cost, label=f"kept: update {step}, {cost:.4g}", **ring)
    handles, labels = axes[0].get_legend_handles_labels()
    show_legend_below(figure, handles, labels, columns=len(labels))
    set_title(figure, title)
    return file_bytes(figure, suffix)


@dataclass(frozen=True)
class Course:
    """A run among others in one picture: what it is called, its validations, and the file that they come from."""

    name: str
    lines: Sequence[dict[str, Any]]
    where: str


def compared_curves(courses: Sequence[Course], unit: Unit, suffix: str = ".png") -> bytes:
    """Draw the valid ELBO of several runs against their updates; lower is better.

    A curve is faint where the KL weight is below 1, because costs count only after that. A ring is the validation whose
    weights are kept as the model.

    Raises:
        RunError: if a run has fewer than two validations, or no valid split.
    """
    figure = new_figure(8.4, 5.2)
    axis = figure.subplots()
    late: list[float] = []
    for index, course in enumerate(courses):
        _require(course.lines, ("step", "kl_weight", "valid_elbo"), course.where)
        steps, weights, costs = (
            np.array([line[key] for line in course.lines], float) for key in ("step", "kl_weight", "valid_elbo")
        )
        style = {"color": PALETTE[index % len(PALETTE)], "linestyle": _DASHES[index // len(PALETTE) % len(_DASHES)]}
        begun = int((weights < 1).sum())
        axis.plot(steps[: begun + 1], costs[: begun + 1], linewidth=1.2, alpha=0.35, **style)
        kept = [line for line in course.lines if line.get("kept")][-1:]
        label = f"{course.name}: {kept[0]['valid_elbo']:.4g}" if kept else course.name
        axis.plot(steps[begun:], costs[begun:], linewidth=1.6, label=label, **style)
        for line in kept:
            axis.scatter(line["step"], line["valid_elbo"], s=60, facecolors="none", edgecolors=style["color"], zorder=5)
        late.extend(costs[max(min(begun, len(steps) - 2), len(steps) // 8) :])
    _limit(axis, np.array(late))
    axis.set_xlim(left=0)
    axis.set_xlabel("updates", fontsize=9)
    axis.set_ylabel(f"valid ELBO, {UNIT_WORDS[unit]}", fontsize=9)
    style_axis(axis)
    handles, labels = axis.get_legend_handles_labels()
    show_legend_below(figure, handles, labels, columns=3)
    set_title(figure, "valid ELBO of each run; faint: KL weight below 1; ring: the model that is kept")
    return file_bytes(figure, suffix)


def _require(lines: Sequence[dict[str, Any]], keys: Sequence[str], where: str) -> None:
    """Check that there are validations enough for a curve, and that each has the figures that are drawn."""
    if len(lines) < 2:
        raise RunError(
            f"{where} holds {len(lines)} of the at least 2 validations that a curve needs; "
            f"go on with the run: lnfgen train --resume --out {Path(where).parent}; or, if it is finished, with "
            "--max-steps N as well"
        )
    if not any("valid_elbo" in line for line in lines) and "valid_elbo" in keys:
        raise RunError(f"{where} has no valid_elbo, for the run's dataset has no valid split; leave that run out")
    missing = [key for key in keys if any(not isinstance(line.get(key), int | float) for line in lines)]
    if missing:
        raise RunError(f"{where} is damaged: a line has no {missing[0]}; restore it, or train again")


def _limit(axis: Any, costs: np.ndarray) -> None:
    """Let an axis span these costs with a margin, so that higher ones from the start of a run do not flatten them."""
    if len(costs := costs[np.isfinite(costs)]):
        low, high = costs.min(), costs.max()
        margin = 0.12 * (high - low) + 1e-3 * abs(high) + 1e-9
        axis.set_ylim(low - margin, high + margin)


def _length_cost(values: dict[str, np.ndarray]) -> float:
    """What the ELBO has beside reconstruction and KL, on the valid split if there is one."""
    parts = [[f"{split}_{name}" for name in ("elbo", "reconstruction", "kl")] for split in ("valid", "train")]
    elbo, reconstruction, kl = next(names for names in parts if values.keys() >= set(names))
    return float(values[elbo][-1] - values[reconstruction][-1] - values[kl][-1])


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
        _limit(axis, np.concatenate([curve[start:] for curve in curves]))
    elif name == "kl_weight":
        axis.set_ylim(-0.03, 1.06)
    elif np.min(curves) > 0 and np.max(curves) > 8 * np.min(curves):
        axis.set_yscale("log")
        label_log_axis(axis)
    if (weights < 1).any():
        end = steps[min(int((weights < 1).sum()), len(steps) - 1)]
        axis.axvspan(0, end, color="#000000", alpha=0.06, linewidth=0, label="KL weight below 1")
    falling = rates[1:] < 0.999 * rates[:-1]
    falls = steps[:-1][falling & np.diff(falling, prepend=False)]  # a cooldown falls all the time
    for step in falls:
        label = "learning rate falls" if step == falls[0] else None
        axis.axvline(step, color="#777777", linestyle=":", linewidth=1.2, label=label)
    axis.set_xlim(0, steps[-1] * 1.02)
    style_axis(axis, grid="y")
