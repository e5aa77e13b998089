"""Write a dataset folder: the shards of its splits as sequences come, then its `dataset.json`.

A shard has two tensors. `values` are the sequences one after the other (uint8 [steps, R, P] for
music, int32 [steps] for text), and `offsets` (int64 [N + 1]) say where each one starts and the last
one ends. The header of a safetensors file (https://huggingface.co/docs/safetensors) comes first. It
has their sizes, so its place is filled at the end.
"""

import json
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

from lnfgen.conventions import SPLITS, TimeSignature
from lnfgen.data.dataset import DTYPES, FORMAT_VERSION, MANIFEST, Record, fingerprint_of
from lnfgen.data.encoding import Encoding
from lnfgen.data.facts import PIANO_KEYS, report_in_words
from lnfgen.data.folder_survey import Survey
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.source_files import SourceFile
from lnfgen.errors import DatasetError, LnfgenError, UnreadableFileError
from lnfgen.files import new_folder, sha256_of, write_json
from lnfgen.music.conversion import REPORTED
from lnfgen.wording import counted, with_name

_Content = TypeVar("_Content")
_HEADER_BYTES = 256  # with the 8 that say how long the rest is; a header needs about 200


@contextmanager
def new_dataset(path: Path, name: str, *, strict: bool = False) -> Iterator["DatasetWriter"]:
    """Yield a writer to add sequences to.

    At the end of the block the dataset folder is there, or else nothing is.
    """
    with new_folder(path) as folder, ExitStack() as stack:
        shards = {}
        for split in SPLITS:
            file = stack.enter_context(open(folder / f"{split}.safetensors", "wb"))
            shards[split] = _Shard(file)
        writer = DatasetWriter(name, shards, strict)
        yield writer
        write_json(folder / MANIFEST, writer.finish(), indent=1)


class DatasetWriter:
    """The sequences of a new dataset folder, and all that its `dataset.json` says.

    `new_dataset` makes one.
    """

    # set before the first sequence comes; its tempo and time signature may change later
    encoding: Encoding

    def __init__(self, name: str, shards: Mapping[str, "_Shard"], strict: bool) -> None:
        self.name = name
        self.survey = Survey()  # of files of music
        self.disjoint = False  # leave out a sequence that another split holds already
        self.options: dict[str, Any] = {}  # the values that the dataset is made with
        self.sources: list[Record] = []  # the files that were read
        self.skipped: list[Record] = []  # the files, pieces and silent stretches that were left out
        # those that were left out because the dataset holds the same already
        self.copies: list[Record] = []
        # more that a person should know about how the dataset was made
        self.remarks: list[str] = []
        # the sequences of each split that are left out as too long
        self.dropped = dict.fromkeys(shards, 0)
        self._strict = strict
        self._shards = shards
        self._shared = dict.fromkeys(shards, 0)  # sequences that train holds as well
        self._first: dict[int, str] = {}  # by the hash of a sequence: the split that held it first

    def add(
        self,
        split: str,
        values: np.ndarray,
        time_signature: TimeSignature | None = None,
        song: int | None = None,
    ) -> bool:
        """Append a sequence to a split, [T, R, P] of music or [T] of text.

        All sequences of one song, its versions included, have the same number `song`.

        The result is False if it is left out, see `disjoint`. Sequences are compared by a hash of
        64 bits, which mistakes two of a million with a chance of 1 in 10 million.
        """
        if not len(values):
            raise DatasetError(
                f"{self.name} has an empty sequence in {split}; expected at least one step in each"
            )
        content = values.tobytes()
        first = self._first.setdefault(hash(content), split)
        if self.disjoint and first != split:
            return False
        if first == "train" and split != "train":
            self._shared[split] += 1
        self._shards[split].append(content, len(values), time_signature, song)
        return True

    def skip(self, path: str, reason: str) -> None:
        """Note that a file or piece cannot be taken, or if the dataset is strict raise that."""
        if self._strict:
            raise UnreadableFileError(with_name(path, reason))
        self.skipped.append({"path": path, "reason": reason})

    def readable(
        self, results: Iterable[tuple[SourceFile, _Content | LnfgenError]], what: str
    ) -> Iterator[tuple[SourceFile, _Content]]:
        """The files that could be read, at least one, with their contents. Others are skipped."""
        for file, result in results:
            if isinstance(result, LnfgenError):
                self.skip(file.label, str(result))
            else:
                self.sources.append(file.record)
                yield file, result
        if not self.sources:
            files = counted(len(self.skipped), "file")
            raise DatasetError(
                f"{files} of {self.name}, none readable {what}: {self.skipped[0]['reason']}"
            )

    def finish(self) -> dict[str, Any]:
        """Write the ends of the shards. The result is the content of `dataset.json`."""
        self._require_train()
        splits: dict[str, dict[str, Any]] = {}
        for split, shard in self._shards.items():
            splits[split] = shard.finish(self.encoding.no_steps)
            splits[split]["dropped"] = self.dropped[split]
        report = {}
        if isinstance(self.encoding, MusicEncoding):
            report = {name: self.survey.report[name] for name in REPORTED}
        by_path = itemgetter("path")
        return {
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "kind": self.encoding.kind,
            "encoding": self.encoding.to_json(),
            "fingerprint": fingerprint_of(self.encoding, splits),
            "splits": splits,
            "sources": sorted(self.sources, key=by_path),
            "skipped": [*sorted(self.skipped, key=by_path), *self.copies],
            "preprocessing": {
                "options": self.options,
                "report": report,
                "remarks": [*self.remarks, *self._further_remarks()],
            },
        }

    def _require_train(self) -> None:
        """Refuse a dataset without a sequence to train on."""
        if self._shards["train"].lengths:
            return
        dropped = ""
        chunks = ""
        count = self.dropped["train"]
        if count:
            dropped = f" ({count:,} dropped for their length)"
            chunks = "--chunks, which cuts texts without lines, "
        raise DatasetError(
            f"{self.name} leaves no sequence to train on{dropped}; give more or longer pieces, "
            f"or preprocess with {chunks}another --split or a larger --max-length"
        )

    def _further_remarks(self) -> Iterator[str]:
        """Remarks on what was lost, on copies, and on splits that share sequences or are empty."""
        if isinstance(self.encoding, MusicEncoding):
            keys = "the four octaves of their part" if self.encoding.parts else PIANO_KEYS
            yield from report_in_words(self.survey.report, self.encoding.steps_per_quarter, keys)
        if self.copies:
            what = "files, pieces or stretches that were left out as copies of others"
            yield f"{what}: {len(self.copies):,}"
        shared = []
        for split, count in self._shared.items():
            if count:
                shared.append(f"{count:,} of {len(self._shards[split].lengths):,} in {split}")
        if shared:
            yield f"sequences that train holds as well: {', '.join(shared)}"
        for split, shard in self._shards.items():
            if not shard.lengths:
                yield f"the split {split} is empty"


