"""Pictures of runs: how they are drawn, and the command."""

import dataclasses
import io
import math
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from command import Call, call_in, fails
from toy_config import training_config
from toy_dataset import write_dataset
from toy_models import ODD_SIZES

from lnfgen.config import NAMED_MODELS, Config
from lnfgen.data.encoding import Encoding
from lnfgen.errors import OutputError, RunError
from lnfgen.plots import curves
from lnfgen.plots.canvas import new_figure, require_picture, set_title
from lnfgen.plots.curves import Course, compared_curves, training_curves
from lnfgen.runs.checkpoint import new_model, save_model
from lnfgen.runs.folder import RunFolder

# Pictures.
# ------------------------------------------------------------------------------------------------------------


def line(step: int, **changes: object) -> dict[str, object]:
    figures = {"elbo": 5 + 100 / step, "reconstruction": 1.0, "kl": 4.0}
    both = {
        f"{part}_{name}": value for part in ("train", "valid") for name, value in figures.items()
    }
    rate = 0.002 if step < 70 else 0.0006
    return {
        "step": step,
        "kl_weight": min(1.0, step / 50),
        "learning_rate": rate,
        "kept": step == 80,
        **both,
        **changes,
    }


LINES = [line(step) for step in range(10, 101, 10)]


def size_of(png: bytes) -> tuple[int, ...]:
    from matplotlib.image import imread

    assert png.startswith(b"\x89PNG\r\n")
    return imread(io.BytesIO(png)).shape[:2]


@pytest.mark.parametrize("width", [4, 6, 12])
def test_a_title_is_as_wide_as_its_picture(width):
    figure = new_figure(width, 4)
    set_title(
        figure,
        "run-with-a-name: af-codes on $ptb$\n"
        + "contours: p(z_t | z_<t, T); MMMM of each one, " * 4,
    )
    figure.draw_without_rendering()
    title = figure.get_suptitle()
    assert "run-with-a-name: af-codes on $ptb$\n" in title
    assert figure._suptitle.get_window_extent().x1 <= figure.bbox.x1


def test_curves_are_a_png_and_a_baseline_has_fewer_panels():
    height, width = size_of(training_curves(Course("a $run$", LINES, "m"), "nats_per_step"))
    assert 500 < height < 1500
    assert 800 < width < 2000
    exact = [line(10 * i, train_kl=0.0, valid_kl=0.0, kl_weight=1.0) for i in (1, 2)]
    assert size_of(training_curves(Course("run", exact, "m"), "bits_per_char"))[1] < width
    without = [
        {key: value for key, value in line(s).items() if "valid" not in key and key != "kept"}
        for s in (1, 2)
    ]
    size_of(training_curves(Course("no valid split", without, "m"), "nats_per_step"))
    size_of(
        training_curves(
            Course("early", [line(10, kl_weight=0.1, valid_kl=math.nan)] * 2, "m"), "nats_per_step"
        )
    )
    diverged = [*LINES, line(10 * len(LINES) + 10, valid_elbo=math.inf)]
    size_of(training_curves(Course(os.fsdecode(b"caf\xe9"), diverged, "m"), "nats_per_step"))
    size_of(compared_curves([Course(os.fsdecode(b"caf\xe9"), diverged, "m")] * 2, "nats_per_step"))


