"""A dataset in memory, complete and ready to be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lnfgen.conventions import SPLITS
from lnfgen.data.encoding import Encoding
from lnfgen.data.storage import Dataset, write_dataset

Record = Mapping[str, str]
"""An entry of `dataset.json` about a file: {path, sha256} of one that was read, {path, reason} of one that was not."""


@dataclass(frozen=True)
class Prepared:
    """Everything that a dataset folder will say.

    Attributes:
        splits: the encoded sequences of each split.
        dropped: how many sequences of each split were left out because they were too long.
        sources: {path, sha256} of each file that was read.
        skipped: {path, reason} of each file or piece that was left out.
        out_of_range: how many notes were left out because no key of the encoding has their pitch.
        options: the values that it was made with.
    """

    name: str
    encoding: Encoding
    splits: Mapping[str, Sequence[np.ndarray]]
    dropped: Mapping[str, int]
    sources: Sequence[Record]
    skipped: Sequence[Record] = ()
    out_of_range: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def remarks(self) -> list[str]:
        """What a person should know besides."""
        remarks = []
        if self.out_of_range:
            remarks.append(f"{self.out_of_range} notes outside the range of pitches were left out")
        return remarks + [
            f"the split {name} is empty" for name in SPLITS if name != "train" and not self.splits.get(name)
        ]

    def write(self, path: Path) -> Dataset:
        """Write it as a dataset folder and open that.

            prepare([Path("songs")], Options()).write(Path("songs-dataset"))

        Raises:
            DatasetError: if train is empty.
            OutputError: if `path` holds something or cannot be written.
        """
        return write_dataset(
            path,
            name=self.name,
            encoding=self.encoding,
            splits=self.splits,
            dropped=self.dropped,
            sources=self.sources,
            skipped=self.skipped,
            preprocessing={"options": self.options, "out_of_range": self.out_of_range, "remarks": self.remarks},
        )
