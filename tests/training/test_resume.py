"""A resumed run is the uninterrupted one bit for bit, or says in one line why it cannot be."""

import dataclasses
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_training import SIZES, TRAINING, Listener, Session, after

from lnfgen.api import open_session
from lnfgen.config import NAMED_MODELS, Config
from lnfgen.data.dataset import Dataset
from lnfgen.errors import ConfigError, RunError
from lnfgen.runs.checkpoint import load_state, save_state
from lnfgen.runs.folder import RunFolder
from lnfgen.training.objective import PASS_STEPS
from lnfgen.training.schedules import DECAYS_BEFORE_STOP
from lnfgen.training.session import TrainingSession


def without_clock(metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if "per_second" not in key} for line in metrics]


CASES = [(2, {"max_steps": 4}, name) for name in sorted(NAMED_MODELS)]
CASES += [
    (updates, others, name)
    for updates, others in ((1, {"max_steps": 4}), (6, {"precision": "bfloat16"}))
    for name in ("af-scf", "lstm")
]


@pytest.mark.parametrize(("updates", "several", "name"), CASES)
def test_resumed_is_uninterrupted_bit_for_bit(dataset, name, updates, several, tmp_path, monkeypatch):
    """Dropout on, in mid-epoch (of 3 updates) and at an epoch's end, through the files of a run folder; with one sample
    and with three in two passes."""
    monkeypatch.setitem(PASS_STEPS, "cpu", 150)
    several = {"max_steps": 9, **several}
    whole = Session(dataset, name, **several)
    assert whole.trainer.run()

    run = RunFolder.create(tmp_path / "run", whole.config, dataset)
    begun = Session(dataset, name, run, **several)
    assert not begun.trainer.run(after(updates))
    assert begun.trainer.step == updates
    torch.rand(7)  # another process has other random numbers behind it
    resumed = Session(dataset, name, run, **several)
    resumed.trainer.restore(*load_state(RunFolder(tmp_path / "run")))
    assert resumed.trainer.step == updates
    assert resumed.trainer.run()

    for part, expected in whole.trainer.state_tensors().items():
        found = resumed.trainer.state_tensors()[part]
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], value) for key, value in expected.items()), part
    expected_values, found_values = whole.trainer.state_values(), resumed.trainer.state_values()
    for values in (expected_values, found_values):
        values.pop("sums")
    assert found_values == expected_values
    validations = begun.listener.validations + resumed.listener.validations
    assert without_clock(validations) == without_clock(whole.listener.validations)
    assert all(torch.equal(resumed.kept[-1][key], value) for key, value in whole.kept[-1].items())


def test_a_run_goes_on_on_another_kind_of_device(dataset):
    """Whose generators have another form: its noise is fresh, and the rest as it was."""
    begun = Session(dataset)
    begun.trainer.run(after(5))
    tensors, values = begun.trainer.state_tensors(), begun.trainer.state_values()
    tensors["random"]["noise"] = torch.zeros(16, dtype=torch.uint8)  # as CUDA's
    tensors["random"]["dropout_cuda"] = torch.zeros(16, dtype=torch.uint8)
    resumed = Session(dataset)
    resumed.trainer.restore(tensors, {**values, "device": "cuda"})
    assert resumed.trainer.step == 5
    assert resumed.trainer.run()


def damage(tensors: dict[str, dict[str, torch.Tensor]], values: dict[str, Any], how: str) -> None:
    match how:
        case "a value is missing":
            del values["rate"]
        case "a weight is missing":
            tensors["weights"].popitem()
        case "a weight of another size":
            name, value = tensors["average"].popitem()
            tensors["average"][name] = torch.zeros(3, *value.shape)
        case "a moment of no weight":
            tensors["optimizer"]["nothing/step"] = torch.zeros(())
        case "no random state":
            tensors["random"] = {}
        case "a moment of another size":
            key = next(key for key in tensors["optimizer"] if key.endswith("/exp_avg"))
            tensors["optimizer"][key] = torch.zeros(7)
        case "a value of another type":
            values["sums"] = 3
        case "a word for numbers":
            values["sums"] = "af"
        case "a negative step":
            values["step"] = -2
        case "a rate that is not finite":
            values["rate"] = math.inf


@pytest.mark.parametrize(
    "how",
    [
        "a value is missing",
        "a weight is missing",
        "a weight of another size",
        "a moment of no weight",
        "no random state",
        "a moment of another size",
        "a value of another type",
        "a word for numbers",
        "a negative step",
        "a rate that is not finite",
    ],
)
def test_a_state_that_does_not_fit_is_one_clear_line(dataset, how):
    session = Session(dataset)
    session.trainer.run(after(2))
    tensors, values = session.trainer.state_tensors(), session.trainer.state_values()
    damage(tensors, values, how)
    with pytest.raises(RunError, match="last/") as error:
        Session(dataset).trainer.restore(tensors, values)
    assert "\n" not in str(error.value)


# From the run's folder alone. -----------------------------------------------------------------------------------------


