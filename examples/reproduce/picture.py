"""The picture of the budget: what rows of the results cost on valid, by minutes of one core."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from lnfgen.plots.canvas import ACCENT, DARK, MID, file_bytes, new_figure, style_axis


class Course(NamedTuple):
    """A model in the picture.

    Attributes:
        kind: models of one kind have one colour in all panels.
        dashed: the second model of a kind in a panel has a dashed curve.
        curve: minutes and the valid ELBO at each validation. A course of one point is drawn as a
            dot.
    """

    name: str
    kind: str
    dashed: bool
    curve: Sequence[tuple[float, float]]


class Panel(NamedTuple):
    title: str
    unit: str
    courses: Sequence[Course]


def by_minutes(panels: Sequence[Panel]) -> bytes:
    """A PNG with a panel for each set.

    An axis leaves out costs far above those at the end, because every model begins with them.
    """
    figure = new_figure(3.5 * len(panels), 3.6)
    kinds: dict[str, None] = {}  # in the order in which they come
    for panel in panels:
        for course in panel.courses:
            kinds[course.kind] = None
    colors = dict(zip(kinds, (DARK, ACCENT, MID), strict=False))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, panel in zip(axes, panels, strict=True):
        for course in panel.courses:
            _draw(axis, course, colors[course.kind])
        last = [course.curve[-1][1] for course in panel.courses]
        axis.set_ylim(0.93 * min(last), 1.3 * max(last))
        axis.set_xlim(left=0)
        axis.set_title(panel.title, loc="left", fontsize=10)
        axis.set_xlabel("minutes of one core", fontsize=9)
        axis.set_ylabel(f"valid ELBO, {panel.unit}", fontsize=9)
        axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(-0.1, -0.17))
        style_axis(axis, grid="y")
    return file_bytes(figure, ".png")


def _draw(axis: Any, course: Course, color: str) -> None:
    """Draw the curve of a course, or its dot, which lies above the curves."""
    minutes = [at for at, _ in course.curve]
    costs = [cost for _, cost in course.curve]
    is_dot = len(costs) == 1
    style = "-"
    if is_dot:
        style = "o"
    elif course.dashed:
        style = "--"
    axis.plot(
        minutes,
        costs,
        style,
        markersize=5,
        color=color,
        linewidth=1.6,
        label=course.name,
        zorder=3 if is_dot else 2,
    )
