"""Starting the program as a person would, and what a clear failure looks like."""

import subprocess
import sys
from pathlib import Path
from typing import Any


def start(folder: Path, *args: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """`python -m lnfgen ARGS` in a folder."""
    command = [sys.executable, "-m", "lnfgen", *map(str, args)]
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=170, **options)


def fails(done: subprocess.CompletedProcess[bytes], *words: str, code: int = 1) -> None:
    """One clear line and no traceback, the documented exit code, nothing on stdout."""
    error = done.stderr.decode()
    assert done.returncode == code, error
    assert done.stdout == b""
    assert "Traceback" not in error
    assert len([line for line in error.splitlines() if line.startswith("error: ")]) == 1, error
    for word in words:
        assert word in error