class _Shard:
    """A shard that is being written; `lengths` are the steps of each sequence so far."""

    def __init__(self, file: IO[bytes]) -> None:
        self.lengths = array("q")
        self._file = file
        self._time_signatures: list[TimeSignature] = []
        self._songs: list[int] = []
        file.write(bytes(_HEADER_BYTES))

    def append(
        self,
        content: bytes,
        num_steps: int,
        time_signature: TimeSignature | None,
        song: int | None,
    ) -> None:
        self._file.write(content)
        self.lengths.append(num_steps)
        if time_signature is not None:
            self._time_signatures.append(time_signature)
        if song is not None:
            self._songs.append(song)

    def finish(self, no_steps: np.ndarray) -> dict[str, Any]:
        """Write the offsets and the header. The result is the part of `dataset.json` on the shard.

        `no_steps` has the type and the other axes of all values.
        """
        offsets = np.zeros(len(self.lengths) + 1, DTYPES["I64"])
        np.cumsum(self.lengths, out=offsets[1:])
        end = self._file.tell() - _HEADER_BYTES
        self._file.write(offsets.tobytes())
        dtypes = {dtype: name for name, dtype in DTYPES.items()}
        header = {
            "values": {
                "dtype": dtypes[no_steps.dtype],
                "shape": [int(offsets[-1]), *no_steps.shape[1:]],
                "data_offsets": [0, end],
            },
            "offsets": {
                "dtype": "I64",
                "shape": offsets.shape,
                "data_offsets": [end, end + offsets.nbytes],
            },
        }
        text = json.dumps(header, separators=(",", ":")).encode().ljust(_HEADER_BYTES - 8)
        self._file.seek(0)
        self._file.write(len(text).to_bytes(8, "little") + text)
        self._file.flush()
        os.fsync(self._file.fileno())
        path = Path(self._file.name)
        entry: dict[str, Any] = {
            "sequences": len(self.lengths),
            "steps": sum(self.lengths),
            "shard": path.name,
            "sha256": sha256_of(path),
        }
        if self._time_signatures:
            words = [f"{beats}/{unit}" for beats, unit in self._time_signatures]
            entry["time_signatures"] = " ".join(words)
        if self._songs:
            entry["songs"] = " ".join(map(str, self._songs))
        return entry
