"""Sequences padded into batches of tensors. No other module of `lnfgen.data` imports torch."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lnfgen.waiting import pinned

BUCKET_BATCHES = 32
"""The sequences of so many batches are sorted by length together. Then only a few percent of a batch is padding, and
the batches of each epoch still differ."""


class Batch(NamedTuple):
    """Some sequences of a split."""

    x: Tensor  # [B, T] of text or [B, T, P] of music, padded with 0 at the end
    lengths: Tensor  # [B], the steps of each sequence
    indices: list[int]  # the place of each sequence in the split

    def pinned(self, device: torch.device) -> "Batch":
        """The same in memory from which a copy to the device need not be waited for."""
        return Batch(pinned(self.x, device), pinned(self.lengths, device), self.indices)

    def to(self, device: torch.device) -> "Batch":
        x, lengths = (part.to(device, non_blocking=True) for part in (self.x, self.lengths))
        return Batch(x, lengths, self.indices)


def collate(sequences: Sequence[np.ndarray], indices: list[int]) -> Batch:
    """The batch of these sequences, `[T_i]` or `[T_i, P]`, all padded to the length of the longest."""
    lengths = [len(sequence) for sequence in sequences]
    x = np.zeros((len(sequences), max(lengths), *sequences[0].shape[1:]), sequences[0].dtype)
    for row, sequence in zip(x, sequences, strict=True):
        row[: len(sequence)] = sequence
    return Batch(torch.from_numpy(x), torch.tensor(lengths), indices)


def transposed(sequences: Sequence[np.ndarray], semitones: int, seed: int) -> list[np.ndarray]:
    """Each sequence `[T, P]` moved by a random number of semitones that keeps all its keys inside."""
    rng = np.random.default_rng(seed)
    moved: list[np.ndarray] = []
    for sequence in sequences:
        used = np.flatnonzero(sequence.any(0))
        low, high = (used[0], sequence.shape[1] - 1 - used[-1]) if len(used) else (0, 0)
        move = int(rng.integers(-min(semitones, low), min(semitones, high) + 1))
        moved.append(np.roll(sequence, move, 1))
    return moved


def shuffled_batches(lengths: np.ndarray, batch_size: int, seed: int) -> list[list[int]]:
    """The batches of one epoch, as indices: each sequence once, those of similar lengths together, the rest at random.

    The result depends on the lengths, the batch size and `seed` only.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(lengths))
    bucket = batch_size * BUCKET_BATCHES
    batches: list[list[int]] = []
    for start in range(0, len(order), bucket):
        inside = order[start : start + bucket]
        inside = inside[np.argsort(lengths[inside], kind="stable")]
        batches += [inside[i : i + batch_size].tolist() for i in range(0, len(inside), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def batches_by_length(sequences: Sequence[np.ndarray], max_steps: int) -> Iterator[Batch]:
    """All sequences in batches, the shortest first.

    A batch has at most `max_steps` steps, padding counted. A longer sequence has a batch of its own: none is ever cut.
    """
    order = np.argsort([len(sequence) for sequence in sequences], kind="stable").tolist()
    group: list[int] = []
    for index in order:
        if group and (len(group) + 1) * len(sequences[index]) > max_steps:
            yield collate([sequences[i] for i in group], group)
            group = []
        group.append(index)
    if group:
        yield collate([sequences[i] for i in group], group)
