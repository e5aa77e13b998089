"""Training curves: the figures of a run, or of several runs, at each validation."""

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
    file_bytes,
    new_figure,
    set_title,
    show_legend,
    style_axis,
)

_PANELS = {"elbo": "ELBO", "reconstruction": "reconstruction", "kl": "KL"}
_COLORS = (DARK, ACCENT, "#2e7d32", "#b36b00", "#7a5195", MID)
_DASHES = ("-", "--", ":")


@dataclass(frozen=True)
class Course:
    """A run in a picture: its name, its validations (`RunFolder.metrics`), and the file that they
    come from."""

    name: str
    lines: Sequence[dict[str, Any]]
    where: str

    def values(self, key: str) -> np.ndarray:
        """A figure of each validation; nan where there is none."""
        return np.array([line.get(key, math.nan) for line in self.lines], float)

    def warmup(self) -> int:
        """How many validations were in the warm-up, where the KL weight is below 1. Costs count
        only after these."""
        return int((self.values("kl_weight") < 1).sum())

    def require(self, *keys: str) -> None:
        """Check that there are validations enough for a curve, and that each has the figures that
        are drawn."""
        if len(self.lines) < 2:
            raise RunError(
                f"{self.where} holds {len(self.lines)} of the at least 2 validations that a curve needs; go on with "
                f"the run: lnfgen train --resume --out {Path(self.where).parent} (if it is finished, add --max-steps N)"
            )
        for key in keys:
            if any(not isinstance(line.get(key), int | float) for line in self.lines):
                why = (
                    "its dataset has no valid split"
                    if key == "valid_elbo"
                    else "the file is damaged"
                )
                raise RunError(f"{self.where}: a line has no {key}, as {why}; leave that run out")


def training_curves(course: Course, unit: Unit, suffix: str = ".png") -> bytes:
    """Draw a run's ELBO against its updates, and for a latent model also its reconstruction and KL.

    All curves are costs: lower is better. The grey region is where the KL weight is below 1. The
    ring marks the validation whose weights are the model of the run.

    Raises:
        RunError: if there are fewer than two validations, or if one lacks a figure.
    """
    course.require("step", "kl_weight", "train_elbo", "train_reconstruction", "train_kl")
    panels = _PANELS if np.any(course.values("train_kl")) else {"elbo": "NLL (= ELBO)"}
    figure = new_figure(4.2 * len(panels) + 0.6, 4.2)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    steps, warmup = course.values("step"), course.warmup()
    for axis, (name, words) in zip(axes, panels.items(), strict=True):
        shown = []
        for side, color, dashes in (("train", MID, "--"), ("valid", DARK, "-")):
            costs = course.values(f"{side}_{name}")
            if not np.isnan(costs).all():
                axis.plot(steps, costs, dashes, color=color, label=side, linewidth=1.5)
                shown.append(_after_warmup(costs, warmup))
        if warmup:
            end = steps[min(warmup, len(steps) - 1)]
            axis.axvspan(
                0, end, color="#000000", alpha=0.06, linewidth=0, label="KL weight below 1"
            )
        _finish(axis, np.concatenate(shown), f"{words}, {UNIT_WORDS[unit]}")
    kept = _ring(axes[0], course, ACCENT)
    show_legend(figure, axes[0])
    set_title(
        figure,
        course.name if kept is None else f"{course.name}\nring: the model that is kept, {kept:.4g}",
    )
    return file_bytes(figure, suffix)


def compared_curves(courses: Sequence[Course], unit: Unit, suffix: str = ".png") -> bytes:
    """Draw the valid ELBO of several runs against their updates; lower is better.

    A curve is faint where the KL weight is below 1. A ring marks the validation whose weights are
    the model of a run.

    Raises:
        RunError: if a run has fewer than two validations, or no valid split.
    """
    figure = new_figure(8.4, 5.2)
    axis = figure.subplots()
    shown = []
    for index, course in enumerate(courses):
        course.require("valid_elbo", "step", "kl_weight")
        steps, costs, warmup = course.values("step"), course.values("valid_elbo"), course.warmup()
        color, dashes = _COLORS[index % len(_COLORS)], _DASHES[index // len(_COLORS) % len(_DASHES)]
        axis.plot(
            steps[: warmup + 1], costs[: warmup + 1], dashes, color=color, linewidth=1.2, alpha=0.35
        )
        kept = _ring(axis, course, color)
        label = course.name if kept is None else f"{course.name}: {kept:.4g}"
        axis.plot(steps[warmup:], costs[warmup:], dashes, color=color, linewidth=1.6, label=label)
        shown.append(_after_warmup(costs, warmup))
    _finish(axis, np.concatenate(shown), f"valid ELBO, {UNIT_WORDS[unit]}")
    show_legend(figure, axis)
    set_title(
        figure, "valid ELBO of each run; faint: KL weight below 1; ring: the model that is kept"
    )
    return file_bytes(figure, suffix)


def _ring(axis: Any, course: Course, color: str) -> float | None:
    """Mark the validation whose weights are kept, and return its valid ELBO; None if there is
    none."""
    kept = [line for line in course.lines if line.get("kept") and "valid_elbo" in line][-1:]
    for line in kept:
        axis.scatter(
            line["step"], line["valid_elbo"], s=60, facecolors="none", edgecolors=color, zorder=5
        )
    return kept[0]["valid_elbo"] if kept else None


def _after_warmup(costs: np.ndarray, warmup: int) -> np.ndarray:
    """The costs since the KL weight is 1, without the first eighth: high ones from the start would
    flatten the rest."""
    return costs[max(min(warmup, len(costs) - 2), len(costs) // 8) :]


def _finish(axis: Any, costs: np.ndarray, label: str) -> None:
    """Let an axis span these costs, with a margin, and label it."""
    if len(costs := costs[np.isfinite(costs)]):
        margin = 0.12 * np.ptp(costs) + 1e-3 * abs(costs.max()) + 1e-9
        axis.set_ylim(costs.min() - margin, costs.max() + margin)
    axis.set_xlim(left=0)
    axis.set_xlabel("updates", fontsize=9)
    axis.set_ylabel(label, fontsize=9)
    style_axis(axis, grid="y")
