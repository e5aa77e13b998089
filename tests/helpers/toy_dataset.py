"""Datasets of sequences that a test has made itself, and short questions to any dataset."""

from collections.abc import Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from lnfgen.conventions import SPLITS
from lnfgen.data.dataset import Dataset, open_dataset
from lnfgen.data.dataset_writer import new_dataset
from lnfgen.data.encoding import Encoding


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
            if isinstance(value, dict):
                value = getattr(dataset, key) | value
            setattr(dataset, key, value)
        for split, sequences in splits.items():
            signatures = (time_signatures or {}).get(split, repeat(None))
            for values, signature in zip(sequences, signatures, strict=False):
                dataset.add(split, values, signature)
    return open_dataset(path)


def sizes(dataset: Dataset) -> list[int]:
    """How many sequences train, valid and test have."""
    return [dataset.manifest["splits"][split]["sequences"] for split in SPLITS]


def all_sequences(dataset: Dataset) -> list[np.ndarray]:
    """The sequences of all splits, first those of train."""
    sequences: list[np.ndarray] = []
    for split in dataset.split_names:
        sequences += dataset.split(split)
    return sequences


def texts_in(dataset: Dataset, split: str) -> list[str]:
    """The texts of a split."""
    return [str(piece) for piece in dataset.pieces(split)]


def all_texts(dataset: Dataset) -> list[str]:
    """The texts of all splits, first those of train."""
    texts: list[str] = []
    for split in dataset.split_names:
        texts += texts_in(dataset, split)
    return texts


def left_out(dataset: Dataset) -> dict[str, str]:
    """Why files or pieces were left out, by their names."""
    return {skip["path"]: skip["reason"] for skip in dataset.manifest["skipped"]}


def remarks(dataset: Dataset) -> str:
    """The remarks on how the dataset was made, one a line."""
    return "\n".join(dataset.manifest["preprocessing"]["remarks"])
