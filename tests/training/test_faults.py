"""What goes wrong in a long run: it is one line, and nothing is lost."""

import errno
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import torch
from command import one_line
from toy_training import Listener, after, assert_same, begin, figures

from lnfgen.errors import ConfigError, LnfgenWarning, OutputError, RunError
from lnfgen.runs.checkpoint import load_state, save_state
from lnfgen.runs.folder import RunFolder
from lnfgen.training import trainer as trainer_module
from lnfgen.training.session import TrainingSession


@pytest.fixture(scope="module")
def interrupted(dataset, tmp_path_factory) -> Path:
    """A run of 12 updates with a validation at each third, stopped after seven.

    So `last/` and `previous/` differ.
    """
    path = tmp_path_factory.mktemp("interrupted") / "run"
    assert not begin(dataset, path).train(Listener(), after(7))
    return path


@pytest.fixture(scope="module")
def finished(interrupted, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("finished") / "run"
    shutil.copytree(interrupted, path)
    assert TrainingSession.resume(RunFolder(path), "cpu").train(Listener())
    return path


@pytest.fixture
def run(interrupted, tmp_path) -> RunFolder:
    shutil.copytree(interrupted, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def resumed(path: Path) -> Listener:
    listener = Listener()
    assert TrainingSession.resume(RunFolder(path), "cpu").train(listener)
    return listener


# What may not change.
# -------------------------------------------------------------------------------------------------


def test_a_changed_configuration_is_refused_by_its_keys(run):
    path = run.path / "config.json"
    settings = json.loads(path.read_text())
    settings["training"]["learning_rate"] *= 2
    settings["model"]["dropout"] = 0.0
    path.write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match="has changed since the run was trained") as error:
        TrainingSession.resume(RunFolder(run.path), "cpu")
    message = one_line(error)
    for words in (
        "config.json",
        "training.learning_rate is 0.01 and was 0.005",
        "model.dropout is 0.0 and was 0.2",
    ):
        assert words in message


def test_a_run_killed_between_its_new_length_and_its_new_state_is_resumed(run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("lnfgen.training.session.save_state", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            TrainingSession.resume(run, "cpu", max_steps=20)
    with TrainingSession.resume(RunFolder(run.path), "cpu") as session:
        assert session.trainer.total_steps == 20
    with TrainingSession.resume(RunFolder(run.path), "cpu", max_steps=9) as session:
        assert session.trainer.total_steps == 9


def test_a_changed_dataset_is_refused(run, dataset, tmp_path):
    from toy_dataset import write_dataset

    splits = {"train": list(dataset.split("train"))[:-1], "valid": list(dataset.split("valid"))}
    other = write_dataset(
        tmp_path / "other", name="toy", encoding=dataset.encoding, splits=splits, dropped={}
    )
    with pytest.raises(RunError, match=r"is not the dataset toy .* another;") as error:
        TrainingSession.resume(run, "cpu", other)
    one_line(error)


# Disks.
# -------------------------------------------------------------------------------------------------


def fail_at(call: int, name: str, code: int, patch: pytest.MonkeyPatch) -> None:
    """Let the function `name` of `os` fail at that call, counted from 0, and at all later ones.

    It fails as on a full disk.
    """
    real = getattr(os, name)
    calls = itertools.count()

    def failing(*args, **kwargs):
        if next(calls) >= call:
            raise OSError(code, os.strerror(code))
        return real(*args, **kwargs)

    patch.setattr(os, name, failing)


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_full_disk_at_any_point_of_a_save_loses_nothing(run, name, monkeypatch):
    tensors, values = load_state(run)
    with monkeypatch.context() as patch:
        calls: list[str] = []
        real = getattr(os, name)

        def counting(*args: object) -> object:
            calls.append(name)
            return real(*args)

        patch.setattr(os, name, counting)
        save_state(run, tensors, {**values, "step": 8})
    assert len(calls) >= 5
    for call in range(len(calls)):
        with monkeypatch.context() as patch:
            fail_at(call, name, errno.ENOSPC, patch)
            with pytest.raises(OutputError, match="No space left on device") as error:
                save_state(run, tensors, {**values, "step": 9})
        one_line(error)
        # Where the last rename fails, the new state is whole, and takes its name at the next start.
        is_last_rename = name == "replace" and call == len(calls) - 1
        expected = 9 if is_last_rename else 8
        assert load_state(run)[1]["step"] == expected


@pytest.mark.parametrize(("name", "call"), [("fsync", 2), ("replace", 9)])
def test_a_full_disk_ends_a_run_in_one_line_and_it_goes_on_when_there_is_room(
    run, finished, monkeypatch, name, call
):
    """While it writes a file, or while it gives the new state its name.

    The state before has lost its name by then.
    """
    session = TrainingSession.resume(run, "cpu")
    with monkeypatch.context() as patch:
        fail_at(call, name, errno.ENOSPC, patch)
        with pytest.raises(
            OutputError, match=f"No space left.*lnfgen train --resume --out {run.path}"
        ) as error:
            session.train(Listener())
        one_line(error)
    assert (run.path / "last").exists() == (name == "fsync")
    resumed(run.path)
    assert_same(run.path, finished)
    assert not [path for path in run.path.iterdir() if path.name.startswith(".")]


def test_a_read_only_run_is_said_before_it_is_trained(run, monkeypatch):
    def refuse(*args: object, **kwargs: object) -> str:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(OutputError, match="Read-only file system") as error:
        TrainingSession.resume(run, "cpu")
    one_line(error)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("mount") is None, reason="needs mount")
def test_a_disk_that_is_full_and_one_that_is_read_only(run, finished, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True
    ).returncode:
        pytest.skip("may not mount")
    try:
        shutil.copytree(run.path, disk / "run")
        filler = disk / "filler"
        with pytest.raises(OSError), open(filler, "wb", buffering=0) as file:  # noqa: PT011, PT012
            while True:
                file.write(bytes(4096))
        with pytest.raises(OutputError, match="No space left on device"):
            TrainingSession.resume(RunFolder(disk / "run"), "cpu").train(Listener())
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(OutputError, match="Read-only file system"):
            TrainingSession.resume(RunFolder(disk / "run"), "cpu")
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        filler.unlink()
        resumed(disk / "run")
        assert_same(disk / "run", finished)
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


# Memory.
# -------------------------------------------------------------------------------------------------


def test_too_little_memory_is_one_line_with_what_helps(run, finished, monkeypatch):
    def objective(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 TiB.\nGPU 0 has 79 GiB."
        )

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "accumulate_gradients", objective)
        with pytest.raises(RunError, match="out of memory") as error:
            TrainingSession.resume(run, "cpu").train(Listener())
    message = one_line(error)
    for words in (
        "training.batch_size",
        "bfloat16",
        "--preset",
        f"lnfgen train --resume --out {run.path}",
    ):
        assert words in message
    resumed(run.path)
    assert_same(run.path, finished)


# Figures that are not finite.
# -----------------------------------------------------------------------------------------


def test_a_run_that_stops_on_nan_says_so_and_keeps_the_state_before(run):
    session = TrainingSession.resume(run, "cpu", max_steps=100)
    layer = next(
        each for each in session.trainer.model.modules() if isinstance(each, torch.nn.Linear)
    )

    def broken(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
        if session.trainer.step >= 10 and module.training:
            return output / 0
        return output

    layer.register_forward_hook(broken)
    with (
        pytest.warns(LnfgenWarning) as notes,
        pytest.raises(RunError, match="20th time in a row") as error,
    ):
        session.train(Listener())
    message = one_line(error)
    assert "update 30 has the loss nan and a gradient of the norm nan" in message
    assert "last/ keeps the state before" in message
    assert message.endswith(
        "start a new run with a smaller learning rate: --set training.learning_rate=0.0013"
    )
    assert sum("learning rate is 0.5" in str(note.message) for note in notes) == 3
    assert session.trainer.skipped == 20
    assert session.trainer.plateau.rate == 0.5**3
    assert figures(run.path)[-1]["skipped_updates"] > 10
    tensors, values = load_state(RunFolder(run.path))
    assert values["step"] <= 10
    assert (values["skipped"], values["skipped_in_all"], values["rate"]) == (0, 0, 1.0)
    for value in tensors["weights"].values():
        assert value.isfinite().all()
