"""Training curves: how a run's figures changed from validation to validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lnfgen.errors import RunError
from lnfgen.plots.canvas import ACCENT, DARK, MID, file_bytes, label_log_axis, new_figure, set_title, style_axis

_UNITS = {"nats_per_step": "nats per time step", "bits_per_char": "bits per character"}
_NEEDED = ("step", "kl_weight", "learning_rate", "train_elbo", "train_reconstruction", "train_kl")


def training_curves(lines: Sequence[dict[str, Any]], unit: str, title: str, where: str, suffix: str = ".png") -> bytes:
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

    values = {key: np.array([line.get(key, math.nan) for line in lines], float) for key in _keys(lines)}
    latent = bool(np.any(values["train_kl"]))
    names = ["elbo", "reconstruction", "kl", "kl_weight"] if latent else ["elbo"]
    figure = new_figure(9.6 if latent else 6.4, 6.6 if latent else 4.2)
    axes = np.ravel(figure.subplots(*((2, 2) if latent else (1, 1)), sharex=True))
    for axis, name in zip(axes, names, strict=True):
        _draw_curve(axis, name, values, unit, latent)
    for axis in axes[-2:]:
        axis.set_xlabel("updates", fontsize=9)
    _mark_choice(axes[0], lines, values)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8, frameon=False)
    set_title(figure, title)
    return file_bytes(figure, suffix)


def _keys(lines: Sequence[dict[str, Any]]) -> list[str]:
    valid = ["valid_elbo", "valid_reconstruction", "valid_kl"] if "valid_elbo" in lines[0] else []
    return [*_NEEDED, *valid]


def _draw_curve(axis: Any, name: str, values: dict[str, np.ndarray], unit: str, latent: bool) -> None:
    steps = values["step"]
    for part, style in (("train", {"color": MID, "linestyle": "--"}), ("valid", {"color": DARK, "linestyle": "-"})):
        if f"{part}_{name}" in values:
            axis.plot(steps, values[f"{part}_{name}"], label=part, linewidth=1.5, **style)
    annealed = values["kl_weight"] < 1
    if name == "kl_weight":
        axis.plot(steps, values[name], color=DARK, linewidth=1.5)
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
    style_axis(axis, grid="y")


def _scale(axis: Any, name: str, curves: list[np.ndarray], annealed: np.ndarray) -> None:
    """Choose the range or the scale of a panel's y axis.

    The ELBO's range is taken from its values once the KL weight is 1 (or else from all but the first eighth), because
    the high values before would flatten the rest. The other terms get a log scale if they differ by more than 8 times.
    """
    if name == "elbo":
        start = int(annealed.sum()) if annealed.sum() < len(annealed) - 1 else 0
        late = np.concatenate([curve[max(start, len(curve) // 8) :] for curve in curves])
        late = late[np.isfinite(late)]
        if len(late):
            margin = 0.12 * float(np.ptp(late)) + 1e-3 * float(np.abs(late).max()) + 1e-9
            axis.set_ylim(late.min() - margin, late.max() + margin)
    elif all(np.all(curve > 0) for curve in curves) and max(c.max() for c in curves) > 8 * min(c.min() for c in curves):
        axis.set_yscale("log")
        label_log_axis(axis)


def _mark_choice(axis: Any, lines: Sequence[dict[str, Any]], values: dict[str, np.ndarray]) -> None:
    """Put a ring round the validation whose weights are kept."""
    chosen = [index for index, line in enumerate(lines) if line.get("best")]
    if chosen and "valid_elbo" in values:
        step, cost = values["step"][chosen[-1]], values["valid_elbo"][chosen[-1]]
        label = f"kept: update {int(step)}, {cost:.4g}"
        style = {"marker": "o", "markersize": 9, "markerfacecolor": "none", "markeredgewidth": 1.8}
        axis.plot([step], [cost], color=ACCENT, linestyle="none", label=label, zorder=5, **style)
