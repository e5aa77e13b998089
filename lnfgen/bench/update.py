"""One update of training, made by the trainer itself on random data, as a call to time."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lnfgen.bench.timing import Call
from lnfgen.config import TrainingConfig
from lnfgen.data.encoding import Encoding
from lnfgen.data.storage import Dataset, Split
from lnfgen.models import SequenceModel, Symbols
from lnfgen.training.trainer import Trainer

DENSITY = 0.05
"""The share of the keys that sound in random music."""


def update_call(model: SequenceModel, lengths: Sequence[int], samples: int, precision: str) -> Call:
    """A call that makes one whole update as `lnfgen train` does: forward, backward, clipping, AdamW, averaging.

    Args:
        lengths: the steps of each sequence. All sequences are one batch, padded to the longest.
        samples: of z for each sequence.
        precision: of the networks.
    """
    watch = _Watch()
    config = TrainingConfig(
        max_steps=10**6,
        batch_size=len(lengths),
        num_samples=samples,
        precision=precision,
        kl_warmup_start=0.0,
        kl_warmup_end=0.0,
    )
    trainer = Trainer(
        model,
        random_dataset(model, lengths),
        config,
        torch.device("cpu"),
        watch,
        save_best=lambda state: None,
        save_last=lambda trainer: None,
    )

    def call() -> float:
        watch.began = None
        trainer.run(watch.asked_to_stop)
        return watch.seconds

    return call


class _Watch:
    """The reporter of a trainer that lets it make one update at a time, and times that one. It ignores all reports."""

    began: float | None = None
    seconds = math.nan

    def asked_to_stop(self) -> bool:
        if self.began is not None:
            return True
        self.began = time.perf_counter()
        return False

    def step(self, metrics: dict[str, float]) -> None:
        assert self.began is not None
        self.seconds = time.perf_counter() - self.began

    def validated(self, metrics: dict[str, Any]) -> None: ...

    def note(self, message: str) -> None: ...


def random_dataset(model: SequenceModel, lengths: Sequence[int]) -> Dataset:
    """Random sequences of these lengths for a model, in memory. The only split is train."""
    rng = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    observation = model.observation
    if isinstance(observation, Symbols):
        values = rng.integers(observation.num_symbols, size=offsets[-1]).astype(np.int32)
        encoding = Encoding(kind="text")
    else:
        values = (rng.random((offsets[-1], observation.num_pitches)) < DENSITY).astype(np.uint8)
        encoding = Encoding(kind="music", has_onsets=observation.has_onsets)
    return Dataset(Path(), "random", encoding, {}, "", {"train": Split("train", values, offsets)})
