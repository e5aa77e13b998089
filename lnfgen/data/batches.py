"""Sequences of a split, padded into batches of tensors: the one file of the data wing that knows torch."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

BUCKET_BATCHES = 32
"""Batches that are sorted by length together: padding falls to a few percent, and batches still differ from epoch to
epoch."""


class Batch(NamedTuple):
    """x `[B, T]` or `[B, T, P]`, padded with 0; lengths `[B]`; indices: where in the split each came from."""

    x: Tensor
    lengths: Tensor
    indices: list[int]

    def to(self, device: torch.device) -> "Batch":
        return Batch(self.x.to(device), self.lengths.to(device), self.indices)


def collate(sequences: Sequence[np.ndarray], indices: list[int]) -> Batch:
    """Pad sequences `[T_i]` or `[T_i, P]` to the longest."""
    lengths = [len(sequence) for sequence in sequences]
    x = np.zeros((len(sequences), max(lengths), *sequences[0].shape[1:]), sequences[0].dtype)
    for row, sequence in zip(x, sequences, strict=True):
        row[: len(sequence)] = sequence
    return Batch(torch.from_numpy(x), torch.tensor(lengths), indices)


def shuffled_batches(lengths: np.ndarray, batch_size: int, seed: int) -> list[list[int]]:
    """One epoch's batches, as indices: every sequence once, similar lengths together, in an order that `seed` alone
    decides."""
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
    """All sequences, shortest first, as many a batch as keep its padded size within `max_steps`; at least one, never
    cut."""
    order = np.argsort([len(sequence) for sequence in sequences], kind="stable").tolist()
    group: list[int] = []
    for index in order:
        if group and (len(group) + 1) * len(sequences[index]) > max_steps:
            yield collate([sequences[i] for i in group], group)
            group = []
        group.append(index)
    if group:
        yield collate([sequences[i] for i in group], group)
