"""A dataset that is ready to be written. Its sequences are in memory, or come from the disk as they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lnfgen.conventions import TimeSignature
from lnfgen.data.dataset import FORMAT_VERSION, MANIFEST, Dataset, Record, no_steps, open_dataset
from lnfgen.data.encoding import Encoding
from lnfgen.data.sequences import Sequences, SharedWithTrain
from lnfgen.data.shards import ShardWriter, remember_hash
from lnfgen.data.workplace import Workplace
from lnfgen.errors import DatasetError
from lnfgen.files import new_folder, write_json
from lnfgen.wording import counted


@dataclass(frozen=True)
class Prepared:
    """All that a dataset folder will hold.

    Attributes:
        splits: the encoded sequences of each split, in order. Each split but train may be empty.
        sources: the files that were read.
        options: the values that the dataset was made with.
        skipped: the files and pieces that were left out.
        dropped: how many sequences of each split were left out because they were too long.
        out_of_range: how many notes were left out because no key of the encoding has their pitch.
        silent: the stretches without a note, which were left out of their pieces.
        copies: the files, pieces and stretches that were left out because the dataset holds the same already.
        remarks: what else a person should know of how it was made.
        time_signatures: that of each sequence of each split; none where all have that of the encoding.
        place: what holds the files that the sequences come from; a temporary one lasts as long as this object.
    """

    name: str
    encoding: Encoding
    splits: Sequences
    sources: Sequence[Record] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    skipped: Sequence[Record] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    out_of_range: int = 0
    silent: Sequence[Record] = ()
    copies: Sequence[Record] = ()
    remarks: Sequence[str] = ()
    time_signatures: Mapping[str, Sequence[TimeSignature]] = field(default_factory=dict)
    place: Workplace | None = None

    def write(self, path: Path) -> Dataset:
        """Write the dataset folder, new or empty so far, and open it. If something fails, nothing is left there.

        Raises:
            DatasetError: if train or a sequence is empty.
            OutputError: if `path` holds something or cannot be written.
        """
        self._require_steps()
        sequences = SharedWithTrain(self.splits)
        with new_folder(path) as folder:
            entries = self._write_shards(folder, sequences)
            manifest = {
                "format_version": FORMAT_VERSION,
                "name": self.name,
                "kind": self.encoding.kind,
                "encoding": self.encoding.to_json(),
                "splits": entries,
                "sources": list(self.sources),
                "skipped": [*self.skipped, *self.silent, *self.copies],
                "preprocessing": {
                    "options": self.options,
                    "out_of_range": self.out_of_range,
                    "remarks": self._remarks(str(sequences)),
                },
            }
            write_json(folder / MANIFEST, manifest, indent=1)
        for entry in entries.values():
            remember_hash(path / entry["shard"], entry["sha256"])
        return open_dataset(path)

    def _require_steps(self) -> None:
        """Check that there is a sequence in train, and a step in each sequence."""
        if not len(self.splits.lengths.get("train", ())):
            raise DatasetError(
                f"{self.name} leaves no sequence to train on; give more or longer pieces, "
                "or preprocess with another --split"
            )
        for split, own in self.splits.lengths.items():
            if not own.all():
                raise DatasetError(f"{self.name} has an empty sequence in {split}; expected at least one step in each")

    def _write_shards(self, folder: Path, sequences: Sequences) -> dict[str, dict[str, Any]]:
        """Write a shard for each split, in one pass over all sequences. Returned is what the manifest says of each."""
        none = no_steps(self.encoding)
        with ExitStack() as stack:
            shards = {
                split: stack.enter_context(ShardWriter(folder / f"{split}.safetensors", own, none))
                for split, own in sequences.lengths.items()
            }
            for split, values in sequences.blocks():
                shards[split].write(values)
        entries: dict[str, dict[str, Any]] = {
            split: {
                "sequences": len(sequences.lengths[split]),
                "steps": shard.num_steps,
                "dropped": self.dropped.get(split, 0),
                "shard": f"{split}.safetensors",
                "sha256": shard.sha256,
            }
            for split, shard in shards.items()
        }
        for split, signatures in self.time_signatures.items():
            entries[split]["time_signatures"] = " ".join(f"{beats}/{unit}" for beats, unit in signatures)
        return entries

    def _remarks(self, shared: str) -> list[str]:
        """What a person should know. `shared` says which sequences train holds as well."""
        remarks = list(self.remarks)
        if self.out_of_range:
            remarks.append(f"left out {counted(self.out_of_range, 'note')} outside the range of pitches")
        if self.copies:
            remarks.append(f"files, pieces or stretches that were left out as copies of others: {len(self.copies):,}")
        if shared:
            remarks.append(shared)
        return remarks + [f"the split {name} is empty" for name, own in self.splits.lengths.items() if not len(own)]
