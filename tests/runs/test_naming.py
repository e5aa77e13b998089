"""Where runs lie and which is the newest."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from lnfgen.errors import LnfgenError, OutputError, RunError
from lnfgen.files import new_folder, write_text
from lnfgen.runs.naming import create_numbered, find, newest_run


def a_run(name: str, age: int, *parts: str) -> Path:
    run = Path("runs") / name
    run.mkdir(parents=True)
    for part in ("config.json", *parts):
        (run / part).write_text("")
    os.utime(run / "config.json", (1000 - age, 1000 - age))
    return run


def test_the_newest_is_by_its_start_and_has_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="lnfgen train"):
        newest_run()
    old = a_run("z-lstm-001", 2, "model.safetensors", "last")
    unfinished = a_run("a-lstm-002", 1, ".next")
    a_run(".b-lstm-001.abcdefgh.tmp", 0, "model.safetensors", "last")  # its making was killed
    assert newest_run() == old
    assert newest_run(resumable=True) == unfinished
    # `last` is lost, and the state before it takes its place
    damaged = a_run("b-lstm-003", 0, "previous")
    assert newest_run(resumable=True) == damaged


def test_a_missing_file_of_music_is_no_misspelt_dataset() -> None:
    for wanted in (("run", "dataset", "files"), ("dataset", "files"), ("files", "dataset")):
        with pytest.raises(LnfgenError) as error:
            find("nothing.mid", *wanted)  # type: ignore[arg-type]
        assert str(error.value) == "nothing.mid does not exist; expected a file or folder"
        for close in ("nottingham.mid", "nothingham"):
            with pytest.raises(LnfgenError, match="did you mean nottingham"):
                find(close, *wanted)  # type: ignore[arg-type]


def test_numbers_go_on_after_the_highest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert create_numbered("my songs/", "lstm", Path) == Path("runs/my-songs-lstm-001")
    a_run("my-songs-lstm-007", 0)
    a_run("my-songs-lstm-old", 0)
    assert create_numbered("my songs/", "lstm", Path) == Path("runs/my-songs-lstm-008")


def test_runs_that_start_at_once_get_a_number_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All find the same number free, and are made to wait for each other before they take it."""
    monkeypatch.chdir(tmp_path)
    together = Barrier(6)
    late = set()

    def train(number: int) -> Path:
        def create(path: Path) -> Path:
            with new_folder(path) as folder:
                write_text(folder / "config.json", str(number))
                if number not in late:
                    late.add(number)
                    together.wait(timeout=60)
            return path

        return create_numbered("toy", "lstm", create)

    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(train, range(6)))
    assert sorted(path.name for path in made) == [
        f"toy-lstm-{number:03d}" for number in range(1, 7)
    ]
    assert [(path / "config.json").read_text() for path in made] == [
        str(number) for number in range(6)
    ]
    assert len(list(Path("runs").iterdir())) == 6


def test_a_run_that_cannot_be_written_is_tried_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def create(path: Path) -> Path:
        raise OutputError(f"cannot write {path}")

    with pytest.raises(OutputError, match="cannot write"):
        create_numbered("toy", "lstm", create)
