"""Of two sessions of one run none undoes what the other has done."""

import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from command import one_line
from toy_training import Listener, after, begin, figures

from lnfgen.data.dataset import Dataset
from lnfgen.errors import RunError
from lnfgen.runs.checkpoint import load_state
from lnfgen.runs.folder import RunFolder
from lnfgen.training.session import TrainingSession


@pytest.fixture
def stopped(dataset: Dataset, tmp_path: Path) -> Path:
    """A run of 12 updates that was stopped after two."""
    run = tmp_path / "stopped"
    assert not begin(dataset, run).train(Listener(), after(2))
    return run


@contextmanager
def without_locks(folder: Path) -> Iterator[None]:
    """As `try_lock` where the file system has none."""
    yield None


def content_of(run: Path) -> dict[str, bytes]:
    files = [path for path in run.rglob("*") if path.is_file()]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


def test_a_run_has_one_session_from_its_reading_to_its_last_writing(stopped):
    first = TrainingSession.resume(RunFolder(stopped), "cpu", max_steps=15)
    before = content_of(stopped)
    with pytest.raises(RunError, match="is being trained by another process") as error:
        TrainingSession.resume(RunFolder(stopped), "cpu", max_steps=40)
    one_line(error)
    assert content_of(stopped) == before
    assert first.train(Listener())
    assert figures(stopped)[-1]["step"] == 15
    # Its end lets go of the run, which another may then train, and it alone.
    assert TrainingSession.resume(RunFolder(stopped), "cpu", max_steps=40).train(Listener())
    with pytest.raises(RunError, match="is closed") as error:
        first.train(Listener())
    one_line(error)
    assert figures(stopped)[-1]["step"] == 40


def test_a_new_run_is_held_from_the_moment_that_it_appears(dataset, tmp_path):
    run = tmp_path / "run"
    with begin(dataset, run) as session:
        with pytest.raises(RunError, match="is being trained by another process"):
            TrainingSession.resume(RunFolder(run), "cpu")
        assert session.trainer.step == 0
    assert TrainingSession.resume(RunFolder(run), "cpu").trainer.step == 0


def test_a_run_that_was_read_before_it_was_locked_is_read_again(stopped):
    read_before = RunFolder(stopped)
    assert TrainingSession.resume(RunFolder(stopped), "cpu", max_steps=20).train(Listener())
    with TrainingSession.resume(read_before, "cpu") as session:
        assert session.trainer.total_steps == 20
        assert session.trainer.finished


@pytest.mark.parametrize("length", [{}, {"max_steps": 15}])
def test_without_locks_a_session_writes_over_no_state_but_its_own(stopped, monkeypatch, length):
    monkeypatch.setattr("lnfgen.training.session.try_lock", without_locks)
    first = TrainingSession.resume(RunFolder(stopped), "cpu", **length)
    second = TrainingSession.resume(RunFolder(stopped), "cpu", max_steps=40)
    assert second.train(Listener())
    before = content_of(stopped)
    with pytest.raises(RunError, match=r"another process .* saved it at update 40;") as error:
        first.train(Listener())
    one_line(error)
    assert content_of(stopped) == before
    assert figures(stopped)[-1]["step"] == 40
    assert RunFolder(stopped).config.training.max_steps == 40
    assert TrainingSession.resume(RunFolder(stopped), "cpu").trainer.finished


def test_without_locks_a_new_run_that_another_process_took_stays_as_it_is(
    dataset, tmp_path, monkeypatch
):
    monkeypatch.setattr("lnfgen.training.session.try_lock", without_locks)
    run = tmp_path / "run"
    first = begin(dataset, run)
    assert TrainingSession.resume(RunFolder(run), "cpu").train(Listener())
    before = content_of(run)
    with pytest.raises(RunError, match=r"another process .* saved it at update 12;"):
        first.train(Listener())
    assert content_of(run) == before


# As commands, one of which is stopped at any moment.
# -------------------------------------------------------------------------------------------------


def command(words: Path, *args: object) -> None:
    """The command `lnfgen ARGS`, which a child process runs; `words` gets its stderr."""
    from lnfgen.cli import main

    os.dup2(os.open(words, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), sys.stderr.fileno())
    main([str(arg) for arg in args])


class Commands:
    """Starts commands in child processes that have loaded all already."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(
            ["lnfgen.training.session", "lnfgen.cli.train", "test_two_sessions"]
        )

    def lengthen(self, run: Path, max_steps: int) -> ForkServerProcess:
        words = self.folder / f"words-{max_steps}"
        args = (words, "train", "--resume", "--out", run, "--max-steps", max_steps, "--quiet")
        process = self.context.Process(target=command, args=args)
        process.start()
        return process

    def seconds(self, run: Path) -> float:
        """How long a command takes, after a first one that also waits for the server."""
        for max_steps in (4, 5):
            started = time.monotonic()
            self.lengthen(run, max_steps).join()
        return time.monotonic() - started


@pytest.mark.slow
def test_of_two_commands_that_resume_a_run_none_undoes_the_other(stopped, tmp_path, monkeypatch):
    """The first one is stopped at a random moment, while the second one trains to its end."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    rng = random.Random(20)
    commands = Commands(tmp_path)
    shutil.copytree(stopped, tmp_path / "measured")
    seconds = commands.seconds(tmp_path / "measured")
    outcomes = Counter[tuple[int | None, int | None, int]]()
    for number in range(20):
        run = tmp_path / f"run-{number}"
        shutil.copytree(stopped, run)
        first = commands.lengthen(run, 5)
        time.sleep(rng.uniform(0.0, 1.2 * seconds))
        assert first.pid is not None
        with suppress(ProcessLookupError):  # it may have ended
            os.kill(first.pid, signal.SIGSTOP)
        second = commands.lengthen(run, 9)
        second.join()
        with suppress(ProcessLookupError):
            os.kill(first.pid, signal.SIGCONT)
        first.join()
        words = (tmp_path / "words-5").read_text() + (tmp_path / "words-9").read_text()
        last = figures(run)[-1]["step"]
        outcome = (first.exitcode, second.exitcode, last)
        # One trains, and the other is refused in a line or, if the first has ended, goes on.
        assert outcome in [(0, 1, 5), (1, 0, 9), (0, 0, 9)], words
        assert "Traceback" not in words
        assert RunFolder(run).config.training.max_steps == last
        assert load_state(RunFolder(run))[1]["step"] == last
        steps = [line["step"] for line in figures(run)]
        assert steps == sorted(set(steps))
        outcomes[outcome] += 1
    print(outcomes)
