"""A resumed run is the uninterrupted one bit for bit, or says in one line why it cannot be."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from command import one_line
from toy_dataset import write_dataset
from toy_training import (
    SIZES,
    TRAINING,
    Listener,
    Session,
    after,
    assert_equal,
    begin,
    figures,
    without_clock,
)

from lnfgen.api import open_session
from lnfgen.config import CALIBRATION_PIECES, NAMED_MODELS, Config
from lnfgen.data.dataset import Dataset
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.errors import ConfigError, LnfgenWarning, RunError
from lnfgen.music.parts import NUM_KEYS
from lnfgen.runs.checkpoint import load_state, save_state
from lnfgen.runs.folder import RunFolder
from lnfgen.training.schedules import DECAYS_BEFORE_STOP
from lnfgen.training.session import STEP_OF_A_ROUND, TrainingSession
from lnfgen.training.trainer import Trainer

CASES = [(2, {"max_steps": 4}, name) for name in sorted(NAMED_MODELS)]
for _name in ("af-scf", "lstm"):
    CASES.append((1, {"max_steps": 4}, _name))
    CASES.append((6, {"precision": "bfloat16"}, _name))


@pytest.mark.parametrize(("updates", "several", "name"), CASES)
def test_resumed_is_uninterrupted_bit_for_bit(dataset, name, updates, several, tmp_path):
    """Dropout on, in mid-epoch (of 3 updates) and at an epoch's end, through files of a run."""
    several = {"max_steps": 9, **several}
    whole = Session(dataset, name, **several)
    assert whole.run()

    run = RunFolder.create(tmp_path / "run", whole.config, dataset)
    begun = Session(dataset, name, run, **several)
    assert not begun.run(after(updates))
    assert begun.trainer.step == updates
    torch.rand(7)  # another process has other random numbers behind it
    resumed = Session(dataset, name, run, **several)
    resumed.trainer.restore(*load_state(RunFolder(tmp_path / "run")))
    assert resumed.trainer.step == updates
    assert resumed.run()

    expected, expected_values = whole.trainer.state()
    found, found_values = resumed.trainer.state()
    for part, tensors in expected.items():
        assert_equal(found[part], tensors)
    for values in (expected_values, found_values):
        values.pop("sums")
    assert found_values == expected_values
    validations = begun.listener.validations + resumed.listener.validations
    assert without_clock(validations) == without_clock(whole.listener.validations)
    assert_equal(resumed.kept[-1], whole.kept[-1])


def test_a_run_goes_on_on_another_kind_of_device(dataset):
    """Whose generators have another form: its noise is fresh, and the rest as it was."""
    begun = Session(dataset)
    begun.run(after(5))
    tensors, values = begun.trainer.state()
    tensors["random"]["noise"] = torch.zeros(16, dtype=torch.uint8)  # as CUDA's
    tensors["random"]["dropout_cuda"] = torch.zeros(16, dtype=torch.uint8)
    resumed = Session(dataset)
    resumed.trainer.restore(tensors, {**values, "device": "cuda"})
    assert resumed.trainer.step == 5
    assert resumed.run()


@pytest.mark.parametrize(
    "damage",
    [
        lambda tensors, values: values.pop("rate"),
        lambda tensors, values: values.update(sums=3),
        lambda tensors, values: tensors["weights"].popitem(),
        lambda tensors, values: tensors["average"].update(
            dict.fromkeys(tensors["average"], torch.zeros(3, 4, 5))
        ),
        lambda tensors, values: tensors["optimizer"].update({"nothing/step": torch.zeros(())}),
        lambda tensors, values: tensors["random"].clear(),
    ],
    ids=[
        "no rate",
        "sums of another type",
        "no weight",
        "weights of another size",
        "a moment of nothing",
        "no random",
    ],
)
def test_a_state_that_does_not_fit_is_one_clear_line(dataset, damage):
    session = Session(dataset)
    session.run(after(2))
    tensors, values = session.trainer.state()
    damage(tensors, values)
    with pytest.raises(RunError, match="last/") as error:
        Session(dataset).trainer.restore(tensors, values)
    one_line(error)


# From the run's folder alone.
# -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("finished") / "run"
    assert begin(dataset, path).train(Listener())
    return path


def resumed(run: Path, **length: int) -> Trainer:
    """The trainer of a session that goes on with a run, and is closed at once."""
    with TrainingSession.resume(RunFolder(run), "cpu", **length) as session:
        return session.trainer


@pytest.mark.parametrize("updates", [None, 0, 5])
def test_every_figure_of_a_resumed_run_is_that_of_the_uninterrupted_one(
    finished, dataset, tmp_path, updates
):
    """Where it was stopped in mid-epoch, before its first update, or as soon as it had its folder.

    The last case is None.
    """
    with begin(dataset, tmp_path / "cut") as cut:
        if updates is not None:
            assert not cut.train(Listener(), after(updates))
    torch.rand(7)
    assert TrainingSession.resume(RunFolder(tmp_path / "cut"), "cpu").train(Listener())
    assert figures(tmp_path / "cut") == figures(finished)
    model = (tmp_path / "cut" / "model.safetensors").read_bytes()
    assert model == (finished / "model.safetensors").read_bytes()


