"""A run killed at random moments, and resumed each time, ends as the uninterrupted one."""

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
    """What a child process does: go on with the run, or begin it where there is none yet."""
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


@dataclasses.dataclass
class Kills:
    """How often runs were killed, and where that hit them."""

    done: int = 0
    in_save: int = 0
    before_an_update: int = 0
    finished_runs: int = 0


class Killer:
    """Starts child processes that train in a folder, and kills them."""

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        self.dataset = dataset
        self.moments = folder / "moments"  # a line for each update of the newest process
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["lnfgen.training.session", "test_kill"])

    def start(self, path: Path) -> ForkServerProcess:
        self.moments.write_text("")
        process = self.context.Process(target=train, args=(path, self.dataset.path, self.moments))
        process.start()
        return process

    def num_updates(self) -> int:
        return len(self.moments.read_text().splitlines())

    def train_whole(self, path: Path) -> float:
        """Train a run without a kill, and give the seconds of an update, saves included."""
        process = self.start(path)
        process.join()
        assert process.exitcode == 0
        times = [float(line) for line in self.moments.read_text().splitlines()]
        return (times[-1] - times[0]) / len(times)


def was_saving(path: Path) -> bool:
    """True if a run was killed while it wrote its state, or its folder."""
    if not path.exists():
        return False
    names = [item.name for item in path.iterdir()]
    return "last" not in names or any(name.endswith((".tmp", ".next")) for name in names)


def kill_many(dataset: Dataset, folder: Path, kills: int, seed: int) -> Kills:
    """Kill runs so many times in all, at random moments, and see that each ends as a whole one."""
    rng = random.Random(seed)
    killer = Killer(dataset, folder)
    whole = folder / "whole"
    seconds = killer.train_whole(whole)
    counts = Kills()
    while counts.done < kills or counts.finished_runs == 0:
        path = folder / f"run-{counts.finished_runs}"
        process = killer.start(path)
        earliest = UPDATES + 1
        if counts.done < kills:
            earliest = rng.randrange(12)
        while process.is_alive() and killer.num_updates() < earliest:
            time.sleep(seconds)
        process.join(rng.uniform(0, 10 * seconds))
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            counts.done += 1
            counts.before_an_update += killer.num_updates() == 0
            counts.in_save += was_saving(path)
            continue
        assert process.exitcode == 0
        assert_same(path, whole)
        assert values_of(path) == values_of(whole)
        files = {item.name for item in path.iterdir()}
        assert files == {item.name for item in whole.iterdir()}  # nothing is left over
        counts.finished_runs += 1
    return counts


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_runs_end_as_the_uninterrupted_one(dataset, tmp_path, monkeypatch, kills):
    # So the fork server loads all, once.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    print(kill_many(dataset, tmp_path, kills, seed=kills))
