"""Starting the program as a person would, and what a clear failure looks like."""

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from lnfgen.errors import LnfgenError

Call = Callable[..., subprocess.CompletedProcess[bytes]]
"""Runs `lnfgen ARGS`, and tells how it ended."""

_command_of = cache(typer.main.get_command)  # to build it takes longer than most commands do

SECONDS = 170
"""A command that takes longer fails the test."""


def start(folder: Path, *args: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """`python -m lnfgen ARGS` in a folder.

    Commands that load torch take seconds; `call_in` does not.
    """
    command = [sys.executable, "-m", "lnfgen", *map(str, args)]
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=SECONDS, **options)


def call_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """`lnfgen ARGS` in a folder, in this process: every start of the program loads torch again."""
    from lnfgen.cli import console, main

    monkeypatch.chdir(folder)
    monkeypatch.setattr(typer.main, "get_command", _command_of)
    monkeypatch.setattr(console, "_quiet", False)  # --quiet of one test must not silence the next

    def run(*args: object) -> subprocess.CompletedProcess[bytes]:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(
            args, int(ended.value.code or 0), out.encode(), err.encode()
        )

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
