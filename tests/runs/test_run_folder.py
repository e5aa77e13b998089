"""The run folder: what is written reads back, and whatever is damaged is one clear line."""

import csv
import io
import itertools
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from command import one_line
from toy_dataset import write_dataset

from lnfgen.config import NAMED_MODELS, Config, ModelConfig
from lnfgen.data.dataset import Dataset
from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenError, OutputError, RunError
from lnfgen.formats.text import UNKNOWN
from lnfgen.inference.scoring import score
from lnfgen.models import Frames, Symbols
from lnfgen.runs.checkpoint import (
    MODEL,
    STATE_PARTS,
    load_model,
    load_state,
    new_model,
    observation_of,
    save_model,
    save_state,
)
from lnfgen.runs.facts import run_facts
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.records import METRICS, metrics_csv

SMALL = {
    "num_flow_layers": 1,
    "conditioner_size": 4,
    "latent_size": 2,
    "hidden_size": 4,
    "num_layers": 1,
    "embedding_size": 4,
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    encoding = Encoding("text", vocabulary=(UNKNOWN, "a", "b"))
    train = [np.array([1, 2] * n, np.int32) for n in range(1, 5)]
    path = tmp_path_factory.mktemp("data") / "toy"
    return write_dataset(path, name="toy", encoding=encoding, splits={"train": train, "valid": train[:1]}, dropped={})


def config_of(name: str = "af-scf") -> Config:
    return Config(ModelConfig(**{**SMALL, **NAMED_MODELS[name]}))


def state_of(step: int) -> tuple[dict[str, dict[str, torch.Tensor]], dict[str, int]]:
    """Something of the form of a trainer's state, all of it telling the step."""
    return {part: {"value": torch.full((3,), step)} for part in STATE_PARTS}, {"step": step}


@pytest.fixture
def run(dataset, tmp_path) -> RunFolder:
    run = RunFolder.create(tmp_path / "run", config_of(), dataset)
    save_model(run, new_model(run.config, dataset).state_dict())
    save_state(run, *state_of(1))
    return run


# What is written reads back. ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(NAMED_MODELS))
def test_a_loaded_model_is_the_saved_one(dataset, tmp_path, name):
    run = RunFolder.create(tmp_path / "run", config_of(name), dataset)
    model = new_model(run.config, dataset)
    save_model(run, model.state_dict())
    loaded = load_model(RunFolder(tmp_path / "run"), torch.device("cpu"))
    assert not loaded.training
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(loaded.state_dict()[key], value) for key, value in model.state_dict().items())
    sequences = list(dataset.split("train"))
    assert score(loaded, sequences, "bits_per_char") == score(model, sequences, "bits_per_char")


def test_a_run_remembers_its_settings_and_dataset(run, dataset):
    again = RunFolder(run.path)
    assert again.config == config_of()
    assert again.encoding == dataset.encoding
    assert again.dataset["fingerprint"] == dataset.fingerprint
    assert again.dataset["path"] == str(dataset.path.resolve())
    assert again.metrics() == []
    again.write_metrics([{"step": 1}, {"step": 2, "valid_elbo": 3.5}])
    assert again.metrics() == [{"step": 1}, {"step": 2, "valid_elbo": 3.5}]


def test_a_run_holds_no_pickle_and_no_leftovers(run):
    files = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
    state = {f"last/{part}.safetensors" for part in STATE_PARTS} | {"last/progress.json"}
    assert files == {"config.json", "dataset.json", "metrics.jsonl", MODEL} | state


def test_an_occupied_folder_is_refused(run, dataset):
    with pytest.raises(OutputError) as error:
        RunFolder.create(run.path, config_of(), dataset)
    assert str(run.path) in one_line(error)


def test_same_seed_same_model(dataset):
    one, other = new_model(config_of(), dataset), new_model(config_of(), dataset)
    assert all(torch.equal(one.state_dict()[key], value) for key, value in other.state_dict().items())


def test_the_length_model_knows_train_alone(dataset):
    assert new_model(config_of(), dataset).length.lengths.tolist() == [2, 4, 6, 8]


def test_observations_of_encodings():
    assert observation_of(Encoding("text", vocabulary=(UNKNOWN, "a"))) == Symbols(2)
    assert observation_of(Encoding("music", has_onsets=True)) == Frames(88, True)
    assert observation_of(Encoding("music", has_onsets=False, num_pitches=40)) == Frames(40, False)


# State. ---------------------------------------------------------------------------------------------------------------


def loaded_step(run: RunFolder) -> int:
    """The step of a loaded state, which all its parts must agree on."""
    tensors, values = load_state(RunFolder(run.path))
    assert tensors.keys() == set(STATE_PARTS)
    for part in tensors.values():
        assert part["value"].tolist() == [values["step"]] * 3
    return values["step"]