def test_a_finished_run_says_so_and_stays_as_it_is(finished):
    before = figures(finished)
    model = (finished / "model.safetensors").read_bytes()
    listener = Listener()
    with pytest.warns(
        LnfgenWarning, match="has made its 12 updates; to train it further.*--max-steps"
    ):
        assert TrainingSession.resume(RunFolder(finished), "cpu").train(listener)
    assert not listener.steps
    assert figures(finished) == before
    assert (finished / "model.safetensors").read_bytes() == model
    # Asked for the length that it has, it is finished as well; one that it has passed is a mistake.
    assert resumed(finished, epochs=4).finished
    with pytest.raises(ConfigError, match="12 updates already, more than the 11"):
        TrainingSession.resume(RunFolder(finished), "cpu", max_steps=11)
    assert resumed(finished).finished


def test_a_finished_run_is_made_longer(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    TrainingSession.resume(RunFolder(run), "cpu", epochs=6).train(Listener(), after(2))
    assert RunFolder(run).config.training.total_steps(12) == 18
    # It keeps its new length.
    assert TrainingSession.resume(RunFolder(run), "cpu").train(Listener())
    short = figures(finished)
    long = figures(run)
    assert long[: len(short)] == short
    assert long[-1]["step"] == 18
    assert {line["kl_weight"] for line in long[len(short) :]} == {1.0}


def test_the_kl_weight_rises_at_the_same_updates_in_a_longer_run(dataset, tmp_path):
    run = tmp_path / "run"
    begin(dataset, run).train(Listener(), after(4))
    with begin(dataset, tmp_path / "whole") as session:
        whole = session.trainer
    longer = resumed(run, max_steps=40)
    assert longer.total_steps == 40
    for step in range(12):
        whole.step = longer.step = step
        assert longer.kl_weight == pytest.approx(whole.kl_weight)
    # It ends before the weight was to be 1.
    cut = resumed(run, max_steps=5)
    cut.step = 5
    assert cut.kl_weight == 1


def test_a_run_that_is_cut_before_the_kl_weight_rises_says_so(dataset, tmp_path):
    run = tmp_path / "run"
    late = dataclasses.replace(TRAINING, kl_warmup_start=0.9, kl_warmup_end=1.0)
    TrainingSession.begin(Config(SIZES, late), dataset, "cpu", run).train(Listener(), after(4))
    cut = TrainingSession.resume(RunFolder(run), "cpu", max_steps=5)
    with pytest.warns(LnfgenWarning, match="ended at KL weight 0.00, before 1"):
        cut.train(Listener())
    assert figures(run)[-1]["kl_weight"] < 1


def test_a_run_that_ended_early_gets_its_patience_again(dataset, tmp_path):
    run = tmp_path / "run"
    begin(dataset, run).close()
    tensors, values = load_state(RunFolder(run))
    stalled = {"stale": DECAYS_BEFORE_STOP * TRAINING.patience, "rate": 0.3}
    save_state(RunFolder(run), tensors, values | stalled)
    assert resumed(run).finished
    longer = resumed(run, max_steps=12)
    assert not longer.finished
    assert longer.plateau.rate == 0.3
    assert not resumed(run).finished


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "lstm"},
        {"preset": "paper"},
        {"seed": 1},
        {"backbone": "scan"},
        {"set": {"training.seed": 2}},
    ],
)
def test_other_settings_beside_resume_are_refused(finished, settings):
    named = {"model": None, "preset": None} | settings
    with pytest.raises(ConfigError, match=f"--{next(iter(settings))} beside it; leave them out"):
        open_session(None, out=finished, resume=True, device="cpu", **named)


# The time of calibration.
# -------------------------------------------------------------------------------------------------


def test_the_time_of_a_run_counts_the_steps_of_the_rounds_of_calibration(tmp_path):
    """A round has pieces of eight bars and, without parts, as many of the usual length.

    There are at most as many rounds as the updates saw pieces for.
    """
    encoding = MusicEncoding(num_pitches=NUM_KEYS, steps_per_quarter=2)
    pieces = [np.zeros((96, 1, NUM_KEYS), np.uint8)] * 4
    dataset = write_dataset(tmp_path / "d", name="d", encoding=encoding, splits={"train": pieces})
    model = dataclasses.replace(SIZES, emission="bernoulli")

    def calibration(updates: int) -> float:
        training = dataclasses.replace(TRAINING, max_steps=updates, calibration_rounds=7)
        out = tmp_path / f"run-{updates}"
        session = TrainingSession.begin(Config(model, training), dataset, "cpu", out)
        return session.calibration_in_updates()

    steps_of_round = CALIBRATION_PIECES * (64 + 96)
    each = STEP_OF_A_ROUND * steps_of_round / (TRAINING.batch_size * 96)
    assert calibration(updates=100) == pytest.approx(7 * each)
    assert calibration(updates=20) == pytest.approx(2 * each)
    assert calibration(updates=1) == 0


def test_a_run_without_calibration_has_no_time_for_it(dataset, tmp_path):
    assert begin(dataset, tmp_path / "none").calibration_in_updates() == 0
