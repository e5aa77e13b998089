"""A little of `fuzz_readers.py`: damaged files of every kind are a result or one line."""

from collections import Counter
from collections.abc import Callable

import pytest
from fuzz_readers import LIMITS, READERS, fuzz, read_all

from lnfgen.errors import UnreadableFileError


def refuse(message: str) -> None:
    raise UnreadableFileError(message)


def test_the_report_counts_what_becomes_of_each_file() -> None:
    reads: list[Callable[[], object]] = [
        lambda: [1],
        list,
        lambda: refuse("damaged"),
        lambda: refuse("two\nlines"),
        lambda: [][0],
        lambda: refuse("takes over 5 seconds"),
        lambda: refuse("ends the process that reads it (signal 9)"),
    ]
    files = iter(reads)
    report = read_all("x", len(reads), lambda rng: None, lambda: next(files)())
    assert report.outcomes == Counter(
        {"read": 1, "nothing": 1, "refused": 3, "traceback": 1, "seconds": 1}
    )
    assert [failure.split(":")[0] for failure in report.failures] == ["x 1", "x 3", "x 4", "x 6"]


@pytest.mark.slow
@pytest.mark.parametrize("reader", [*READERS, "dataset"])
def test_damaged_files(reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, limit in LIMITS.items():
        monkeypatch.setenv(variable, limit)
    report = fuzz(reader, 40, seed=1)
    assert report.failures == []
    assert report.outcomes.total() == 40
