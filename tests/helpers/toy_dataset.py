"""Datasets of sequences that a test has made itself."""

from collections.abc import Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from lnfgen.data.dataset import Dataset, open_dataset
from lnfgen.data.encoding import Encoding
from lnfgen.data.prepared import new_dataset


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
            setattr(
                dataset, key, getattr(dataset, key) | value if isinstance(value, dict) else value
            )
        for split, sequences in splits.items():
            signatures = (time_signatures or {}).get(split, repeat(None))
            for values, signature in zip(sequences, signatures, strict=False):
                dataset.add(split, values, signature)
    return open_dataset(path)
