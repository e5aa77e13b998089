"""The dataset folder: `dataset.json`, and a safetensors file (a shard) for each split.

`dataset_writer` writes it.
"""

import hashlib
import json
import math
import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from lnfgen.conventions import TimeSignature
from lnfgen.data.encoding import Encoding
from lnfgen.data.encoding_json import encoding_from_json
from lnfgen.data.folder_survey import Survey
from lnfgen.errors import DatasetError
from lnfgen.files import read_object
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.repertoire import Repertoire
from lnfgen.music.time_signature import is_time_signature
from lnfgen.wording import counted

FORMAT_VERSION = 2  # since music has an axis of parts
MANIFEST = "dataset.json"
Record = Mapping[str, str]
"""An entry of `dataset.json` about a file: {path, sha256} of one that was read, {path, reason} of
one that was not."""

DTYPES: dict[str, np.dtype[Any]] = {
    "U8": np.dtype("<u1"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
}
"""The types of the tensors of a shard, by their names in safetensors."""

_CHUNK = 1 << 22  # bytes that are read at a time, whole values of any type
_MAX_HEADER = 1 << 20  # bytes of the header of a shard, which needs about 200

_ADVICE = "preprocess the sources again"
_MANIFEST_TYPES: dict[str, type] = {"name": str, "kind": str, "encoding": dict, "splits": dict}
_SPLIT_TYPES: dict[str, type] = {
    "sequences": int,
    "steps": int,
    "dropped": int,
    "shard": str,
    "sha256": str,
}


@dataclass(frozen=True, eq=False)
class Split(Sequence[np.ndarray]):
    """The sequences of one split: `split[3]` is uint8 [T, R, P] of music, or int32 [T] of text.

    They cannot be written to, and are read from the disk as they are used, so that a large dataset
    does not fill the memory.
    """

    shard: IO[bytes] = field(repr=False)
    start: int  # the byte of the shard where the values begin
    step: np.dtype[Any]  # the type of the values of a step
    offsets: np.ndarray = field(repr=False)
    dropped: int = 0  # how many sequences were left out of the split because they were too long
    # of each sequence, or none at all
    time_signatures: Sequence[TimeSignature] = field(default=(), repr=False)
    # of each sequence the number of its song, or none at all
    song_numbers: np.ndarray | None = field(default=None, repr=False)
    # of each sequence, as `Encoding.bar_shapes` gives them
    bar_shapes: np.ndarray | None = field(default=None, repr=False)
    encoding: Encoding | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        weakref.finalize(self, self.shard.close)

    @cached_property
    def lengths(self) -> np.ndarray:
        """int64 [N], the number of steps of each sequence."""
        return np.diff(self.offsets)

    @property
    def songs(self) -> np.ndarray:
        """int64 [N], the number of the song of each sequence.

        Stretches of one song have the same number, and so have its versions. Where it is not known,
        each sequence is a song.
        """
        if self.song_numbers is None:
            return np.arange(len(self))
        return self.song_numbers

    @cached_property
    def homes(self) -> np.ndarray | None:
        """The home of each sequence, as `Encoding.homes` finds it."""
        return None if self.encoding is None else self.encoding.homes(self)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        first = int(self.offsets[:-1][index])
        last = int(self.offsets[1:][index])
        return _read(self.shard, self.start + first * self.step.itemsize, self.step, last - first)


@dataclass(frozen=True, eq=False)
class Dataset:
    """An open dataset folder."""

    path: Path
    name: str
    encoding: Encoding
    manifest: dict[str, Any] = field(repr=False)  # the content of `dataset.json`
    # a hash of the encoding and of the SHA-256 of each shard, not of the name or the folder
    fingerprint: str
    _splits: dict[str, Split]
    survey: Survey | None = None  # of the files that it was just made of, if these are music

    def split(self, name: str) -> Split:
        """The split of that name, or a `DatasetError` if there is none or it holds no sequences."""
        if name in self.split_names:
            return self._splits[name]
        state = "is empty" if name in self._splits else "does not exist"
        there = ", ".join(self.split_names) or "none"
        raise DatasetError(
            f"the split {name!r} of {self.path} {state}; the splits that hold sequences: {there}"
        )

    def pieces(self, name: str) -> Iterator[PianoRoll | str]:
        """The sequences of a split as pieces, with the usual tempo of the set.

        Each has its own time signature, or the usual one where the split has none.
        """
        split = self.split(name)
        if not split.time_signatures:
            return map(self.encoding.decode, split)
        return map(self.encoding.decode, split, split.time_signatures)

    def repertoire(self, name: str, most: int | None = None) -> Repertoire:
        """The pieces of a split of music with their songs, or the first ones, at `most` so many."""
        pieces = [*islice(self.pieces(name), most)]
        rolls = [piece for piece in pieces if isinstance(piece, PianoRoll)]
        return Repertoire(rolls, self.split(name).songs[: len(rolls)].tolist())

    @property
    def split_names(self) -> list[str]:
        """The names of the splits that hold sequences."""
        return [name for name, split in self._splits.items() if len(split)]


def is_dataset(path: Path) -> bool:
    """True if the path is a folder with a `dataset.json`. This does not look into the file."""
    return (path / MANIFEST).is_file()


def open_dataset(path: Path) -> Dataset:
    """Open a dataset folder, and check its shards against its `dataset.json`.

    Raises:
        DatasetError: if it is no dataset folder, has another format, is incomplete, or has changed
            since.
    """
    file = path / MANIFEST
    if not file.is_file():
        raise DatasetError(
            f"{path} {_why_no_dataset(path)}; expected a dataset folder; make one with: lnfgen"
            " preprocess"
        )
    try:
        manifest = read_object(file)
    except (OSError, ValueError) as error:
        raise _damaged(file, str(error)) from None
    encoding, fingerprint = check_manifest(
        file, manifest, _ADVICE, sources=list, skipped=list, preprocessing=dict
    )
    splits = {}
    for name, entry in manifest["splits"].items():
        splits[name] = _open_split(path, name, entry, encoding)
    return Dataset(path, manifest["name"], encoding, manifest, fingerprint, splits)


def _why_no_dataset(path: Path) -> str:
    if path.is_dir():
        return f"has no {MANIFEST}"
    if path.exists():
        return "is not a folder"
    return "does not exist"


def check_manifest(
    file: Path, manifest: dict[str, Any], advice: str, **types: type
) -> tuple[Encoding, str]:
    """The encoding and the fingerprint in the content of a `dataset.json`.

    `types` are those of further keys.

    Raises:
        DatasetError: if it has another format, a key is missing or wrong, or the fingerprint is of
            something else.
    """
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        found = f"{file} has dataset format {version!r:.9}; expected {FORMAT_VERSION}"
        if version in range(1, FORMAT_VERSION):
            raise DatasetError(f"{found}; an earlier lnfgen wrote it; {advice}")
        raise DatasetError(f"{found}; upgrade lnfgen")
    _require_types(file, manifest, _MANIFEST_TYPES | types, "the file", advice)
    for name, entry in manifest["splits"].items():
        _require_types(file, entry, _SPLIT_TYPES, f"the split {name}", advice)
        shard = entry["shard"]
        if Path(shard).name != shard:
            raise _damaged(file, f"the shard {shard!r} is not a file in this folder", advice)
    try:
        encoding = encoding_from_json(manifest["encoding"])
    except DatasetError as error:
        raise DatasetError(f"{file} has {error}") from None
    if manifest["kind"] != encoding.kind:
        raise _damaged(file, "its kind is not its encoding's", advice)
    fingerprint = fingerprint_of(encoding, manifest["splits"])
    # a dataset of an earlier lnfgen has none
    if manifest.get("fingerprint", fingerprint) != fingerprint:
        found = "its encoding or its splits are not those that its fingerprint was made of"
        raise _damaged(file, found, advice)
    return encoding, fingerprint


def _require_types(
    file: Path, found: Any, types: Mapping[str, type], what: str, advice: str
) -> None:
    """Refuse a part of a `dataset.json` that is no object, or lacks a key of one of these types."""
    if not isinstance(found, dict):
        raise _damaged(file, f"{what} is no JSON object", advice)
    for key, expected in types.items():
        if type(found.get(key)) is not expected:
            value = f"{found.get(key, 'missing')!r:.40}"
            wrong = f"the key {key!r} of {what} is {value}, not {expected.__name__}"
            raise _damaged(file, wrong, advice)


def fingerprint_of(encoding: Encoding, splits: Mapping[str, Any]) -> str:
    """A hash of an encoding and of the SHA-256 of each shard, from the `splits` of a
    `dataset.json`."""
    digest = hashlib.sha256(json.dumps(encoding.to_json(), sort_keys=True).encode())
    for name in sorted(splits):
        digest.update(f"{name} {splits[name]['sha256']}\n".encode())
    return digest.hexdigest()


def _open_split(path: Path, name: str, entry: dict[str, Any], encoding: Encoding) -> Split:
    """Open and check the shard of a split, whose part of `dataset.json` is `entry`."""
    shard = path / entry["shard"]
    with ExitStack() as opened:  # it closes the shard after an error; else the split does
        try:
            file = opened.enter_context(open(shard, "rb", buffering=0))
            values, offsets = _read_layout(file)
            _require_kind(shard, values, encoding)
            sha256, is_in_range = _read_through(file, values, encoding)
        except OSError as error:
            raise _damaged(shard, error.strerror or str(error)) from None
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise _damaged(shard, f"it is no shard ({error})") from None
        if sha256 != entry["sha256"]:
            expected = f"{entry['sha256'][:12]}... as {MANIFEST} has it"
            raise _damaged(shard, f"its SHA-256 is {sha256[:12]}..., not {expected}")
        num_steps = values.shape[0]
        _require_division(shard, offsets, num_steps)
        if (entry["sequences"], entry["steps"]) != (len(offsets) - 1, num_steps):
            held = counted(len(offsets) - 1, "sequence")
            raise _damaged(shard, f"it holds {held}, not {entry['sequences']} as {MANIFEST} has it")
        if not is_in_range:
            raise _damaged(shard, f"some of its values are not those of {encoding.kind}")
        signatures = _time_signatures(path / MANIFEST, name, entry)
        songs = _songs(path / MANIFEST, name, entry)
        opened.pop_all()
    return Split(
        shard=file,
        start=values.start,
        step=np.dtype((values.dtype, tuple(values.shape[1:]))),
        offsets=offsets,
        dropped=entry["dropped"],
        time_signatures=signatures,
        song_numbers=songs,
        bar_shapes=encoding.bar_shapes(signatures) if signatures else None,
        encoding=encoding,
    )


def _require_kind(shard: Path, values: "_Tensor", encoding: Encoding) -> None:
    """Refuse values of another type than the encoding's, or of another shape of a step."""
    of_step = list(encoding.no_steps.shape[1:])
    if values.dtype != encoding.no_steps.dtype or not values.shape or values.shape[1:] != of_step:
        found = f"{values.dtype} {values.shape}"
        raise _damaged(shard, f"its values are {found}, which is no {encoding.kind}")


def _require_division(shard: Path, offsets: np.ndarray, num_steps: int) -> None:
    """Refuse offsets that do not rise from 0 to the number of steps."""
    edges = offsets[[0, -1]].tolist()
    # A difference of two offsets could overflow.
    if edges != [0, num_steps] or not (offsets[1:] > offsets[:-1]).all():
        raise _damaged(shard, "its offsets do not divide its values into sequences")


class _Tensor(NamedTuple):
    """Where a tensor of a shard is, in bytes of the file, and its shape and type."""

    start: int
    stop: int
    shape: list[int]
    dtype: np.dtype[Any]


def _read_layout(file: IO[bytes]) -> tuple[_Tensor, np.ndarray]:
    """Where the header of a shard places its values, and the offsets, int64 [N + 1].

    Raises:
        KeyError, TypeError, ValueError, RecursionError: if it is no shard.
    """
    size = os.fstat(file.fileno()).st_size
    header_size = 0
    if size >= 8:
        header_size = int(_read(file, 0, np.dtype("<u8"), 1)[0])
    start = 8 + header_size
    if start > size or header_size > _MAX_HEADER:
        raise ValueError(f"its header of {header_size} bytes does not fit its {size} bytes")
    header = json.loads(_read(file, 8, np.dtype("u1"), header_size).tobytes())
    values = _tensor(header, "values", start, size)
    edges = _tensor(header, "offsets", start, size)
    if edges.dtype != DTYPES["I64"] or len(edges.shape) != 1 or not edges.shape[0]:
        raise ValueError(f"its offsets are {edges.dtype} {edges.shape}")
    return values, _read(file, edges.start, edges.dtype, edges.shape[0])


def _tensor(header: Any, name: str, start: int, size: int) -> _Tensor:
    """The tensor of this name in the header of a shard, whose data are from `start` to `size`."""
    entry = header[name]
    dtype = DTYPES[entry["dtype"]]
    shape = list(entry["shape"])
    first, last = entry["data_offsets"]
    for number in (*shape, first, last):
        if type(number) is not int or number < 0:
            raise ValueError(f"the tensor {name} has the place or size {number!r:.40}")
    num_bytes = math.prod(shape) * dtype.itemsize
    if last - first != num_bytes or start + last > size:
        place = f"bytes {first} to {last}"
        raise ValueError(f"the tensor {name} of {num_bytes} bytes does not fit its {place}")
    return _Tensor(start + first, start + last, shape, dtype)


def _read_through(file: IO[bytes], values: _Tensor, encoding: Encoding) -> tuple[str, bool]:
    """The SHA-256 of a shard, and if all of its values are in the range of the encoding.

    Both come from one pass over the file, which may be larger than the memory.
    """
    size = os.fstat(file.fileno()).st_size
    digest = hashlib.sha256()
    is_in_range = True
    for chunk in _chunks(file, 0, values.start):
        digest.update(chunk)
    for chunk in _chunks(file, values.start, values.stop):
        digest.update(chunk)
        is_in_range = is_in_range and encoding.admits(np.frombuffer(chunk, values.dtype))
    for chunk in _chunks(file, values.stop, size):
        digest.update(chunk)
    return digest.hexdigest(), is_in_range


def _chunks(file: IO[bytes], start: int, stop: int) -> Iterator[bytes]:
    """The bytes from `start` to `stop`, at most `_CHUNK` at a time."""
    for place in range(start, stop, _CHUNK):
        yield _read_bytes(file, place, min(_CHUNK, stop - place))


def _read(shard: IO[bytes], start: int, dtype: np.dtype[Any], count: int) -> np.ndarray:
    """Values from the byte `start` on.

    The file is not mapped: the system would end a process that uses a mapped file after it was cut.
    """
    return np.frombuffer(_read_bytes(shard, start, count * dtype.itemsize), dtype)


def _read_bytes(shard: IO[bytes], start: int, count: int) -> bytes:
    # Not by `seek`, which sets a place in the file that processes share if they were forked.
    content = os.pread(shard.fileno(), count, start)
    if len(content) < count:
        raise _damaged(Path(shard.name), "it is shorter than it was")
    return content


def _time_signatures(file: Path, split: str, entry: dict[str, Any]) -> list[TimeSignature]:
    """The time signature of each sequence, from one string as "4/4 3/4"; none for text."""
    if "time_signatures" not in entry:
        return []
    try:
        words = entry["time_signatures"].split()
        known: dict[str, TimeSignature] = {}
        for word in set(words):
            beats, unit = word.split("/")
            known[word] = (int(beats), int(unit))
        if len(words) != entry["sequences"] or not all(map(is_time_signature, known.values())):
            raise ValueError
    except (AttributeError, ValueError):
        what = f"the time signatures of {split} are not {entry['sequences']} words as 4/4 3/4"
        raise _damaged(file, what) from None
    return [known[word] for word in words]


def _songs(file: Path, split: str, entry: dict[str, Any]) -> np.ndarray | None:
    """The song of each sequence, from one string as "0 0 1"; None if there is none."""
    if "songs" not in entry:
        return None
    try:
        numbers = np.array([int(word) for word in entry["songs"].split()], np.int64)
        if len(numbers) != entry["sequences"] or (numbers < 0).any():
            raise ValueError
    except (AttributeError, OverflowError, ValueError):
        what = f"the songs of {split} are not {entry['sequences']} numbers as 0 0 1"
        raise _damaged(file, what) from None
    return numbers


def _damaged(file: Path, what: str, advice: str = _ADVICE) -> DatasetError:
    return DatasetError(f"{file} is damaged or incomplete: {what}; {advice}")
