"""Dataset folders of sequences that a test has made itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lnfgen.data.dataset import Dataset
from lnfgen.data.encoding import Encoding
from lnfgen.data.prepared import Prepared
from lnfgen.data.sequences import InMemory


def write_dataset(
    path: Path, *, name: str, encoding: Encoding, splits: Mapping[str, Sequence[np.ndarray]], **fields: Any
) -> Dataset:
    """A dataset folder with these splits; `fields` are others of `Prepared`."""
    return Prepared(name, encoding, InMemory(splits), **fields).write(path)
