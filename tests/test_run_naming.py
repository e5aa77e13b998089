"""Where runs lie and which is the newest."""

import os
from pathlib import Path

import pytest

from lnfgen.errors import RunError
from lnfgen.runs.naming import new_run_path, newest_run


def a_run(name: str, age: int, *parts: str) -> Path:
    run = Path("runs") / name
    run.mkdir(parents=True)
    for part in ("config.json", *parts):
        (run / part).write_text("")
    os.utime(run / "config.json", (1000 - age, 1000 - age))
    return run


def test_the_newest_is_by_its_start_and_has_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="lnfgen train"):
        newest_run()
    old = a_run("z-lstm-001", 2, "model.safetensors", "last")
    unfinished = a_run("a-lstm-002", 1, ".next")
    assert newest_run() == old
    assert newest_run(resumable=True) == unfinished


def test_numbers_go_on_after_the_highest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert new_run_path("my songs/", "lstm") == Path("runs/my-songs-lstm-001")
    a_run("my-songs-lstm-007", 0)
    a_run("my-songs-lstm-old", 0)
    assert new_run_path("my songs/", "lstm") == Path("runs/my-songs-lstm-008")
