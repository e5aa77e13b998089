"""A little of `fuzz_readers.py`: damaged files of every kind are a result or one line."""

import pytest
from fuzz_readers import READERS, fuzz, fuzz_dataset

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("reader", READERS)
def test_damaged_files(reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNFGEN_READ_SECONDS", "5")
    report = fuzz(reader, 40, seed=1)
    assert report.failures == []
    assert report.outcomes.total() == 40


def test_damaged_dataset_folders() -> None:
    assert fuzz_dataset(40, seed=1).failures == []
