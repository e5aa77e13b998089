"""A shard: the sequences of one split as a safetensors file, written as a stream and read memory-mapped.

It has two tensors: `offsets` (int64 [N + 1]), where each sequence starts and the last one ends, and `values` (uint8
[steps, P] for music, int32 [steps] for text), the sequences one after the other. 8 bytes give the length of the header
(little-endian), the header says in JSON where each tensor is, and the bytes of the tensors follow
(https://huggingface.co/docs/safetensors). The library itself can neither write as a stream nor map into memory.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from lnfgen.data.download import cache_folder
from lnfgen.errors import OutputError
from lnfgen.files import make_folder, read_object, set_usual_permissions, sha256_of, write_text

REMEMBERED_BYTES = 32 << 20
"""A shard of this size or more is hashed once, and then its hash is remembered in the cache. Smaller ones are hashed
each time that they are opened, which takes a few hundredths of a second."""

# The types of tensors by their names in safetensors.
_DTYPES: dict[str, np.dtype[Any]] = {"U8": np.dtype("<u1"), "I32": np.dtype("<i4"), "I64": np.dtype("<i8")}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class ShardWriter:
    """Writes a shard from blocks of whole sequences, and hashes it on the way. The bytes are those of the library.

    with ShardWriter(path, lengths, np.empty((0, 88), np.uint8)) as shard:
        shard.write(first_block)
        shard.write(second_block)
    shard.sha256
    """

    def __init__(self, path: Path, lengths: np.ndarray, none: np.ndarray) -> None:
        """
        Args:
            lengths: int `[N]`, the steps of each sequence, which come first in the file.
            none: values without a step, of the type and with the other axes of all values.
        """
        offsets = np.zeros(len(lengths) + 1, _DTYPES["I64"])
        np.cumsum(lengths, out=offsets[1:])
        self.num_steps = int(offsets[-1])
        self._none = none
        size = self.num_steps * int(np.prod(none.shape[1:])) * none.itemsize
        shapes = {"offsets": offsets.shape, "values": (self.num_steps, *none.shape[1:])}
        header = json.dumps(
            {
                name: {"dtype": _NAMES[dtype], "shape": list(shapes[name]), "data_offsets": [start, end]}
                for name, dtype, start, end in (
                    ("offsets", offsets.dtype, 0, offsets.nbytes),
                    ("values", none.dtype, offsets.nbytes, offsets.nbytes + size),
                )
            },
            separators=(",", ":"),
        ).encode()
        header += b" " * (-len(header) % 8)
        self._left = self.num_steps
        self._digest = hashlib.sha256()
        self._file = open(path, "wb")  # noqa: SIM115  # closed by __exit__
        self._put(len(header).to_bytes(8, "little") + header)
        self._put(offsets.tobytes())

    def write(self, values: np.ndarray) -> None:
        """Add the values `[steps]` or `[steps, P]` of the next sequences, joined."""
        if values.dtype != self._none.dtype or values.shape[1:] != self._none.shape[1:]:
            expected = f"{self._none.dtype} {['steps', *self._none.shape[1:]]}"
            raise TypeError(f"found values {values.dtype} {list(values.shape)}, expected {expected}")
        self._left -= len(values)
        self._put(values.tobytes())

    def _put(self, content: bytes) -> None:
        self._digest.update(content)
        self._file.write(content)

    @property
    def sha256(self) -> str:
        """That of the file, once all is written."""
        return self._digest.hexdigest()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with self._file as file:
            if error is None:
                assert self._left == 0, f"{self._left} steps fewer than the lengths say"
                file.flush()
                os.fsync(file.fileno())
        set_usual_permissions(Path(self._file.name))


def map_tensors(shard: Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file, mapped into memory and read-only; the library would copy them instead.

    Raises:
        OSError: if the file cannot be read.
        KeyError, TypeError, ValueError: if it is no such file.
    """
    content: np.ndarray = np.memmap(shard, np.uint8, mode="r")
    start = 8 + int.from_bytes(content[:8].tobytes(), "little")
    tensors = {}
    for name, entry in json.loads(content[8:start].tobytes()).items():
        begin, end = entry["data_offsets"]
        data = content[start + begin : start + end].view(_DTYPES[entry["dtype"]])
        tensors[name] = np.asarray(data.reshape(entry["shape"]))  # a plain array: slicing a np.memmap is slow
    return tensors


def hash_of_shard(shard: Path) -> str:
    """The SHA-256 of a shard. It is not computed again for a large file that has not changed since it was hashed last.

    Whether it has changed is told by its size, its time of modification, and the time that the system notes at any
    change of it, which no program can set. So one that is copied or replaced is hashed again.

    Raises:
        OSError: if the file cannot be read.
    """
    state = _state(shard)
    if state["size"] < REMEMBERED_BYTES:
        return sha256_of(shard)
    try:
        known = read_object(_memory_of(shard))
        if {key: known.get(key) for key in state} == state and isinstance(known.get("sha256"), str):
            return known["sha256"]
    except (OSError, ValueError):  # it is not known
        pass
    found = sha256_of(shard)
    remember_hash(shard, found, state)
    return found


def remember_hash(shard: Path, sha256: str, state: dict[str, Any] | None = None) -> None:
    """Keep the SHA-256 of a large shard in the cache, if that can be written, for `hash_of_shard`."""
    state = state or _state(shard)
    if state["size"] < REMEMBERED_BYTES:
        return
    memory = _memory_of(shard)
    try:
        make_folder(memory.parent)
        write_text(memory, json.dumps({**state, "sha256": sha256}) + "\n")
    except OutputError:  # then it is hashed again next time
        pass


def _state(shard: Path) -> dict[str, Any]:
    found = os.stat(shard)
    times = {"modified_ns": found.st_mtime_ns, "changed_ns": found.st_ctime_ns}
    return {"path": str(shard.resolve()), "size": found.st_size, **times, "file": found.st_ino}


def _memory_of(shard: Path) -> Path:
    name = hashlib.sha256(os.fsencode(shard.resolve())).hexdigest()[:16]
    return cache_folder() / "checked" / f"{name}.json"