@pytest.mark.parametrize(("names", "count"), [((10, 12), 2), ((66, 78, 72), 1), ((300, 200), 1)])
def test_no_label_below_a_picture_is_cut_off(names, count, monkeypatch):
    figures = []
    monkeypatch.setattr(curves, "file_bytes", lambda figure, suffix: figures.append(figure) or b"")
    compared_curves([Course("a-run/" * (size // 6), LINES, "m") for size in names], "nats_per_step")
    figure, legend = figures[0], figures[0].legends[0]
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
        Course(name, lines, "m")
        for name, lines in (("a $run$", LINES), ("early", early), ("c", LINES[:2]))
    ]
    drawn = compared_curves(courses, "nats_per_step", ".svg")
    assert drawn == compared_curves(courses, "nats_per_step", ".svg")
    assert drawn.count(b"<path") > compared_curves(courses[:1], "nats_per_step", ".svg").count(
        b"<path"
    )
    # more than there are colours
    height, width = size_of(compared_curves(courses * 7, "nats_per_step"))
    assert width > height
    with pytest.raises(RunError, match="where: a line has no valid_elbo"):
        compared_curves(
            [courses[0], Course("b", [{"step": 1}, {"step": 2}], "where")], "nats_per_step"
        )
    with pytest.raises(RunError, match="where holds 1 of"):
        compared_curves([courses[0], Course("b", LINES[:1], "where")], "nats_per_step")


@pytest.mark.parametrize(("suffix", "start_of_file"), [(".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_other_formats(suffix, start_of_file, tmp_path):
    one, other = (
        training_curves(Course("run", LINES, "m"), "nats_per_step", suffix) for _ in range(2)
    )
    assert one.startswith(start_of_file)
    assert one == other
    assert require_picture(tmp_path / f"B{suffix.upper()}") == suffix
    with pytest.raises(OutputError, match=r"\.png"):
        require_picture(Path("x.jpeg"))


# The command.
# ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with untrained runs of text and of music, and one of the baseline."""
    home = tmp_path_factory.mktemp("home")
    rng = np.random.default_rng(0)
    rolls = [np.where(rng.random((12 + i, 88)) < 0.05, 3, 0).astype(np.uint8) for i in range(6)]
    lines = [rng.integers(1, 5, 6 + i).astype(np.int32) for i in range(6)]
    music = Encoding(kind="music", has_onsets=True, time_signature=(3, 4))
    text = Encoding(kind="text", vocabulary=("\ufffd", "\n", " ", "a", "b"))
    for name, encoding, sequences, model in (
        ("rolls", music, rolls, "af-scf"),
        ("lines", text, lines, "af-scf"),
        ("base", text, lines, "lstm"),
    ):
        splits = {"train": sequences[:4], "valid": sequences[4:]}
        dataset = write_dataset(home / name, name=name, encoding=encoding, splits=splits)
        emission = "bernoulli" if encoding.kind == "music" else "categorical"
        config = Config(
            dataclasses.replace(ODD_SIZES, **NAMED_MODELS[model], emission=emission),
            training_config(),
        )
        run = RunFolder.create(home / f"run-{name}", config, dataset)
        save_model(run, new_model(config, dataset).state_dict())
    return home


@pytest.fixture
def plot(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return partial(call_in(home, monkeypatch, capsys), "plot")


def test_curves_of_the_newest_run(home, plot, tmp_path, monkeypatch):
    run = tmp_path / "runs" / "lines-lstm-001"
    shutil.copytree(home / "run-base", run)
    monkeypatch.chdir(tmp_path)
    fails(plot(), "metrics.jsonl", "at least 2", "--resume --out runs/lines-lstm-001")
    RunFolder(run).write_metrics(LINES)
    done = plot()
    assert done.stdout == b"curves.png\n"
    assert b"lines-lstm-001" in done.stderr
    size_of((tmp_path / "curves.png").read_bytes())

    shutil.copytree(run, tmp_path / "other" / run.name)
    done = plot("runs/lines-lstm-001", "other/lines-lstm-001", "--out", "both.svg")
    assert done.stdout == b"both.svg\n"
    # names alone are the same
    assert b"<!-- other/lines-lstm-001: 6.25 -->" in (tmp_path / "both.svg").read_bytes()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["run-lines", "--out", "x.jpeg"], ["x.jpeg", ".png"]),
        (["run-lines", "--out", "nowhere/x.png"], ["nowhere", "make it first"]),
        (["run-none"], ["run-none", "lnfgen train"]),
        (["run-lines", "run-rolls"], ["run-lines is in bits", "run-rolls is in nats"]),
    ],
)
def test_what_cannot_be_drawn_is_said(home, plot, args, words):
    before = sorted(home.iterdir())
    fails(plot(*args), *words)
    assert sorted(home.iterdir()) == before
