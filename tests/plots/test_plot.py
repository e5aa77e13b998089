"""Pictures of a run: what is looked at, how it is drawn, and the command."""

import dataclasses
import io
import math
import os
import re
import shutil
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from command import Call, call_in, fails
from toy_dataset import write_dataset
from toy_models import ODD_SIZES

from lnfgen.cli.plot import _title
from lnfgen.config import NAMED_MODELS, build_config
from lnfgen.data.dataset import open_dataset
from lnfgen.data.encoding import Encoding
from lnfgen.errors import OutputError, RunError
from lnfgen.flows.temporal import AutoregressiveFlow
from lnfgen.plots import curves
from lnfgen.plots.canvas import new_figure, require_picture, set_title
from lnfgen.plots.conditionals import View, Views
from lnfgen.plots.curves import Course, compared_curves, training_curves
from lnfgen.plots.latents import draw_views
from lnfgen.plots.steps import (
    LatentStep,
    candidate_labels,
    choose_steps,
    frequent_values,
    step_title,
    steps_after,
    steps_along,
    with_candidates,
)
from lnfgen.runs.checkpoint import new_model, save_model
from lnfgen.runs.folder import RunFolder

# What is looked at. ---------------------------------------------------------------------------------------------------


def test_frequent_values_come_commonest_first():
    assert frequent_values([np.array([2, 1, 2]), np.array([2, 1, 5])], 2).tolist() == [2, 1]
    frames = [np.array([[0, 3], [1, 0], [0, 3]], np.uint8)]
    assert frequent_values(frames, 5).tolist() == [[0, 3], [1, 0]]


@pytest.mark.parametrize("value", [2, 7])
def test_the_true_value_is_always_a_candidate(value):
    common = np.array([2, 1, 5])
    step = with_candidates(np.array([4, value, 4]), 1, common)
    assert step.candidates[step.true] == value
    assert len(step.candidates) == 3
    assert len(set(step.candidates.tolist())) == 3
    assert common.tolist() == [2, 1, 5]


@pytest.mark.parametrize("length", [1, 3, 20, 400])
def test_steps_of_a_piece_are_different_ones_of_its_start(length):
    steps = [step for _, step in steps_along(np.zeros(length, np.int32))]
    assert steps == sorted(set(steps))
    assert len(steps) == min(length, 4)
    assert 0 <= steps[0] <= steps[-1] < min(length, 40)


def test_a_prefix_goes_on_as_some_piece_does():
    encoding = Encoding(kind="text", vocabulary=("\ufffd", "a", "b", "c"))
    split = [encoding.encode(text) for text in ("abcab", "ccb", "bca")]
    # In the third, as in the first, nothing follows the longer ends: "ab" is the longest that something follows.
    found = steps_after(["cab", "aabc", "abcab", "caa"], encoding, split, np.random.default_rng(0))
    assert [step for _, step in found] == [3, 4, 5, 3]
    assert [encoding.decode(x) for x, _ in found] == ["cabcab", "aabcab", "abcabcab", "caabcab"]


@pytest.mark.parametrize("name", ["rolls", "lines"])
def test_steps_are_chosen_and_named_without_the_command(home, name):
    dataset = open_dataset(home / name)
    steps = choose_steps(dataset, seed=1)
    again = choose_steps(dataset, seed=1)
    assert [step.step for step in steps] == [step.step for step in again]
    assert all(np.array_equal(one.x, other.x) for one, other in zip(steps, again, strict=True))
    assert all(any(np.array_equal(step.x, piece) for piece in dataset.split("valid")) for step in steps)
    labels, key = candidate_labels(steps, dataset.encoding)
    assert [len(part) for part in labels] == [len(step.candidates) for step in steps]
    assert bool(key) == (name == "rolls")  # the frames' numbers
    assert len({step_title(step, dataset.encoding) for step in steps}) == len(steps)


