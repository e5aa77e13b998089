"""A batch that does not fit into memory is refused before a run begins, with the size that does."""

import dataclasses
import re
from pathlib import Path

import pytest
from command import Call, fails
from toy_config import toy_config

from lnfgen.config import Config
from lnfgen.data.dataset import Dataset
from lnfgen.device import memory
from lnfgen.errors import ConfigError
from lnfgen.training import batch_memory
from lnfgen.training.batch_memory import require_memory


def with_batches(batch_size: int) -> Config:
    config = toy_config()
    training = dataclasses.replace(config.training, batch_size=batch_size)
    return dataclasses.replace(config, training=training)


def test_the_size_that_is_named_fits(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda device: 300_000)
    with pytest.raises(ConfigError, match=r"training\.batch_size: found 1,000,000,000; ") as error:
        require_memory(with_batches(1_000_000_000), dataset, "cpu")
    said = re.search(r"expected at most --set training\.batch_size=(\d+)$", str(error.value))
    assert said is not None
    fitting = int(said[1])
    assert 1 <= fitting < len(dataset.split("train"))
    require_memory(with_batches(fitting), dataset, "cpu")


def test_what_fits_is_taken(dataset: Dataset) -> None:
    require_memory(with_batches(1_000_000_000), dataset, "cpu")


def test_a_great_batch_makes_no_run(
    toy_home: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda device: 1)
    monkeypatch.setattr(batch_memory, "MORE", 3)
    asked = ("train", "lines", "--preset", "tiny", "--config", "small.json", "--out", "great")
    done = call(*asked, "--set", "training.batch_size=1000000000")
    fails(done, "training.batch_size: found 1,000,000,000", "GB are free; expected at most")
    assert not (toy_home / "great").exists()
