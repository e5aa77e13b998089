"""Paths and runners that all tests share."""

import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from command import start

# Small tensors gain nothing from threads, and threads that wait for one another on a busy machine cost a great deal.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED_DATA = Path(os.environ.get("LNFGEN_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """A file or folder of the benchmark data that lies beside some checkouts; the test skips where it is absent."""

    def find(name: str) -> Path:
        path = SHARED_DATA / name
        if not path.exists():
            pytest.skip(f"benchmark data {name} is not on this machine; set LNFGEN_TEST_DATA to its folder")
        return path

    return find


Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def lnfgen(tmp_path: Path) -> Run:
    """Run `python -m lnfgen ARGS` as a person would, in the test's own folder."""

    return partial(start, tmp_path)
