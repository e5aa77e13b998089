"""A dataset that is ready to be written. Its sequences are in memory, or come from the disk as they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lnfgen.conventions import SPLITS
from lnfgen.data.encoding import Encoding
from lnfgen.data.sequences import Sequences, SharedWithTrain
from lnfgen.data.storage import Dataset, Record, write_dataset
from lnfgen.data.workplace import Workplace
from lnfgen.wording import counted


@dataclass(frozen=True)
class Prepared:
    """All that a dataset folder will hold. The fields are those of `write_dataset`, and these:

    Attributes:
        options: the values that the dataset was made with.
        out_of_range: how many notes were left out because no key of the encoding has their pitch.
        silent: the stretches without a note, which were left out of their pieces.
        copies: the files, pieces and stretches that were left out because the dataset holds the same already.
        remarks: what else a person should know of how it was made.
        place: what holds the files that the sequences come from; a temporary one lasts as long as this object.
    """

    name: str
    encoding: Encoding
    splits: Sequences
    sources: Sequence[Record]
    options: Mapping[str, Any]
    skipped: Sequence[Record] = ()
    dropped: Mapping[str, int] | None = None
    out_of_range: int = 0
    silent: Sequence[Record] = ()
    copies: Sequence[Record] = ()
    remarks: Sequence[str] = ()
    time_signatures: Mapping[str, Sequence[tuple[int, int]]] | None = None
    place: Workplace | None = None

    def write(self, path: Path) -> Dataset:
        """Write the dataset folder and open it; the errors are those of `write_dataset`."""
        remarks = list(self.remarks)
        if self.out_of_range:
            remarks.append(f"left out {counted(self.out_of_range, 'note')} outside the range of pitches")
        if self.copies:
            remarks.append(f"files, pieces or stretches that were left out as copies of others: {len(self.copies):,}")
        sequences = SharedWithTrain(self.splits)

        def preprocessing() -> dict[str, Any]:
            shared = str(sequences)
            empty = [name for name in SPLITS if name != "train" and not len(sequences.lengths[name])]
            said = [*remarks, *filter(None, [shared]), *(f"the split {name} is empty" for name in empty)]
            return {"options": self.options, "out_of_range": self.out_of_range, "remarks": said}

        return write_dataset(
            path,
            name=self.name,
            encoding=self.encoding,
            splits=sequences,
            dropped=self.dropped,
            sources=self.sources,
            skipped=[*self.skipped, *self.silent, *self.copies],
            time_signatures=self.time_signatures,
            preprocessing=preprocessing,
        )
