"""A little of `fuzz_readers.py`: damaged files of every kind are a result or one line. And what its worker tells."""

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import fuzz_worker
import pytest
from fuzz_readers import LIMITS, READERS, fuzz, fuzz_dataset
from fuzz_worker import numbers_of, read_all

from lnfgen.errors import UnreadableFileError
from lnfgen.formats.sandbox import in_child, restart_clock

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot copy a process")


def refuse(message: str) -> None:
    raise UnreadableFileError(message)


def work_on() -> None:
    restart_clock()
    while True:
        pass


def fill() -> None:
    raise MemoryError


# what becomes of a file, whether that fits the rules, and how it is read
FILES: list[tuple[str, bool, Callable[[], object]]] = [
    ("read", True, lambda: [1]),
    ("nothing", False, list),
    ("refused", True, lambda: refuse("damaged")),
    ("refused", False, lambda: refuse("two\nlines")),
    ("traceback", False, lambda: [][0]),
    ("seconds", True, lambda: in_child(work_on, name="x")),
    ("MB of memory", True, lambda: in_child(fill, name="x")),
    ("crash", False, lambda: os._exit(3)),
    ("read", True, lambda: [1]),
]


def test_the_worker_tells_what_becomes_of_each_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNFGEN_READ_SECONDS", "0.05")
    kind_of = {numbers_of("x", number).random(): kind for number, kind in enumerate(FILES)}
    given: list[Callable[[], object]] = []
    kept: list[int] = []
    report = read_all(
        "x", len(FILES), lambda rng: given.append(kind_of[rng.random()][2]), lambda: given[-1](), kept.append
    )
    assert report.outcomes == Counter(outcome for outcome, _, _ in FILES)
    assert kept == [number for number, (_, fits, _) in enumerate(FILES) if not fits]
    assert [failure.split(":")[0] for failure in report.failures] == [f"x {number}" for number in kept]


def work_for_a_while() -> list[int]:
    began = time.process_time()
    while time.process_time() < began + 1.0:
        pass
    return [1]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells how much a process has worked")
def test_a_reader_is_silent_where_it_waits_but_not_where_a_busy_machine_makes_it_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fuzz_worker, "SILENCE", 0.5)
    slow = read_all("x", 1, lambda rng: None, work_for_a_while)
    assert slow.outcomes == Counter({"read": 1})
    waiting = read_all("x", 1, lambda rng: None, lambda: time.sleep(60))
    assert waiting.outcomes == Counter({"silence": 1})


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_damaged_files(reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, limit in LIMITS.items():
        monkeypatch.setenv(variable, limit)
    report = fuzz(reader, 40, seed=1)
    assert report.failures == []
    assert report.outcomes.total() == 40


@pytest.mark.slow
def test_damaged_dataset_folders() -> None:
    assert fuzz_dataset(40, seed=1).failures == []