def test_the_bars_of_a_step_are_those_of_its_piece(tmp_path):
    encoding = Encoding(kind="music", time_signature=(3, 4))
    splits = {"train": [np.ones((40, 88), np.uint8)]}
    for kept, last in (([(4, 4)], "bar 3, step 4"), ([(2, 4)], "bar 5, step 4"), ([], "bar 3, step 12")):
        signatures = {"train": kept} if kept else {}
        path = tmp_path / str(kept)
        dataset = write_dataset(path, name="m", encoding=encoding, splits=splits, time_signatures=signatures)
        assert step_title(choose_steps(dataset)[-1], encoding).startswith(last)


def test_the_bars_of_a_step_are_counted_from_the_upbeat_on():
    for fills, silent, titles in (
        (True, 8, ("bar 0, step 9", "bar 1, step 1")),
        (True, 4, ("bar 1, step 9", "bar 2, step 1")),
        (False, 8, ("bar 1, step 9", "bar 2, step 1")),
    ):
        encoding = Encoding(kind="music", time_signature=(3, 4), fills_upbeats=fills)
        x = np.zeros((40, 88), np.uint8)
        x[silent:, 40] = 1
        for index, title in zip((8, 12), titles, strict=True):
            step = LatentStep(x, index, x[index : index + 1], true=0)
            assert step_title(step, encoding).startswith(title)


# Pictures. ------------------------------------------------------------------------------------------------------------


def line(step: int, **changes: object) -> dict[str, object]:
    figures = {"elbo": 5 + 100 / step, "reconstruction": 1.0, "kl": 4.0}
    both = {f"{part}_{name}": value for part in ("train", "valid") for name, value in figures.items()}
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
    set_title(figure, "run-with-a-name: af-codes on $ptb$\n" + "contours: p(z_t | z_<t, T); MMMM of each one, " * 4)
    figure.canvas.draw()
    title = figure.get_suptitle()
    assert "run-with-a-name: af-codes on $ptb$\n" in title
    assert figure._suptitle.get_window_extent().x1 <= figure.bbox.x1


def test_curves_are_a_png_and_a_baseline_has_fewer_panels():
    height, width = size_of(training_curves(LINES, "nats_per_step", "a $run$", "m"))
    assert 500 < height < 1500
    assert 800 < width < 2000
    exact = [line(10 * i, train_kl=0.0, valid_kl=0.0, kl_weight=1.0) for i in (1, 2)]
    assert size_of(training_curves(exact, "bits_per_char", "run", "m"))[0] < height
    without = [{key: value for key, value in line(s).items() if "valid" not in key and key != "kept"} for s in (1, 2)]
    size_of(training_curves(without, "nats_per_step", "no valid split", "m"))
    size_of(training_curves([line(10, kl_weight=0.1, valid_kl=math.nan)] * 2, "nats_per_step", "early", "m"))
    diverged = [*LINES, line(10 * len(LINES) + 10, valid_elbo=math.inf)]
    size_of(training_curves(diverged, "nats_per_step", os.fsdecode(b"caf\xe9"), "m"))
    size_of(compared_curves([Course(os.fsdecode(b"caf\xe9"), diverged, "m")] * 2, "nats_per_step"))


def test_the_parts_that_are_drawn_and_the_length_add_up_to_the_elbo(monkeypatch):
    axes = []
    draw = curves._draw_curve
    monkeypatch.setattr(curves, "_draw_curve", lambda axis, *args: axes.append(axis) or draw(axis, *args))
    training_curves(LINES, "nats_per_step", "run", "m")
    length = LINES[-1]["valid_elbo"] - LINES[-1]["valid_reconstruction"] - LINES[-1]["valid_kl"]
    assert axes[0].get_ylabel().startswith(f"ELBO (length: {length:.3g})")


