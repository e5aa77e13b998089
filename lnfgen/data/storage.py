"""The dataset folder: `dataset.json` and a safetensors shard a split, checked when opened, read memory-mapped.

A shard holds `values` (music uint8 [steps, P], text int32 [steps]), the sequences one after the other, and `offsets`
int64 [N + 1], where each starts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lnfgen.data.encoding import Encoding
from lnfgen.errors import DatasetError
from lnfgen.files import new_folder, sha256_of, write_bytes

FORMAT_VERSION = 1
MANIFEST = "dataset.json"
SPLITS = ("train", "valid", "test")

_DTYPES: dict[str, tuple[str, np.dtype[Any]]] = {"music": ("U8", np.dtype("<u1")), "text": ("I32", np.dtype("<i4"))}
_MANIFEST_TYPES = {
    "format_version": int,
    "name": str,
    "kind": str,
    "encoding": dict,
    "splits": dict,
    "sources": list,
    "skipped": list,
}
_SPLIT_TYPES = {"sequences": int, "steps": int, "dropped": int, "shard": str, "sha256": str}
_MAX_HEADER = 1 << 20  # bytes; a shard's header describes two tensors


class Split:
    """The sequences of one split; `split[i]` is a read-only view, uint8 [T, P] or int32 [T], of the mapped shard.

    Attributes:
        lengths: int64 [N], steps of each sequence.
        dropped: sequences of the sources that were left out for their length.
    """

    def __init__(self, name: str, values: np.ndarray, offsets: np.ndarray, dropped: int = 0) -> None:
        self.name = name
        self.dropped = dropped
        self._values = values
        self._offsets = offsets
        self.lengths: np.ndarray = np.diff(offsets)

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> np.ndarray:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sequence {index} of {len(self)}")
        index %= len(self)
        return self._values[self._offsets[index] : self._offsets[index + 1]]

    @property
    def num_steps(self) -> int:
        """Steps of all sequences together."""
        return int(self._offsets[-1])


@dataclass(frozen=True, eq=False)
class Dataset:
    """An open dataset folder.

    Attributes:
        path: the folder.
        name: what it was made from.
        encoding: how its integers stand for pieces.
        manifest: `dataset.json` as it is.
        fingerprint: hash of the shards' SHA-256 and the encoding: equal when two datasets hold the same.
    """

    path: Path
    name: str
    encoding: Encoding
    manifest: dict[str, Any]
    fingerprint: str
    _splits: dict[str, Split]

    def split(self, name: str) -> Split:
        """The split of that name.

        Raises:
            DatasetError: if the dataset has none, or it is empty.
        """
        if name in self.split_names:
            return self._splits[name]
        state = "is empty" if name in self._splits else "does not exist"
        there = ", ".join(self.split_names) or "none"
        raise DatasetError(f"the split {name!r} of {self.path} {state}; the splits that hold sequences: {there}")

    @property
    def split_names(self) -> list[str]:
        """The splits that hold sequences."""
        return [name for name, split in self._splits.items() if len(split)]


def is_dataset(path: Path) -> bool:
    """Whether the path is a folder with a `dataset.json`, sound or not."""
    return (Path(path) / MANIFEST).is_file()


def write_dataset(
    path: Path,
    *,
    name: str,
    encoding: Encoding,
    splits: Mapping[str, Sequence[np.ndarray]],
    dropped: Mapping[str, int] | None = None,
    sources: Sequence[Mapping[str, str]] = (),
    skipped: Sequence[Mapping[str, str]] = (),
    preprocessing: Mapping[str, Any] | None = None,
) -> Dataset:
    """Write a dataset folder, whole or not at all, and open it.

    Args:
        path: a new or empty folder.
        splits: the encoded sequences of each split, in order; a split may be empty, train may not.
        dropped: sequences left out for their length, by split.
        sources: {path, sha256} of each file read.
        skipped: {path, reason} of each file or piece left out.
        preprocessing: what else is worth knowing of how it was made; plain JSON values.

    Raises:
        DatasetError: if train is empty.
        OutputError: if `path` holds something or cannot be written.
    """
    if not splits.get("train"):
        raise DatasetError(f"{name} leaves no sequence to train on; give more or longer pieces, or another --split")
    with new_folder(Path(path)) as folder:
        entries: dict[str, Any] = {}
        for split, sequences in splits.items():
            shard = f"{split}.safetensors"
            content, steps = _pack(sequences, encoding)
            write_bytes(folder / shard, content)
            entries[split] = {
                "sequences": len(sequences),
                "steps": steps,
                "dropped": int((dropped or {}).get(split, 0)),
                "shard": shard,
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        manifest = {
            "format_version": FORMAT_VERSION,
            "name": name,
            "kind": encoding.kind,
            "encoding": encoding.to_json(),
            "splits": entries,
            "sources": [dict(source) for source in sources],
            "skipped": [dict(skip) for skip in skipped],
        }
        if preprocessing:
            manifest["preprocessing"] = dict(preprocessing)
        text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
        # A file name that is no UTF-8 (as Python's surrogates) must not keep a dataset from being written.
        write_bytes(folder / MANIFEST, text.encode("utf-8", errors="replace"))
    return open_dataset(path)


def open_dataset(path: Path) -> Dataset:
    """Open a dataset folder and check it against its `dataset.json`.

    Raises:
        DatasetError: if it is no dataset folder, of a newer format, incomplete, or changed since it was written.
    """
    path = Path(path)
    manifest = _read_manifest(path)
    try:
        encoding = Encoding.from_json(manifest["encoding"])
    except DatasetError as error:
        raise DatasetError(f"{path / MANIFEST} has {error}") from None
    if manifest["kind"] != encoding.kind:
        raise _damaged(path / MANIFEST, "its kind is not its encoding's")
    splits = {name: _open_split(path, name, entry, encoding) for name, entry in manifest["splits"].items()}
    digest = hashlib.sha256(json.dumps(encoding.to_json(), sort_keys=True).encode())
    for name in sorted(splits):
        digest.update(f"{name} {manifest['splits'][name]['sha256']}\n".encode())
    return Dataset(path, manifest["name"], encoding, manifest, digest.hexdigest(), splits)


def _read_manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        state = f"has no {MANIFEST}" if path.is_dir() else "is not a folder" if path.exists() else "does not exist"
        raise DatasetError(f"{path} {state}; expected a dataset folder; make one with: lnfgen preprocess") from None
    except NotADirectoryError:
        raise DatasetError(f"{path} is not a folder; expected a dataset folder") from None
    except OSError as error:
        raise DatasetError(f"cannot read {file}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(file, f"no JSON ({error})") from None
    if not isinstance(manifest, dict):
        raise _damaged(file, "no JSON object")
    version = manifest.get("format_version")
    if type(version) is int and version > FORMAT_VERSION:
        raise DatasetError(
            f"{path} is a dataset of format {version}; this lnfgen reads up to {FORMAT_VERSION}; upgrade lnfgen"
        )
    _check_types(file, manifest, _MANIFEST_TYPES)
    for name, entry in manifest["splits"].items():
        if not isinstance(entry, dict):
            raise _damaged(file, f"the split {name} is no object")
        _check_types(file, entry, _SPLIT_TYPES, f" of the split {name}")
        if entry["shard"] in ("", ".", "..") or Path(entry["shard"]).name != entry["shard"]:
            raise _damaged(file, f"the shard {entry['shard']!r} is not a file in this folder")
    return manifest


def _check_types(file: Path, found: dict[str, Any], types: Mapping[str, type], where: str = "") -> None:
    for key, kind in types.items():
        if key not in found:
            raise _damaged(file, f"the key {key!r}{where} is missing")
        if type(found[key]) is not kind:
            raise _damaged(file, f"the key {key!r}{where} is {found[key]!r:.40}, not {kind.__name__}")


def _open_split(path: Path, name: str, entry: dict[str, Any], encoding: Encoding) -> Split:
    shard = path / entry["shard"]
    try:
        found = sha256_of(shard)
    except OSError as error:
        raise _damaged(shard, error.strerror or str(error)) from None
    if found != entry["sha256"]:
        raise _damaged(shard, f"its SHA-256 is {found[:12]}..., not {entry['sha256'][:12]}... as {MANIFEST} has it")
    values, offsets = _map_shard(shard, encoding)
    if offsets[0] != 0 or offsets[-1] != len(values) or (np.diff(offsets) < 1).any():
        raise _damaged(shard, "its offsets do not divide its values into sequences")
    if (entry["sequences"], entry["steps"]) != (len(offsets) - 1, len(values)):
        raise _damaged(shard, f"it holds {len(offsets) - 1} sequences, not {entry['sequences']} as {MANIFEST} has it")
    return Split(name, values, offsets, entry["dropped"])


def _map_shard(shard: Path, encoding: Encoding) -> tuple[np.ndarray, np.ndarray]:
    """`values` mapped and `offsets` read. The safetensors layout is read here since its library copies whole tensors:
    a header of 8 bytes little-endian length and that much JSON, then the tensors' bytes
    (https://huggingface.co/docs/safetensors)."""
    try:
        with open(shard, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > _MAX_HEADER:
                raise ValueError("a header too long")
            header = json.loads(file.read(size))
        start, total = 8 + size, shard.stat().st_size
        code, dtype = _DTYPES[encoding.kind]
        width = (encoding.num_pitches,) if encoding.kind == "music" else ()
        tensors: list[np.ndarray] = []
        expected_types: dict[str, tuple[str, np.dtype[Any]]] = {
            "values": (code, dtype),
            "offsets": ("I64", np.dtype("<i8")),
        }
        for key, (key_code, key_dtype) in expected_types.items():
            shape = tuple(map(int, header[key]["shape"]))
            begin, end = map(int, header[key]["data_offsets"])
            expected = key_dtype.itemsize * int(np.prod(shape, dtype=np.int64))
            if header[key]["dtype"] != key_code or end - begin != expected or not 0 <= begin <= end <= total - start:
                raise ValueError(f"a tensor {key} of the wrong type or size")
            if shape[1:] != (width if key == "values" else ()) or len(shape) < 1:
                raise ValueError(f"a tensor {key} of shape {list(shape)}")
            # An empty file region cannot be mapped.
            tensors.append(
                np.memmap(shard, key_dtype, mode="r", offset=start + begin, shape=shape)
                if expected
                else np.empty(shape, key_dtype)
            )
        values, offsets = tensors
        if len(offsets) < 1:
            raise ValueError("no offsets")
        # asarray: a view of the map without memmap's slow subclass machinery on each index.
        return np.asarray(values), np.array(offsets, dtype=np.int64)
    except (ValueError, KeyError, TypeError, OSError, OverflowError, RecursionError) as error:
        raise _damaged(shard, f"no shard of {encoding.kind}: {error}") from None


def _pack(sequences: Sequence[np.ndarray], encoding: Encoding) -> tuple[bytes, int]:
    from safetensors.numpy import save

    dtype = _DTYPES[encoding.kind][1]
    width = (encoding.num_pitches,) if encoding.kind == "music" else ()
    for sequence in sequences:
        if sequence.dtype != dtype or sequence.shape[1:] != width or len(sequence) < 1:
            raise DatasetError(f"a sequence of {sequence.dtype} {list(sequence.shape)}; expected {dtype} [T, *{width}]")
    values = np.concatenate(sequences) if sequences else np.empty((0, *width), dtype)
    offsets = np.cumsum([0, *map(len, sequences)], dtype=np.int64)
    return save({"values": np.ascontiguousarray(values), "offsets": offsets}), len(values)


def _damaged(file: Path, what: str) -> DatasetError:
    return DatasetError(f"{file} is damaged or incomplete: {what}; preprocess the sources again")
