"""Datasets of sequences that a test has made itself."""

from collections.abc import Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from lnfgen.data.dataset import Dataset, Split, open_dataset
from lnfgen.data.encoding import Encoding
from lnfgen.data.prepared import new_dataset
from lnfgen.models.observation import Symbols
from lnfgen.models.sequence_model import SequenceModel


def write_dataset(
    path: Path,
    *,
    name: str,
    encoding: Encoding,
    splits: Mapping[str, Sequence[np.ndarray]],
    time_signatures: Mapping[str, Sequence[tuple[int, int]]] | None = None,
    **fields: Any,
) -> Dataset:
    """A dataset folder with these splits; `fields` are attributes of `DatasetWriter`."""
    with new_dataset(path, name) as dataset:
        dataset.encoding = encoding
        for key, value in fields.items():
            setattr(dataset, key, getattr(dataset, key) | value if isinstance(value, dict) else value)
        for split, sequences in splits.items():
            signatures = (time_signatures or {}).get(split, repeat(None))
            for values, signature in zip(sequences, signatures, strict=False):
                dataset.add(split, values, signature)
    return open_dataset(path)


def random_dataset(model: SequenceModel, lengths: Sequence[int]) -> Dataset:
    """Random sequences of these lengths for a model, in memory. The only split is train."""
    rng = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    observation = model.observation
    if isinstance(observation, Symbols):
        values = rng.integers(observation.num_symbols, size=offsets[-1]).astype(np.int32)
        encoding = Encoding(kind="text")
    else:
        pitches, onsets = observation.num_pitches, observation.has_onsets
        values = (rng.random((offsets[-1], pitches)) < 0.05).astype(np.uint8)
        encoding = Encoding(kind="music", has_onsets=onsets, lowest_pitch=36, num_pitches=pitches)
    return Dataset(Path(), "random", encoding, {}, "", {"train": Split("train", values, offsets)})
