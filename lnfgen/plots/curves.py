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
    """A run in a picture."""

    name: str
    lines: Sequence[dict[str, Any]]  # its validations (`RunFolder.metrics`)
    where: str  # the file that they come from

    def values(self, key: str) -> np.ndarray:
        """A figure of each validation; nan where there is none."""
        return np.array([line.get(key, math.nan) for line in self.lines], float)

    def warmup(self) -> int:
        """How many validations were in the warm-up, where the KL weight is below 1.

        Costs count only after these.
        """
        return int((self.values("kl_weight") < 1).sum())

    def require(self, *keys: str) -> None:
        """Check that there are validations enough for a curve, and that each has these figures.

        Raises:
            RunError: if not.
        """
        if len(self.lines) < 2:
            run = Path(self.where).parent
            raise RunError(
                f"{self.where} holds {len(self.lines)} of the at least 2 validations that a curve "
                f"needs; go on with the run: lnfgen train --resume --out {run} "
                "(if it is finished, add --max-steps N)"
            )
        for key in keys:
            if all(isinstance(line.get(key), int | float) for line in self.lines):
                continue
            why = "the file is damaged"
            if key == "valid_elbo":
                why = "its dataset has no valid split"
            raise RunError(f"{self.where}: a line has no {key}, as {why}; leave that run out")


def training_curves(course: Course, unit: Unit, suffix: str = ".png") -> bytes:
    """Draw a run's ELBO against its updates, and for a latent model also its reconstruction and KL.

    All curves are costs: lower is better. The grey region is where the KL weight is below 1. The
    ring marks the validation whose weights are the model of the run.

    Raises:
        RunError: if there are fewer than two validations, or if one lacks a figure.
    """
    course.require("step", "kl_weight", "train_elbo", "train_reconstruction", "train_kl")
    panels = _PANELS
    if not np.any(course.values("train_kl")):  # a model without a latent
        panels = {"elbo": "NLL (= ELBO)"}
    figure = new_figure(4.2 * len(panels) + 0.6, 4.2)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (name, words) in zip(axes, panels.items(), strict=True):
        _draw_panel(axis, course, name, f"{words}, {UNIT_WORDS[unit]}")
    title = course.name
    kept = _ring(axes[0], course, ACCENT)
    if kept is not None:
        title += f"\nring: the model that is kept, {kept:.4g}"
    show_legend(figure, axes[0])
    set_title(figure, title)
    return file_bytes(figure, suffix)


def _draw_panel(axis: Any, course: Course, name: str, label: str) -> None:
    """Draw a figure of the train and the valid split, and the region of the warm-up."""
    updates = course.values("step")
    warmup = course.warmup()
    shown = []
    for side, color, dashes in (("train", MID, "--"), ("valid", DARK, "-")):
        costs = course.values(f"{side}_{name}")
        if not np.isnan(costs).all():
            axis.plot(updates, costs, dashes, color=color, label=side, linewidth=1.5)
            shown.append(_after_warmup(costs, warmup))
    if warmup:
        end = updates[min(warmup, len(updates) - 1)]
        axis.axvspan(0, end, color="#000000", alpha=0.06, linewidth=0, label="KL weight below 1")
    _finish(axis, np.concatenate(shown), label)


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
        updates = course.values("step")
        costs = course.values("valid_elbo")
        warmup = course.warmup()
        color = _COLORS[index % len(_COLORS)]
        dashes = _DASHES[index // len(_COLORS) % len(_DASHES)]
        faint = slice(warmup + 1)
        axis.plot(updates[faint], costs[faint], dashes, color=color, linewidth=1.2, alpha=0.35)
        label = course.name
        kept = _ring(axis, course, color)
        if kept is not None:
            label += f": {kept:.4g}"
        axis.plot(updates[warmup:], costs[warmup:], dashes, color=color, linewidth=1.6, label=label)
        shown.append(_after_warmup(costs, warmup))
    _finish(axis, np.concatenate(shown), f"valid ELBO, {UNIT_WORDS[unit]}")
    show_legend(figure, axis)
    set_title(
        figure, "valid ELBO of each run; faint: KL weight below 1; ring: the model that is kept"
    )
    return file_bytes(figure, suffix)


def _ring(axis: Any, course: Course, color: str) -> float | None:
    """Mark the last validation whose weights were kept, and return its valid ELBO.

    Returns:
        None if there is none.
    """
    kept = [line for line in course.lines if line.get("kept") and "valid_elbo" in line]
    if not kept:
        return None
    update = kept[-1]["step"]
    elbo = kept[-1]["valid_elbo"]
    axis.scatter(update, elbo, s=60, facecolors="none", edgecolors=color, zorder=5)
    return elbo


def _after_warmup(costs: np.ndarray, warmup: int) -> np.ndarray:
    """The costs since the KL weight is 1, without the first eighth.

    High costs from the start would flatten the rest. At least two are left.
    """
    first = min(warmup, len(costs) - 2)
    return costs[max(first, len(costs) // 8) :]


def _finish(axis: Any, costs: np.ndarray, label: str) -> None:
    """Let an axis span these costs, with a margin, and label it."""
    finite = costs[np.isfinite(costs)]
    if len(finite):
        margin = 0.12 * np.ptp(finite) + 1e-3 * abs(finite.max()) + 1e-9
        axis.set_ylim(finite.min() - margin, finite.max() + margin)
    axis.set_xlim(left=0)
    axis.set_xlabel("updates", fontsize=9)
    axis.set_ylabel(label, fontsize=9)
    style_axis(axis, grid="y")
