"""A shard: the safetensors file that holds the sequences of one split.

It has two tensors: `values` (uint8 [steps, P] for music, int32 [steps] for text), the sequences one after the other,
and `offsets` (int64 [N + 1]), where each sequence starts and the last one ends.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lnfgen.data.encoding import Encoding
from lnfgen.errors import DatasetError

# What safetensors and numpy call the type of a value.
_TYPES: dict[str, tuple[str, np.dtype[Any]]] = {"music": ("U8", np.dtype("<u1")), "text": ("I32", np.dtype("<i4"))}
_OFFSETS_TYPE = ("I64", np.dtype("<i8"))
_MAX_HEADER = 1 << 20  # bytes; the header of a shard describes two tensors only


def shard_bytes(sequences: Sequence[np.ndarray], encoding: Encoding) -> tuple[bytes, int]:
    """The content of a shard, and how many steps it has.

    Raises:
        DatasetError: if a sequence is empty or has not the type and shape of the encoding.
    """
    from safetensors.numpy import save

    dtype, width = _TYPES[encoding.kind][1], _width(encoding)
    for sequence in sequences:
        if sequence.dtype != dtype or sequence.shape[1:] != width or len(sequence) < 1:
            raise DatasetError(f"a sequence of {sequence.dtype} {list(sequence.shape)}; expected {dtype} [T, *{width}]")
    values = np.concatenate(sequences) if sequences else np.empty((0, *width), dtype)
    offsets = np.cumsum([0, *map(len, sequences)], dtype=np.int64)
    return save({"values": np.ascontiguousarray(values), "offsets": offsets}), len(values)


def map_shard(shard: Path, encoding: Encoding) -> tuple[np.ndarray, np.ndarray]:
    """The values of a shard, mapped into memory and read-only, and its offsets.

    A mapped file is read as it is used, so that a large dataset does not fill the memory. The safetensors library
    copies whole tensors instead, so the file is read here: 8 bytes give the length of the header (little-endian), the
    header says in JSON where each tensor is, and the bytes of the tensors follow
    (https://huggingface.co/docs/safetensors).

    Raises:
        ValueError: if the file is no shard of this encoding.
        OSError: if it cannot be read.
    """
    with open(shard, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > _MAX_HEADER:
            raise ValueError("a header too long")
        header = json.loads(file.read(size))
    start = 8 + size
    try:
        values = _map_tensor(shard, start, header["values"], *_TYPES[encoding.kind], _width(encoding))
        offsets = _map_tensor(shard, start, header["offsets"], *_OFFSETS_TYPE, ())
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"a header without sense ({error})") from None
    if len(offsets) < 1:
        raise ValueError("no offsets")
    return values, np.array(offsets, dtype=np.int64)


def _map_tensor(
    shard: Path, start: int, entry: Any, code: str, dtype: np.dtype[Any], width: tuple[int, ...]
) -> np.ndarray:
    """The tensor that an entry of the header describes; `start` is where the header ends."""
    shape = tuple(map(int, entry["shape"]))
    begin, end = map(int, entry["data_offsets"])
    expected = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    if entry["dtype"] != code or end - begin != expected or not 0 <= begin <= end <= shard.stat().st_size - start:
        raise ValueError("a tensor of the wrong type or size")
    if len(shape) < 1 or shape[1:] != width:
        raise ValueError(f"a tensor of shape {list(shape)}")
    if not expected:  # an empty part of a file cannot be mapped
        return np.empty(shape, dtype)
    # A plain array: indexing a np.memmap makes another np.memmap each time, which is slow.
    return np.asarray(np.memmap(shard, dtype, mode="r", offset=start + begin, shape=shape))


def _width(encoding: Encoding) -> tuple[int, ...]:
    """The shape of one step."""
    return (encoding.num_pitches,) if encoding.kind == "music" else ()