def test_state_is_replaced_as_a_whole(run):
    assert loaded_step(run) == 1
    save_state(run, *state_of(2))
    assert loaded_step(run) == 2
    assert not any(path.name.startswith(".") for path in run.path.iterdir())


class Killed(BaseException):
    pass


def save_killed(run: RunFolder, step: int, renames: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Save a state, but die before the rename after the first `renames`, as a killed process does: no clean-up runs.

    True if the save came to its end before.
    """
    replace, done = os.replace, itertools.count()

    def counting(source, target):
        if next(done) == renames:
            patch.setattr(shutil, "rmtree", lambda *args, **kwargs: None)
            raise Killed
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", counting)
        try:
            save_state(run, *state_of(step))
        except Killed:
            return False
    return True


def test_a_crash_while_saving_leaves_a_state_to_load_and_to_save_over(run, monkeypatch):
    template = run.path.parent / "template"
    shutil.copytree(run.path, template)
    for renames in itertools.count():
        for again in (0, 1, 2, 6):  # killed a second time, before the next save ends
            shutil.rmtree(run.path)
            shutil.copytree(template, run.path)
            finished = save_killed(run, 2, renames, monkeypatch)
            assert loaded_step(run) in ((2,) if finished else (1, 2))
            save_killed(run, 3, again, monkeypatch)
            assert loaded_step(run) in (1, 2, 3)
            save_state(run, *state_of(4))
            assert loaded_step(run) == 4
        if finished:
            break
    assert renames > 5  # every file of the state is renamed once, and the folders are swapped


def test_what_a_killed_save_left_is_swept_and_nothing_else(run):
    """At the next start of the run: temporary files by the names that `lnfgen.files` gives them."""
    stale = [".model.safetensors.abcd_123.tmp", ".metrics.jsonl.abcdefgh.tmp", ".config.json.0123abcd.tmp"]
    kept = [".song.mid.abcdefgh.tmp", ".model.safetensors.tmp", "notes.txt", ".git"]
    for name in stale + kept:
        (run.path / name).write_text("x")
    for name in ("..next.abcdefgh.tmp", ".next", ".previous"):  # older versions left the last one
        shutil.copytree(run.path / "last", run.path / name)
    before = {path.name for path in run.path.iterdir()}
    assert loaded_step(run) == 1
    swept = before - {path.name for path in run.path.iterdir()}
    assert swept == {*stale, "..next.abcdefgh.tmp", ".next", ".previous"}


# Damage. --------------------------------------------------------------------------------------------------------------


def test_a_missing_folder_and_a_folder_that_is_no_run(tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(RunError, match="not a run") as error:
            RunFolder(path)
        assert str(path) in one_line(error)


FILES = ["config.json", "dataset.json", "metrics.jsonl", MODEL, "last/progress.json"]


@pytest.mark.parametrize("file", FILES + [f"last/{part}.safetensors" for part in STATE_PARTS])
@pytest.mark.parametrize("damage", ["half", "empty", "missing", "garbage"])
def test_damage_is_one_line_that_names_the_file(run, file, damage):
    if file == "metrics.jsonl":
        run.write_metrics([{"step": 1}])
    path = run.path / file
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"half": content[: len(content) // 2], "empty": b"", "garbage": b"\xff\x00" * 50}[damage])
    if file == "metrics.jsonl" and damage == "empty":
        return  # as a fresh run's is

    def read_everything() -> None:
        opened = RunFolder(run.path)
        load_model(opened, torch.device("cpu"))
        load_state(opened)
        opened.metrics()

    with pytest.raises(LnfgenError) as error:
        read_everything()
    message = one_line(error)
    assert Path(file).name in message or (damage == "missing" and str(run.path) in message)


@pytest.mark.parametrize("cut", [1, 7, 8, 100])
def test_a_checkpoint_cut_anywhere(run, cut):
    path = run.path / MODEL
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(RunError, match="damaged") as error:
        load_model(run, torch.device("cpu"))
    one_line(error)


def test_weights_of_other_sizes(run):
    values = json.loads((run.path / "config.json").read_text())
    values["model"]["hidden_size"] = 5
    (run.path / "config.json").write_text(json.dumps(values))
    with pytest.raises(RunError, match="sizes") as error:
        load_model(RunFolder(run.path), torch.device("cpu"))
    one_line(error)


def test_weights_of_something_else(run):
    from safetensors.torch import save

    (run.path / MODEL).write_bytes(save({"other": torch.zeros(2)}))
    with pytest.raises(RunError) as error:
        load_model(RunFolder(run.path), torch.device("cpu"))
    one_line(error)


def test_a_misspelt_key_in_a_runs_config(run):
    (run.path / "config.json").write_text('{"model": {"hiden": 5}}')
    with pytest.raises(LnfgenError, match=r"did you mean 'model\.hidden_size'"):
        RunFolder(run.path)


def test_a_value_out_of_range_in_a_runs_config_names_the_file(run):
    values = json.loads((run.path / "config.json").read_text())
    values["model"]["hidden_size"] = 10**8
    (run.path / "config.json").write_text(json.dumps(values))
    with pytest.raises(LnfgenError, match=r"config\.json: model\.hidden_size: found 100000000"):
        RunFolder(run.path)


def test_nothing_to_load_yet(dataset, tmp_path):
    run = RunFolder.create(tmp_path / "run", config_of(), dataset)
    with pytest.raises(RunError, match="--resume") as error:
        load_model(run, torch.device("cpu"))
    one_line(error)
    with pytest.raises(RunError, match="resume") as error:
        load_state(run)
    one_line(error)


def test_weights_that_are_not_finite(run):
    state = load_model(run, torch.device("cpu")).state_dict()
    next(value for name, value in state.items() if name.endswith("bias"))[0] = math.nan
    save_model(run, state)
    with pytest.raises(RunError, match="not finite") as error:
        load_model(run, torch.device("cpu"))
    assert MODEL in one_line(error)


@pytest.mark.parametrize("file", ["config.json", "dataset.json", "last/progress.json", "metrics.jsonl"])
@pytest.mark.parametrize("content", ["[" * 100_000, '{"step": NaN, "preset": NaN, "name": NaN}', '{"step": "x"}', "3"])
def test_json_that_is_not_what_it_should_be(run, file, content):
    """For all who read a run: `info`, scoring, resuming."""
    (run.path / file).write_text(content)
    if (file, content) == ("last/progress.json", '{"step": "x"}'):
        return  # what the values of a state must be, the trainer knows

    def read_everything() -> None:
        run_facts(run.path)
        opened = RunFolder(run.path)
        load_state(opened)
        opened.metrics()

    with pytest.raises(LnfgenError, match=re.escape(file)) as error:
        read_everything()
    one_line(error)


def test_a_damaged_line_of_metrics_is_named(run):
    run.write_metrics([{"step": 1, "train_elbo": 2.5}, {"step": 2, "train_elbo": 1.5}])
    path = run.path / METRICS
    for damaged in (path.read_text()[:-5], path.read_text() + "[3]\n", path.read_text() + "{}\n"):
        path.write_text(damaged)
        with pytest.raises(RunError, match=f"line {damaged.rstrip().count(chr(10)) + 1} has no figures") as error:
            run.metrics()
        assert "delete that line" in one_line(error)
        run.write_metrics([{"step": 1, "train_elbo": 2.5}, {"step": 2, "train_elbo": 1.5}])
    path.unlink()
    with pytest.raises(RunError, match=r"metrics\.jsonl is missing; restore it"):
        run.metrics()


def test_metrics_as_csv(run):
    lines = [{"step": 1, "train_elbo": 2.5}, {"step": 2, "train_elbo": 1.5, "valid_elbo": math.nan, "kept": True}]
    run.write_metrics(lines)
    rows = list(csv.DictReader(io.StringIO(metrics_csv(run.path / METRICS))))
    assert [row["step"] for row in rows] == ["1", "2"]
    assert [float(row["train_elbo"]) for row in rows] == [2.5, 1.5]
    assert [row["valid_elbo"] for row in rows] == ["", "nan"]


WITHOUT_TORCH = """
import sys

from lnfgen.cli import main

missing = [["sample"], ["eval"], ["plot"], ["plot", "--latents"], ["bench"], ["train", "--resume", "--out"]]
for args in [*([*command, "nowhere"] for command in missing), ["plot", "run", "--out", "run.svg"], ["info", "run"]]:
    try:
        main(args)
    except SystemExit as ended:
        assert bool(ended.code) == ("nowhere" in args), args
    assert "torch" not in sys.modules, args
"""


def test_a_missing_run_is_said_and_curves_are_drawn_before_torch_is_loaded(run):
    line = dict.fromkeys(("kl_weight", "learning_rate", "train_elbo", "train_reconstruction", "train_kl"), 1.0)
    run.write_metrics([{"step": step, **line} for step in (1, 2)])
    probe = [sys.executable, "-c", WITHOUT_TORCH]
    done = subprocess.run(probe, cwd=run.path.parent, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("nowhere is not a run") == 6