def begin(dataset: Dataset, path: Path) -> TrainingSession:
    return TrainingSession.begin(
        Config(model=SIZES, training=dataclasses.replace(TRAINING, max_steps=12)), dataset, "cpu", path
    )


def figures(run: Path) -> list[dict[str, Any]]:
    return without_clock([json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()])


@pytest.fixture(scope="module")
def finished(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("finished") / "run"
    assert begin(dataset, path).train(Listener())
    return path


@pytest.mark.parametrize("updates", [None, 0, 5])
def test_every_figure_of_a_resumed_run_is_that_of_the_uninterrupted_one(finished, dataset, tmp_path, updates):
    """Where it was stopped in mid-epoch, before its first update, or killed as soon as it had its folder (None)."""
    cut = begin(dataset, tmp_path / "cut")
    if updates is not None:
        assert not cut.train(Listener(), after(updates))
    torch.rand(7)
    assert TrainingSession.resume(RunFolder(tmp_path / "cut"), "cpu").train(Listener())
    assert figures(tmp_path / "cut") == figures(finished)
    models = [(run / "model.safetensors").read_bytes() for run in (tmp_path / "cut", finished)]
    assert models[0] == models[1]


def test_a_finished_run_says_so_and_stays_as_it_is(finished):
    before, model = figures(finished), (finished / "model.safetensors").read_bytes()
    listener = Listener()
    assert TrainingSession.resume(RunFolder(finished), "cpu").train(listener)
    assert len(listener.notes) == 1
    assert "has made its 12 updates" in listener.notes[0]
    assert "--max-steps" in listener.notes[0]
    assert not listener.steps
    assert (figures(finished), (finished / "model.safetensors").read_bytes()) == (before, model)
    # Asked for the length that it has, it is finished as well; one that it has passed is a mistake.
    assert TrainingSession.resume(RunFolder(finished), "cpu", epochs=4).trainer.finished
    with pytest.raises(ConfigError, match="12 updates already, more than the 11"):
        TrainingSession.resume(RunFolder(finished), "cpu", max_steps=11)
    assert TrainingSession.resume(RunFolder(finished), "cpu").trainer.finished


def test_a_finished_run_is_made_longer(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    TrainingSession.resume(RunFolder(run), "cpu", epochs=6).train(Listener(), after(2))
    assert RunFolder(run).config.training.total_steps(12) == 18
    assert TrainingSession.resume(RunFolder(run), "cpu").train(Listener())  # it keeps its new length
    short, long = figures(finished), figures(run)
    assert long[: len(short)] == short
    assert long[-1]["step"] == 18
    assert {line["kl_weight"] for line in long[len(short) :]} == {1.0}


def test_the_kl_weight_rises_at_the_same_updates_in_a_longer_run(dataset, tmp_path):
    run = tmp_path / "run"
    begin(dataset, run).train(Listener(), after(4))
    whole = begin(dataset, tmp_path / "whole").trainer
    longer = TrainingSession.resume(RunFolder(run), "cpu", max_steps=40).trainer
    assert longer.total_steps == 40
    for step in range(12):
        whole.step = longer.step = step
        assert longer.kl_weight == pytest.approx(whole.kl_weight)
    cut = TrainingSession.resume(RunFolder(run), "cpu", max_steps=5).trainer  # ends before the weight was to be 1
    cut.step = 5
    assert cut.kl_weight == 1


def test_a_run_that_is_cut_before_the_kl_weight_rises_says_so(dataset, tmp_path):
    run, late = tmp_path / "run", dataclasses.replace(TRAINING, kl_warmup_start=0.9, kl_warmup_end=1.0)
    TrainingSession.begin(Config(model=SIZES, training=late), dataset, "cpu", run).train(Listener(), after(4))
    cut = TrainingSession.resume(RunFolder(run), "cpu", max_steps=5)
    cut.train(listener := Listener())
    assert any("ended at KL weight 0.00, before 1" in note for note in listener.notes)
    assert figures(run)[-1]["kl_weight"] < 1


def test_a_run_that_ended_early_gets_its_patience_again(dataset, tmp_path):
    run = tmp_path / "run"
    session = begin(dataset, run)
    tensors, values = load_state(session.run)
    save_state(session.run, tensors, {**values, "stale": DECAYS_BEFORE_STOP * TRAINING.patience, "rate": 0.3})
    assert TrainingSession.resume(RunFolder(run), "cpu").trainer.finished
    longer = TrainingSession.resume(RunFolder(run), "cpu", max_steps=12).trainer
    assert not longer.finished
    assert longer.plateau.rate == 0.3
    assert not TrainingSession.resume(RunFolder(run), "cpu").trainer.finished


@pytest.mark.parametrize(
    "settings",
    [{"model": "lstm"}, {"preset": "paper"}, {"seed": 1}, {"backbone": "scan"}, {"set": {"training.seed": 2}}],
)
def test_other_settings_beside_resume_are_refused(finished, settings):
    named = {"model": None, "preset": None} | settings
    with pytest.raises(ConfigError, match=f"--{next(iter(settings))} beside it; leave them out"):
        open_session(None, out=finished, resume=True, device="cpu", **named)
