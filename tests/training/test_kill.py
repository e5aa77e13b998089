"""A run killed with SIGKILL at random moments, and resumed each time, ends as the uninterrupted
one, bit for bit."""

import dataclasses
import json
import multiprocessing
import os
import random
import signal
import sys
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from toy_training import SIZES, TRAINING, Listener, assert_same

from lnfgen.config import Config
from lnfgen.data.dataset import Dataset
from lnfgen.runs.folder import RunFolder
from lnfgen.training.session import TrainingSession

UPDATES = 24  # a validation, and so a save, at each third
SMALLER = dataclasses.replace(SIZES, num_flow_layers=1, num_layers=1, hidden_size=6)
CONFIG = Config(SMALLER, dataclasses.replace(TRAINING, max_steps=UPDATES))


def train(path: Path, data: Path, moments: Path) -> None:
    """What a child process does: go on with the run, or begin it where it has not come into
    being."""
    from lnfgen.data.dataset import open_dataset

    class Telling(Listener):
        def step(self, metrics: dict[str, float]) -> None:
            with open(moments, "a") as file:
                print(time.time(), file=file)

    if (path / "config.json").exists():
        session = TrainingSession.resume(RunFolder(path), "cpu")
    else:
        session = TrainingSession.begin(CONFIG, open_dataset(data), "cpu", path)
    assert session.train(Telling())


def values_of(run: Path) -> dict[str, Any]:
    values = json.loads((run / "last" / "progress.json").read_text())
    values["sums"].pop("seconds")
    values.pop("sha256")
    return values


def kill_many(dataset: Dataset, folder: Path, kills: int, seed: int) -> str:
    """Kill runs so many times in all, at random moments; in words: how often a save or a start was
    hit."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lnfgen.training.session", "test_kill"])
    rng = random.Random(seed)
    moments = folder / "moments"

    def start(path: Path) -> ForkServerProcess:
        moments.write_text("")
        process = context.Process(target=train, args=(path, dataset.path, moments))
        process.start()
        return process

    whole = folder / "whole"
    process = start(whole)
    process.join()
    assert process.exitcode == 0
    times = [float(line) for line in moments.read_text().splitlines()]
    seconds = (times[-1] - times[0]) / len(times)  # of an update, saves included
    done, in_save, before, finished = 0, 0, 0, 0
    while done < kills or finished == 0:
        path = folder / f"run-{finished}"
        process = start(path)
        updates = rng.randrange(12) if done < kills else UPDATES + 1  # the first moment to kill it
        while process.is_alive() and len(moments.read_text().splitlines()) < updates:
            time.sleep(seconds)
        process.join(rng.uniform(0, 10 * seconds))
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            done += 1
            before += not moments.read_text()
            names = [item.name for item in path.iterdir()] if path.exists() else ["last"]
            in_save += (
                any(name.endswith((".tmp", ".next")) for name in names) or "last" not in names
            )
            continue
        assert process.exitcode == 0
        assert_same(path, whole)
        assert values_of(path) == values_of(whole)
        # nothing is left over
        assert {item.name for item in path.iterdir()} == {item.name for item in whole.iterdir()}
        finished += 1
    return f"{done} kills, {in_save} of them in a save and {before} before an update; {finished} runs finished"


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_runs_end_as_the_uninterrupted_one(dataset, tmp_path, monkeypatch, kills):
    # so that the fork server loads all, once
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    print(kill_many(dataset, tmp_path, kills, seed=kills))
