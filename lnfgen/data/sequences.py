"""The encoded sequences of all splits on their way into a dataset folder, in memory or as a stream from the disk."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np

BLOCK_BYTES = 1 << 20
_TOGETHER = 64  # sequences in memory that go on together


class Sequences(Protocol):
    """The sequences of all splits, which can be gone through several times. Their lengths are known before."""

    @property
    def lengths(self) -> Mapping[str, np.ndarray]:
        """int64 [N], the steps of each sequence, for each split."""

    def blocks(self) -> Iterator[tuple[str, np.ndarray]]:
        """Whole sequences of a split, joined: `[steps]` or `[steps, P]`. Those of each split come in their order."""


class InMemory:
    """Sequences in lists."""

    def __init__(self, splits: Mapping[str, Sequence[np.ndarray]]) -> None:
        self.lengths = {name: np.array([*map(len, items)], np.int64) for name, items in splits.items()}
        self._splits = splits

    def blocks(self) -> Iterator[tuple[str, np.ndarray]]:
        for name, items in self._splits.items():
            for start in range(0, len(items), _TOGETHER):
                yield name, np.concatenate(items[start : start + _TOGETHER])


class Spool:
    """Sequences that are kept in a file for each split as they come, because how many there are is known last."""

    def __init__(self, folder: Path, splits: Iterable[str], none: np.ndarray) -> None:
        """
        Args:
            folder: where the files go. They stay until the folder is removed.
            none: values without a step, of the type and with the other axes of all values.
        """
        self._none = none
        self._files = {name: folder / f"{name}.values" for name in splits}
        self._lengths = {name: array("q") for name in self._files}
        for file in self._files.values():
            file.write_bytes(b"")

    def extend(self, split: str, sequences: Iterable[np.ndarray]) -> None:
        """Add sequences to a split."""
        with open(self._files[split], "ab") as file:
            for values in sequences:
                self._lengths[split].append(len(values))
                file.write(values.astype(self._none.dtype, copy=False).tobytes())

    @property
    def lengths(self) -> Mapping[str, np.ndarray]:
        return {name: np.array(lengths, np.int64) for name, lengths in self._lengths.items()}

    def blocks(self) -> Iterator[tuple[str, np.ndarray]]:
        width = int(np.prod(self._none.shape[1:])) * self._none.itemsize
        for name, lengths in self._lengths.items():
            with open(self._files[name], "rb") as file:
                waiting = 0
                for index, length in enumerate(lengths):
                    waiting += length
                    if waiting * width >= BLOCK_BYTES or index == len(lengths) - 1:
                        content = np.frombuffer(file.read(waiting * width), self._none.dtype)
                        yield name, content.reshape(waiting, *self._none.shape[1:])
                        waiting = 0


class SharedWithTrain:
    """Passes sequences on, and counts those of valid and test that are in train as well.

    Of each sequence Python's 64-bit hash is kept: two of a million sequences are taken for one with a probability of
    1 in 10 million.
    """

    def __init__(self, sequences: Sequences) -> None:
        self.lengths = sequences.lengths
        self._sequences = sequences
        self._hashes = {name: np.zeros(len(lengths), np.int64) for name, lengths in self.lengths.items()}

    def blocks(self) -> Iterator[tuple[str, np.ndarray]]:
        done = dict.fromkeys(self.lengths, 0)
        offsets = {name: np.concatenate([[0], np.cumsum(lengths)]) for name, lengths in self.lengths.items()}
        for name, values in self._sequences.blocks():
            first, own = done[name], offsets[name]
            last = int(np.searchsorted(own, own[first] + len(values)))
            places = ((own[first : last + 1] - own[first]) * values[:1].nbytes).tolist()
            content = values.tobytes()
            hashes = [hash(content[start:end]) for start, end in pairwise(places)]
            self._hashes[name][first:last] = hashes
            done[name] = last
            yield name, values

    def __str__(self) -> str:
        """How many they are, in words; empty if there are none. It is known after all blocks have been passed on."""
        train = np.sort(self._hashes["train"])  # np.unique and np.isin take ten times as long
        counts = {
            name: int((train.take(np.searchsorted(train, own), mode="clip") == own).sum())
            for name, own in self._hashes.items()
            if name != "train" and len(own)
        }
        counts = {name: count for name, count in counts.items() if count}
        shared = [f"{count:,} of {len(self.lengths[name]):,} in {name}" for name, count in counts.items()]
        return f"sequences that train holds as well: {', '.join(shared)}" if shared else ""
