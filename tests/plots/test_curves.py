"""Curves of one run and of several."""

import io
import math
import os

import pytest

from lnfgen.errors import RunError
from lnfgen.plots import curves
from lnfgen.plots.curves import Course, compared_curves, training_curves


def line(step: int, **changes: object) -> dict[str, object]:
    """The figures of a validation."""
    found: dict[str, object] = {
        "step": step,
        "kl_weight": min(1.0, step / 50),
        "learning_rate": 0.002 if step < 70 else 0.0006,
        "kept": step == 80,
    }
    for split in ("train", "valid"):
        found[f"{split}_elbo"] = 5 + 100 / step
        found[f"{split}_reconstruction"] = 1.0
        found[f"{split}_kl"] = 4.0
    return {**found, **changes}


LINES = [line(step) for step in range(10, 101, 10)]


def size_of(png: bytes) -> tuple[int, ...]:
    from matplotlib.image import imread

    assert png.startswith(b"\x89PNG\r\n")
    return imread(io.BytesIO(png)).shape[:2]


def test_curves_are_a_png_and_a_baseline_has_fewer_panels():
    height, width = size_of(training_curves(Course("a $run$", LINES, "m"), "nats_per_step"))
    assert 500 < height < 1500
    assert 800 < width < 2000
    exact = [line(10 * i, train_kl=0.0, valid_kl=0.0, kl_weight=1.0) for i in (1, 2)]
    assert size_of(training_curves(Course("run", exact, "m"), "bits_per_char"))[1] < width


def without_valid(step: int) -> dict[str, object]:
    """The figures of a validation without a valid split."""
    figures = line(step)
    return {key: figures[key] for key in figures if "valid" not in key and key != "kept"}


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([without_valid(1), without_valid(2)], id="no valid split"),
        pytest.param([line(10, kl_weight=0.1, valid_kl=math.nan)] * 2, id="in the warm-up"),
        pytest.param([*LINES, line(110, valid_elbo=math.inf)], id="diverged"),
    ],
)
def test_curves_of_odd_runs(lines):
    size_of(training_curves(Course("run", lines, "m"), "nats_per_step"))


def test_a_name_may_be_any_bytes():
    course = Course(os.fsdecode(b"caf\xe9"), LINES, "m")
    size_of(training_curves(course, "nats_per_step"))
    size_of(compared_curves([course] * 2, "nats_per_step"))


@pytest.mark.parametrize(("names", "count"), [((10, 12), 2), ((66, 78, 72), 1), ((300, 200), 1)])
def test_no_label_below_a_picture_is_cut_off(names, count, monkeypatch):
    figures = []
    monkeypatch.setattr(curves, "file_bytes", lambda figure, suffix: figures.append(figure))
    compared_curves([Course("a-run/" * (size // 6), LINES, "m") for size in names], "nats_per_step")
    [figure] = figures
    legend = figure.legends[0]
    figure.draw_without_rendering()
    box = legend.get_window_extent()
    assert 0 <= box.x0 <= box.x1 <= figure.bbox.x1
    assert 0 <= box.y0 <= box.y1 < figure.axes[0].get_window_extent().y0
    assert figure.axes[0].get_window_extent().height > 400
    assert legend._ncols >= count


def test_curves_need_two_sound_lines():
    for lines in ([], LINES[:1]):
        with pytest.raises(RunError, match=f"where holds {len(lines)} of.*--resume"):
            training_curves(Course("run", lines, "where"), "nats_per_step")
    with pytest.raises(RunError, match="kl_weight"):
        training_curves(Course("run", [LINES[0], {"step": 3}], "where"), "nats_per_step")


def test_several_runs_are_drawn_in_one_picture():
    early = [line(step, kl_weight=0.3, kept=False) for step in (10, 20)]
    courses = [
        Course("a $run$", LINES, "m"),
        Course("early", early, "m"),
        Course("c", LINES[:2], "m"),
    ]
    drawn = compared_curves(courses, "nats_per_step", ".svg")
    assert drawn == compared_curves(courses, "nats_per_step", ".svg")
    alone = compared_curves(courses[:1], "nats_per_step", ".svg")
    assert drawn.count(b"<path") > alone.count(b"<path")
    height, width = size_of(compared_curves(courses * 7, "nats_per_step"))  # more than colours
    assert width > height
    without = Course("b", [{"step": 1}, {"step": 2}], "where")
    with pytest.raises(RunError, match="where: a line has no valid_elbo"):
        compared_curves([courses[0], without], "nats_per_step")
    with pytest.raises(RunError, match="where holds 1 of"):
        compared_curves([courses[0], Course("b", LINES[:1], "where")], "nats_per_step")
