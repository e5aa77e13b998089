"""Weights and states read back as they were written, and a damaged one is said in one line."""

import itertools
import json
import math
import os
import shutil
from pathlib import Path

import pytest
import torch
from command import one_line
from toy_runs import make_run, state_of

from lnfgen.config import NAMED_MODELS
from lnfgen.errors import LnfgenError, LnfgenWarning, RunError
from lnfgen.inference.scoring import score
from lnfgen.runs.checkpoint import (
    STATE_PARTS,
    load_model,
    load_state,
    new_model,
    read_tensors,
    save_model,
    save_state,
    serialise,
)
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.naming import MODEL


@pytest.fixture
def run(dataset, tmp_path) -> RunFolder:
    return make_run(tmp_path / "run", dataset)


# What is written reads back.
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(NAMED_MODELS))
def test_a_loaded_model_is_the_saved_one(dataset, tmp_path, name):
    run = make_run(tmp_path / "run", dataset, name=name)
    model = new_model(run.config, dataset)
    loaded = load_model(RunFolder(run.path), torch.device("cpu"))
    assert not loaded.training
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value)
    sequences = list(dataset.split("train"))
    assert score(loaded, sequences, "bits_per_char") == score(model, sequences, "bits_per_char")


def test_a_run_holds_no_pickle_and_no_leftovers(run):
    files = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
    state = {f"last/{part}.safetensors" for part in STATE_PARTS} | {"last/progress.json"}
    assert files == {"config.json", "dataset.json", "metrics.jsonl", MODEL} | state


def test_the_length_model_knows_train_alone(run, dataset):
    assert new_model(run.config, dataset).length.lengths.tolist() == sorted(
        dataset.split("train").lengths
    )


# State.
# -------------------------------------------------------------------------------------------------


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
    """Save a state, but die before the rename after the first `renames`.

    No clean-up runs, as in a process that is killed. The result is True if the save came to its end
    before.
    """
    replace = os.replace
    done = itertools.count()

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
    stale = [
        ".model.safetensors.abcd_123.tmp",
        ".metrics.jsonl.abcdefgh.tmp",
        ".config.json.0123abcd.tmp",
    ]
    kept = [".song.mid.abcdefgh.tmp", ".model.safetensors.tmp", "notes.txt", ".git"]
    for name in stale + kept:
        (run.path / name).write_text("x")
    for name in ("..next.abcdefgh.tmp", ".next"):
        shutil.copytree(run.path / "last", run.path / name)
    before = {path.name for path in run.path.iterdir()}
    assert loaded_step(run) == 1
    swept = before - {path.name for path in run.path.iterdir()}
    assert swept == {*stale, "..next.abcdefgh.tmp", ".next"}


# Damage.
# -------------------------------------------------------------------------------------------------


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "file", [*(f"{part}.safetensors" for part in STATE_PARTS), "progress.json", "all"]
)
def test_a_damaged_or_lost_state_gives_way_to_the_one_before(run, file):
    """One bit of a tensor, which no other check finds; a digit of the progress; or all."""
    save_state(run, *state_of(2))
    path = run.path / "last" / file
    if file == "all":
        shutil.rmtree(run.path / "last")
    elif file == "progress.json":
        path.write_text(path.read_text().replace('"step": 2', '"step": 3'))
    else:
        flip(path, -2)
    with pytest.warns(LnfgenWarning, match="" if file == "all" else f"{file}.*checksum.*") as notes:
        _, values = load_state(run)
    assert values["step"] == 1
    assert "update 1" in str(notes[0].message)
    assert not (run.path / "previous").exists()  # it is `last/` now, so that the next save keeps it


def test_two_damaged_states_are_one_line(run):
    save_state(run, *state_of(2))
    for folder in ("last", "previous"):
        flip(run.path / folder / "weights.safetensors", -2)
    with pytest.raises(RunError, match=r"last/weights\.safetensors is damaged") as error:
        load_state(run)
    one_line(error)


def test_every_bit_of_a_file_is_under_its_checksum(tmp_path):
    path = tmp_path / "t"
    tensors = {"a": torch.arange(3.0), "b": torch.zeros(2, dtype=torch.uint8)}
    content = serialise(tensors)
    path.write_bytes(content)
    for name, value in tensors.items():
        assert torch.equal(read_tensors(path)[name], value)
    for place, bit in itertools.product(range(len(content)), (1, 64)):
        damaged = bytearray(content)
        damaged[place] ^= bit
        path.write_bytes(damaged)
        with pytest.raises(RunError, match="damaged"):
            read_tensors(path)


def test_a_state_that_is_not_finite_does_not_replace_the_last_one(run):
    tensors, values = state_of(2)
    tensors["average"]["value"] = torch.tensor([0.0, math.nan])
    with pytest.raises(RunError, match="value is not finite"):
        save_state(run, tensors, values)
    assert loaded_step(run) == 1


FILES = ["config.json", "dataset.json", "metrics.jsonl", MODEL, "last/progress.json"]


@pytest.mark.parametrize("file", FILES + [f"last/{part}.safetensors" for part in STATE_PARTS])
@pytest.mark.parametrize("damage", ["half", "empty", "missing", "garbage"])
def test_damage_is_one_line_that_names_the_file(run, file, damage):
    if file == "metrics.jsonl":
        run.write_metrics([{"step": 1}])
    path = run.path / file
    content = path.read_bytes()
    damaged = {"half": content[: len(content) // 2], "empty": b"", "garbage": b"\xff\x00" * 50}
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(damaged[damage])
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


@pytest.mark.parametrize(
    "change", [lambda key, value: (f"other.{key}", value), lambda key, value: (key, value.long())]
)
def test_weights_of_something_else(run, change):
    """Of other names, and whole numbers."""
    tensors = read_tensors(run.path / MODEL)
    save_model(run, dict(change(key, value) for key, value in tensors.items()))
    assert_does_not_fit(run)


def test_weights_of_other_sizes(run):
    values = json.loads((run.path / "config.json").read_text())
    values["model"]["hidden_size"] = 5
    (run.path / "config.json").write_text(json.dumps(values))
    assert_does_not_fit(run)


def assert_does_not_fit(run: RunFolder) -> None:
    with pytest.raises(RunError, match="does not fit the sizes") as error:
        load_model(RunFolder(run.path), torch.device("cpu"))
    one_line(error)


def test_nothing_to_load_yet(run, dataset, tmp_path):
    (run.path / MODEL).unlink()
    with pytest.raises(RunError, match="finish it: lnfgen train --resume") as error:
        load_model(run, torch.device("cpu"))
    one_line(error)
    run = RunFolder.create(tmp_path / "bare", run.config, dataset)
    # there is nothing to go on from either
    with pytest.raises(RunError, match="train a new run") as error:
        load_model(run, torch.device("cpu"))
    one_line(error)
    with pytest.raises(RunError, match="train a new run") as error:
        load_state(run)
    one_line(error)


def test_weights_that_are_not_finite(run):
    state = load_model(run, torch.device("cpu")).state_dict()
    next(value for name, value in state.items() if name.endswith("bias"))[0] = math.nan
    save_model(run, state)
    with pytest.raises(RunError, match="not finite") as error:
        load_model(run, torch.device("cpu"))
    assert MODEL in one_line(error)
