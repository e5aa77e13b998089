"""Pictures of a run, and the conditional densities in them, against closed forms."""

import dataclasses
import io
import math
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from command import Call, call_in, fails
from torch import Tensor
from toy_models import ODD_SIZES

from lnfgen.config import NAMED_MODELS, build_config
from lnfgen.data.encoding import Encoding
from lnfgen.data.storage import open_dataset, write_dataset
from lnfgen.errors import OutputError, RunError
from lnfgen.flows.temporal import TemporalFlow
from lnfgen.models import LengthModel, Symbols, build_model
from lnfgen.models.latent_flow import LatentFlow
from lnfgen.models.posterior import Gaussian
from lnfgen.plots import conditionals
from lnfgen.plots.canvas import require_format
from lnfgen.plots.conditionals import View, Views, look
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

STEPS = 5


def toy(name: str, **changes: object) -> LatentFlow:
    torch.manual_seed(0)
    config = dataclasses.replace(ODD_SIZES, **{**NAMED_MODELS[name], **changes})  # type: ignore[arg-type]
    model = build_model(config, Symbols(4), LengthModel.fit(torch.tensor([STEPS])))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.4 * torch.randn_like(parameter))
    assert isinstance(model, LatentFlow)
    return model.double().eval()


def path(features: int, seed: int = 1) -> Tensor:
    return torch.randn(STEPS, features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def samples(model: LatentFlow, z: Tensor, step: int, count: int = 4000) -> Tensor:
    return conditionals.prior_samples(model, z, step, count, torch.Generator().manual_seed(2))


# Mathematics. ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0, 3])
def test_conditional_samples_of_an_affine_flow_are_the_closed_form_normal(step):
    """`eps_t = a + b z_t` with a, b of z_<t alone: z_t is normal, its mean where eps_t is 0 and its spread 1 / b."""
    model, z = toy("af-af", features="none", transform="affine"), path(3)
    drawn = samples(model, z, step)[:, step]
    # Two points of a line give it: eps_t at z_t = 0 and at z_t = 1.
    positions = model.positions(torch.tensor([STEPS]), STEPS)
    eps = []
    for value in (0.0, 1.0):
        changed = z.clone()
        changed[step] = value
        eps.append(model.prior.inverse(changed[None], positions, torch.tensor([STEPS]))[0][0, step].detach())
    slope = eps[1] - eps[0]
    error = (drawn.mean(0) + eps[0] / slope) * slope.abs() * math.sqrt(len(drawn))  # in standard errors
    assert error.abs().max() < 4
    torch.testing.assert_close(drawn.std(0) * slope.abs(), torch.ones(3, dtype=torch.float64), atol=0.05, rtol=0)


@pytest.mark.parametrize("name", [name for name in NAMED_MODELS if name not in ("lstm", "coupling")])
def test_earlier_steps_are_reproduced_and_the_last_is_free(name):
    model, z = toy(name), path(3)
    drawn = samples(model, z, 3, count=7)
    assert drawn.shape == (7, 4, 3)
    torch.testing.assert_close(drawn[:, :3], z[:3].expand(7, 3, 3), atol=1e-8, rtol=0)
    assert drawn[:, 3].std(0).min() > 1e-3


@pytest.mark.parametrize("name", [name for name in NAMED_MODELS if name not in ("lstm", "coupling")])
def test_chunks_change_nothing(name, monkeypatch):
    model, z = toy(name), path(3)
    whole = samples(model, z, 2, count=11)
    monkeypatch.setattr(conditionals, "MAX_ROW_STEPS", 10)
    torch.testing.assert_close(samples(model, z, 2, count=11), whole, atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", ["af-af", "af-scf"])
def test_smoothed_samples_are_the_density_that_inverse_gives(name):
    """log p(z_t | z_<t, T) = log N(eps_t) + log |d eps_t / d z_t|, on a grid of cells."""
    model, z, size, step = toy(name, latent_size=2), path(2), 25, 3
    drawn = samples(model, z, step)[:, step].numpy()
    centre, reach = drawn.mean(0), 8 * drawn.std(0)
    (left, bottom), (right, top) = centre - reach, centre + reach
    cell = np.prod(2 * reach / size)
    counted = conditionals.smoothed_density(drawn, (left, right, bottom, top), size, np.full(2, 1e-9)) * cell
    assert counted.sum() == pytest.approx(1, abs=0.01)
    # Four by four points in each cell, as its density changes within it.
    across, up = (torch.linspace(lo, hi, 8 * size + 1)[1::2] for lo, hi in ((left, right), (bottom, top)))
    rows = z[: step + 1].repeat((4 * size) ** 2, 1, 1)
    rows[:, step] = torch.cartesian_prod(up.double(), across.double()).flip(-1)
    positions = model.positions(torch.tensor([STEPS]), STEPS)[:, : step + 1].expand(len(rows), -1, -1)
    with torch.no_grad():
        eps, ladj = model.prior.inverse(rows, positions, torch.full((len(rows),), step + 1))
    log_density = ladj[:, step] - 0.5 * (eps[:, step] ** 2).sum(-1) - math.log(2 * math.pi)
    mass = log_density.exp().numpy().reshape(size, 4, size, 4).mean((1, 3)) * cell
    assert mass.sum() == pytest.approx(1, abs=0.01)
    assert np.abs(mass - counted).max() < 0.03
    assert np.abs(mass - counted).sum() < 0.2


def test_the_features_chosen_are_those_that_tell_candidates_apart():
    mean = torch.zeros(3, 5)
    mean[1, 3], mean[2, 1] = 4.0, -4.0
    assert conditionals.most_apart([Gaussian(mean, torch.zeros(3, 5))]) == (1, 3)
    assert conditionals.most_apart([Gaussian(mean[:1], torch.zeros(1, 5))]) == (0, 1)
    # A gap counts against the spread of what lies beside it.
    noisy = torch.zeros(3, 5)
    noisy[:, 1] = 6.0
    mean[1, 4], mean[2, 2] = 2.0, 2.0
    assert 1 not in conditionals.most_apart([Gaussian(mean, noisy)])


def test_candidates_posteriors_are_those_of_the_changed_piece():
    model, x = toy("af-scf"), np.array([1, 2, 3, 0, 1])
    found = conditionals.candidate_posteriors(model, LatentStep(x, 2, np.array([3, 0]), 0))
    own = conditionals.posterior_of(model, torch.from_numpy(x)[None])
    torch.testing.assert_close(found.mean[0], own.mean[0, 2])
    torch.testing.assert_close(found.log_variance[0], own.log_variance[0, 2])
    assert not torch.allclose(found.mean[1], found.mean[0])
    assert x.tolist() == [1, 2, 3, 0, 1]


@pytest.mark.parametrize(
    ("name", "latent", "features"), [("af-scf", 2, (1, 0)), ("af-scf", 3, None), ("coupling", 3, (0, 2))]
)
def test_a_view_is_a_density_in_a_window_that_holds_it(name, latent, features):
    model = toy(name, latent_size=latent)
    step = LatentStep(np.array([1, 2, 3, 0, 1]), 3, np.array([0, 1, 2]), 0)
    seen = look(model, [step], features=features)
    assert seen.triangular == (name != "coupling")
    (view,) = seen.views
    left, right, bottom, top = seen.extent
    assert features is None or seen.features == features
    cell = (right - left) * (top - bottom) / view.density.size
    assert 0.9 < view.density.sum() * cell < 1.02
    assert (view.means > [left, bottom]).all()
    assert (view.means < [right, top]).all()
    again = look(model, [step], features=features)
    assert np.array_equal(again.views[0].density, view.density)


def test_turning_the_features_turns_the_picture():
    model = toy("af-scf", latent_size=2)
    step = LatentStep(np.array([1, 2, 3, 0, 1]), 3, np.array([0, 1, 2]), 0)
    one, other = (look(model, [step], features=pair).views[0] for pair in ((0, 1), (1, 0)))
    np.testing.assert_allclose(one.density, other.density.T, atol=1e-9)


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
        signatures = {"train": kept} if kept else None
        path = tmp_path / str(kept)
        dataset = write_dataset(path, name="m", encoding=encoding, splits=splits, time_signatures=signatures)
        assert step_title(choose_steps(dataset)[-1], encoding).startswith(last)


# Pictures. ------------------------------------------------------------------------------------------------------------


def line(step: int, **changes: object) -> dict[str, object]:
    figures = {"elbo": 5 + 100 / step, "reconstruction": 1.0, "kl": 4.0}
    both = {f"{part}_{name}": value for part in ("train", "valid") for name, value in figures.items()}
    rate = 0.002 if step < 70 else 0.0006
    return {
        "step": step,
        "kl_weight": min(1.0, step / 50),
        "learning_rate": rate,
        "best": step == 80,
        **both,
        **changes,
    }


LINES = [line(step) for step in range(10, 101, 10)]


def size_of(png: bytes) -> tuple[int, ...]:
    from matplotlib.image import imread

    assert png.startswith(b"\x89PNG\r\n")
    return imread(io.BytesIO(png)).shape[:2]


def test_curves_are_a_png_and_a_baseline_has_fewer_panels():
    height, width = size_of(training_curves(LINES, "nats_per_step", "a $run$", "m"))
    assert 500 < height < 1500
    assert 800 < width < 2000
    exact = [line(10 * i, train_kl=0.0, valid_kl=0.0, kl_weight=1.0) for i in (1, 2)]
    assert size_of(training_curves(exact, "bits_per_char", "run", "m"))[0] < height
    without = [{key: value for key, value in line(s).items() if "valid" not in key and key != "best"} for s in (1, 2)]
    size_of(training_curves(without, "nats_per_step", "no valid split", "m"))
    size_of(training_curves([line(10, kl_weight=0.1, valid_kl=math.nan)] * 2, "nats_per_step", "early", "m"))


def test_curves_need_two_sound_lines():
    for lines in ([], LINES[:1]):
        with pytest.raises(RunError, match=f"where holds {len(lines)} of.*--resume"):
            training_curves(lines, "nats_per_step", "run", "where")
    with pytest.raises(RunError, match="kl_weight"):
        training_curves([LINES[0], {"step": 3}], "nats_per_step", "run", "where")


def test_several_runs_are_drawn_in_one_picture():
    early = [line(step, kl_weight=0.3, best=False) for step in (10, 20)]
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


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("density", [np.random.default_rng(0).random((8, 8)), np.zeros((8, 8))], ids=["some", "none"])
def test_panels_are_the_same_bytes_each_time(count, density):
    encoding = Encoding(kind="text", vocabulary=("\ufffd", "$", "\n", "a"))
    step = LatentStep(np.array([1, 2, 1, 3]), 2, np.array([1, 2, 3]), 0)
    means = np.zeros((3, 2))  # on one another: labels must not be
    views = Views((0, 1), (-3, 3, -3, 3), [View(density, means, np.ones((3, 2)))] * count, True)
    one, other = (draw_views([step] * count, views, encoding, "a $title$") for _ in range(2))
    assert one == other
    assert min(size_of(one)) > 400


@pytest.mark.parametrize(("suffix", "start_of_file"), [(".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_other_formats(suffix, start_of_file):
    one, other = (training_curves(LINES, "nats_per_step", "run", "m", suffix) for _ in range(2))
    assert one.startswith(start_of_file)
    assert one == other
    assert require_format(Path("a/B" + suffix.upper())) == suffix
    with pytest.raises(OutputError, match=r"\.png"):
        require_format(Path("x.jpeg"))


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
    monkeypatch.setattr(conditionals, "CouplingFlow", TemporalFlow)
    done = plot("run-lines", "--latents", "--seed", "1", "--out", "whole.png")
    assert b"p(z_t | T)" in done.stderr


def test_curves_of_the_newest_run(home, plot, tmp_path, monkeypatch):
    run = tmp_path / "runs" / "lines-lstm-001"
    shutil.copytree(home / "run-base", run)
    monkeypatch.chdir(tmp_path)
    fails(plot(), "metrics.jsonl", "at least 2", "--resume")
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