def test_a_cooldown_is_marked_where_it_begins(monkeypatch):
    axes = []
    draw = curves._draw_curve
    monkeypatch.setattr(curves, "_draw_curve", lambda axis, *args: axes.append(axis) or draw(axis, *args))
    rates = [0.003, 0.002, 0.002, 0.001, 0.0008, 0.0006, 0.0004]
    lines = [line(10 * number, learning_rate=rate) for number, rate in enumerate(rates, start=1)]
    training_curves(lines, "nats_per_step", "run", "m")
    assert [drawn.get_xdata()[0] for drawn in axes[0].lines if drawn.get_linestyle() == ":"] == [10, 30]


@pytest.mark.parametrize(("names", "count"), [((10, 12), 2), ((66, 78, 72), 1), ((300, 200), 1)])
def test_no_label_below_a_picture_is_cut_off(names, count, monkeypatch):
    figures = []
    monkeypatch.setattr(curves, "file_bytes", lambda figure, suffix: figures.append(figure) or b"")
    compared_curves([Course("a-run/" * (size // 6), LINES, "m") for size in names], "nats_per_step")
    figure, legend = figures[0], figures[0].legends[0]
    figure.canvas.draw()
    box = legend.get_window_extent()
    assert 0 <= box.x0 <= box.x1 <= figure.bbox.x1
    assert 0 <= box.y0 <= box.y1 < figure.axes[0].get_window_extent().y0
    assert figure.axes[0].get_window_extent().height > 400
    assert legend._ncols >= count


def test_curves_need_two_sound_lines():
    for lines in ([], LINES[:1]):
        with pytest.raises(RunError, match=f"where holds {len(lines)} of.*--resume"):
            training_curves(lines, "nats_per_step", "run", "where")
    with pytest.raises(RunError, match="kl_weight"):
        training_curves([LINES[0], {"step": 3}], "nats_per_step", "run", "where")


def test_several_runs_are_drawn_in_one_picture():
    early = [line(step, kl_weight=0.3, kept=False) for step in (10, 20)]
    courses = [Course(name, lines, "m") for name, lines in (("a $run$", LINES), ("early", early), ("c", LINES[:2]))]
    drawn = compared_curves(courses, "nats_per_step", ".svg")
    assert drawn == compared_curves(courses, "nats_per_step", ".svg")
    assert drawn.count(b"<path") > compared_curves(courses[:1], "nats_per_step", ".svg").count(b"<path")
    height, width = size_of(compared_curves(courses * 7, "nats_per_step"))  # more than there are colours
    assert width > height
    with pytest.raises(RunError, match="where has no valid_elbo"):
        compared_curves([courses[0], Course("b", [{"step": 1}, {"step": 2}], "where")], "nats_per_step")
    with pytest.raises(RunError, match="where holds 1 of"):
        compared_curves([courses[0], Course("b", LINES[:1], "where")], "nats_per_step")


@pytest.mark.parametrize(
    ("count", "density"), [(1, np.zeros((8, 8))), (3, np.random.default_rng(0).random((8, 8)))], ids=["none", "some"]
)
def test_panels_are_the_same_bytes_each_time(count, density):
    encoding = Encoding(kind="text", vocabulary=("\ufffd", "$", "\n", "a"))
    step = LatentStep(np.array([1, 2, 1, 3]), 2, np.array([1, 2, 3]), 0)
    means = np.zeros((3, 2))  # on one another: labels must not be
    views = Views((0, 1), (-3, 3, -3, 3), [View(density, means, np.ones((3, 2)))] * count, "z_<t, T")
    one, other = (draw_views([step] * count, views, encoding, "a $title$") for _ in range(2))
    assert one == other
    assert min(size_of(one)) > 400


def test_control_characters_leave_an_svg_well_formed():
    encoding = Encoding(kind="text", vocabulary=("\ufffd", "\x0c", "\x9b", "\ufffe"))
    step = LatentStep(np.array([1, 2, 3, 1]), 3, np.array([1, 2, 3]), 0)
    views = Views((0, 1), (-3, 3, -3, 3), [View(np.zeros((8, 8)), np.zeros((3, 2)), np.ones((3, 2)))], "z_<t, T")
    ElementTree.fromstring(draw_views([step], views, encoding, "a title", ".svg"))
    assert step_title(step, encoding) == "after ␌\ufffd\ufffd, then ␌"


@pytest.mark.parametrize(("suffix", "start_of_file"), [(".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_other_formats(suffix, start_of_file, tmp_path):
    one, other = (training_curves(LINES, "nats_per_step", "run", "m", suffix) for _ in range(2))
    assert one.startswith(start_of_file)
    assert one == other
    assert require_picture(tmp_path / f"B{suffix.upper()}") == suffix
    with pytest.raises(OutputError, match=r"\.png"):
        require_picture(Path("x.jpeg"))


# The command. ---------------------------------------------------------------------------------------------------------


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
        config = build_config(model, "tiny").override({"model": dataclasses.asdict(ODD_SIZES) | NAMED_MODELS[model]})
        run = RunFolder.create(home / f"run-{name}", config, dataset)
        save_model(run, new_model(config, dataset).state_dict())
    return home


@pytest.fixture
def plot(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return partial(call_in(home, monkeypatch, capsys), "plot")


def test_the_title_names_the_run_that_one_is_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home / "run-rolls")
    assert _title(RunFolder(Path())).startswith("run-rolls: ")


def test_latents_of_text_and_of_music(home, plot):
    done = plot("run-lines", "--latents", "--seed", "1", "--prefix", "ab a", "--prefix", "b", "-q")
    assert done.stdout == b"latents.png\n", done.stderr.decode()
    assert done.stderr == b""
    height, width = size_of((home / "latents.png").read_bytes())
    assert width > 1.5 * height  # two panels
    done = plot("run-rolls", "--latents", "--features", "2,0", "--out", "rolls.svg")
    assert done.stdout == b"rolls.svg\n", done.stderr.decode()
    assert re.search(rb"seed \d+", done.stderr)
    assert b"<svg" in (home / "rolls.svg").read_bytes()


def test_a_flow_that_is_not_causal_says_so(plot, monkeypatch):
    """`coupling` has no p(z_t | z_<t) to sample."""
    monkeypatch.setattr(AutoregressiveFlow, "given", "T")
    done = plot("run-lines", "--latents", "--seed", "1", "--out", "whole.png")
    assert b"p(z_t | T)" in done.stderr


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
    assert b"<!-- other/lines-lstm-001: 6.25 -->" in (tmp_path / "both.svg").read_bytes()  # names alone are the same


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["run-base", "--latents"], ["lstm", "no latents"]),
        (["run-lines", "--latents", "--features", "0,3"], ["0,3", "0 to 2"]),
        (["run-lines", "--latents", "--features", "1,1"], ["1,1", "different"]),
        (["run-lines", "--latents", "--prefix", "ab!"], ["'ab!'", "'!'"]),
        (["run-lines", "--latents", "--prefix", ""], ["--prefix", "empty"]),
        (["run-rolls", "--latents", "--prefix", "a"], ["--prefix", "music"]),
        (["run-lines", "--features", "0,1"], ["--features", "--latents"]),
        (["run-lines", "--seed", "0"], ["--seed", "--latents"]),
        (["run-lines", "--out", "x.jpeg"], ["x.jpeg", ".png"]),
        (["run-lines", "--out", "nowhere/x.png"], ["nowhere", "make it first"]),
        (["run-none"], ["run-none", "lnfgen train"]),
        (["run-lines", "run-base", "--latents"], ["2 runs", "name one"]),
        (["run-lines", "run-rolls"], ["run-lines is in bits", "run-rolls is in nats"]),
    ],
)
def test_what_cannot_be_drawn_is_said(home, plot, args, words):
    before = sorted(home.iterdir())
    fails(plot(*args), *words)
    assert sorted(home.iterdir()) == before
