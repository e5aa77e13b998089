"""The n-th write, sync or rename of a command fails, for each n.

The result is the old file, the new one, or none.
"""

import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from command import Call, call_in, fails

COMMANDS = {
    "preprocess": (["preprocess", "lines.txt", "--out", "OUT"], "set"),
    "sample": (["sample", "run-rolls", "--seed", "1", "--out", "OUT"], "drawn.mid"),
    "page": (["sample", "run-rolls", "--seed", "1", "--count", "2", "--out", "OUT"], "drawn.html"),
    "fill": (
        [
            *["fill", "song.txt", "--run", "run-lines", "--free", "2-3"],
            *["--seed", "1", "--out", "OUT"],
        ],
        "filled.txt",
    ),
    "convert": (["convert", "melody.mid", "OUT"], "melody.musicxml"),
}


class Killed(BaseException):
    """The process has ended here: nothing that follows is done."""


class Disk:
    """Counts what is done on the disk, and lets the n-th time fail.

    It ends as an error, after half of a write, or as a kill.
    """

    def __init__(self, fails_at: int, how: str) -> None:
        self.fails_at = fails_at
        self.how = how
        self.count = 0
        self.is_dead = False

    def event(self, half: Callable[[], Any] = lambda: None) -> None:
        if self.is_dead:
            raise Killed
        self.count += 1
        if self.count == self.fails_at:
            if self.how != "error":
                half()
            self.is_dead = self.how == "kill"
            raise Killed if self.is_dead else OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **named: Any) -> Any:
            self.event()
            return real(*args, **named)

        return counting

    def unless_dead(self, real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **named: None if self.is_dead else real(*args, **named)

    def opened(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def opening(*args: Any, **named: Any) -> Any:
            if not {"wb", "xb"} & set(args):
                return real(*args, **named)
            self.event()
            return Writing(real(*args, **named), self)

        return opening


class Writing:
    """A file whose writes the disk counts."""

    def __init__(self, file: Any, disk: Disk) -> None:
        self._file = file
        self._disk = disk

    def write(self, content: bytes) -> int:
        def half() -> None:
            self._file.write(content[: len(content) // 2])
            self._file.flush()

        self._disk.event(half)
        return self._file.write(content)

    def __enter__(self) -> "Writing":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def on_disk(fails_at: int, how: str) -> Iterator[Disk]:
    disk = Disk(fails_at, how)
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ((os, "fsync"), (os, "replace"), (Path, "mkdir")):
            patch.setattr(owner, name, disk.counted(getattr(owner, name)))
        for module in ("lnfgen.files", "lnfgen.data.dataset_writer"):
            patch.setattr(f"{module}.open", disk.opened(open), raising=False)
        # a process that was killed does not clean up
        for owner, name in ((Path, "unlink"), (shutil, "rmtree")):
            patch.setattr(owner, name, disk.unless_dead(getattr(owner, name)))
        yield disk


def content_of(path: Path) -> Any:
    """The bytes of a file, or those of the files of a folder; None where there is nothing."""
    if path.is_dir():
        return {file.name: file.read_bytes() for file in sorted(path.iterdir())}
    return path.read_bytes() if path.exists() else None


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def run_on_failing_disk(
    run: Callable[[], subprocess.CompletedProcess[bytes]], fails_at: int, how: str
) -> None:
    """Run a command whose n-th event on the disk fails, or kills it."""
    with on_disk(fails_at, how):
        if how == "kill":
            with pytest.raises(Killed):
                run()
        else:
            fails(run(), "No space left on device")


@pytest.mark.usefixtures("few_home_samples")
@pytest.mark.parametrize("how", ["error", "short", "kill"])
@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_what_a_command_writes_is_whole_or_not_there(
    command: str, how: str, toy_home: Path, call: Call
) -> None:
    words, name = COMMANDS[command]
    (toy_home / "lines.txt").write_text("".join(f"line {number}\n" for number in range(40)))
    run = partial(call, *[name if word == "OUT" else word for word in words])
    target = toy_home / name
    with on_disk(-1, how) as disk:
        assert run().returncode == 0
    new = content_of(target)
    assert new
    assert disk.count >= 3
    is_file = isinstance(new, bytes)
    for old in (None, b"old") if is_file else (None,):
        for fails_at in range(1, disk.count + 1):
            remove(target)
            if old is not None:
                target.write_bytes(old)
            before = {path.name for path in toy_home.iterdir()}
            run_on_failing_disk(run, fails_at, how)
            assert content_of(target) in (old, new), (fails_at, how)
            left = {path.name for path in toy_home.iterdir()} - before - {name}
            assert how == "kill" or not left
            for path in left:
                assert path.startswith(f".{name}.")
                remove(toy_home / path)
    run()
    remove(target)


def test_a_full_disk_leaves_nothing_half_written(
    toy_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    call = call_in(tmp_path, monkeypatch, capsys)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        done = call("sample", toy_home / "run-lines", "--out", "x.txt", "--seed", "1", "-q")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    fails(done, "x.txt", "File too large")
    assert list(tmp_path.iterdir()) == []
