"""Starting the program as a person would, and what a clear failure looks like."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lnfgen.errors import LnfgenError

Call = Callable[..., subprocess.CompletedProcess[bytes]]
"""Runs `lnfgen ARGS`, and tells how it ended."""

WARM = ("train", "eval", "compare", "sample", "plot", "fill", "harmonize", "continue", "vary")
"""The commands that load torch, which takes longer than most tests."""

SECONDS = 170
"""A command that takes longer fails the test."""


def start(folder: Path, *args: object, cold: bool = False, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """`python -m lnfgen ARGS` in a folder.

    Commands that load torch run in a fork of an interpreter that has loaded it already (see `warm.py`), where the
    system can fork. `cold` starts an interpreter of their own.
    """
    words = list(map(str, args))
    if cold or not hasattr(os, "fork") or not words or words[0] not in WARM:
        command = [sys.executable, "-m", "lnfgen", *words]
        return subprocess.run(command, cwd=folder, capture_output=True, timeout=SECONDS, **options)
    return _start_warm(folder, words, **options)


def _start_warm(
    folder: Path, args: list[str], input: bytes = b"", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    with tempfile.TemporaryDirectory() as name:
        stdin, stdout, stderr = (Path(name) / stream for stream in ("stdin", "stdout", "stderr"))
        stdin.write_bytes(input)
        request = {
            "args": args,
            "folder": str(folder),
            "env": dict(os.environ) if env is None else env,
            "streams": [str(stdin), str(stdout), str(stderr)],
            "seconds": SECONDS,
        }
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        code = json.loads(server.stdout.readline())
        return subprocess.CompletedProcess(args, code, stdout.read_bytes(), stderr.read_bytes())


@cache
def _server() -> subprocess.Popen[str]:
    """It ends when its stdin is closed, which is when the tests end."""
    command = [sys.executable, str(Path(__file__).with_name("warm.py"))]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def call_in(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`lnfgen ARGS` in a folder, in this process: every start of the program loads torch again."""
    from lnfgen.cli import console, main

    monkeypatch.chdir(folder)
    monkeypatch.setattr(console, "_quiet", False)  # --quiet of one test must not silence the next

    def run(*args: object) -> subprocess.CompletedProcess[bytes]:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(args, int(ended.value.code or 0), out.encode(), err.encode())

    return run


def fails(done: subprocess.CompletedProcess[bytes], *words: str, code: int = 1) -> None:
    """One clear line and no traceback, the documented exit code, nothing on stdout."""
    error = done.stderr.decode()
    assert done.returncode == code, error
    assert done.stdout == b""
    assert "Traceback" not in error
    assert len([line for line in error.splitlines() if line.startswith("error: ")]) == 1, error
    for word in words:
        assert word in error


def one_line(error: pytest.ExceptionInfo[LnfgenError]) -> str:
    """The message of an error, which is one line."""
    message = str(error.value)
    assert message
    assert "\n" not in message
    return message
