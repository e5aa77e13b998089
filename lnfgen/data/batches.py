"""Sequences padded into batches of tensors. No other module of `lnfgen.data` imports torch."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

# so many batches are sorted by length together: little is padding, and epochs still differ
BUCKET_BATCHES = 32


class Batch(NamedTuple):
    """Some sequences of a split."""

    x: Tensor  # [B, T] of text or [B, T, R, P] of music, padded with 0 at the end
    lengths: Tensor  # [B], the steps of each sequence
    indices: list[int]  # the place of each sequence in the split
    # [B, 3], the time signature of each where it is known, as `Encoding.bar_shapes` gives it
    bar_shapes: Tensor | None = None
    # int64 [B], the home of each piece of music, as `Encoding.homes` gives it
    homes: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        bar_shapes = None if self.bar_shapes is None else self.bar_shapes.to(device)
        homes = None if self.homes is None else self.homes.to(device)
        return Batch(self.x.to(device), self.lengths.to(device), self.indices, bar_shapes, homes)


def collate(
    sequences: Sequence[np.ndarray],
    indices: list[int],
    bar_shapes: np.ndarray | None = None,
    homes: np.ndarray | None = None,
) -> Batch:
    """The batch of these sequences, `[T_i]` or `[T_i, R, P]`, padded to the length of the longest.

    `indices` are their places in a split, and `bar_shapes` `[N, 3]` are those of all sequences of
    the split. `homes` `[B]` are those of these sequences, which may have been transposed.
    """
    x = pad_sequence([torch.tensor(sequence) for sequence in sequences], batch_first=True)
    own_bar_shapes = None if bar_shapes is None else torch.from_numpy(bar_shapes[indices])
    own_homes = None if homes is None else torch.from_numpy(homes)
    return Batch(x, torch.from_numpy(lengths_of(sequences)), indices, own_bar_shapes, own_homes)


def shuffled_batches(
    lengths: np.ndarray, batch_size: int, seed: int, start: int = 0
) -> Iterator[list[int]]:
    """The batches of an epoch from number `start` on, as indices.

    Similar lengths come together, and the rest is random.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(lengths))
    bucket = batch_size * BUCKET_BATCHES
    for first in range(0, len(order), bucket):
        inside = order[first : first + bucket]
        order[first : first + bucket] = inside[np.argsort(lengths[inside], kind="stable")]
    num_batches = -(-len(order) // batch_size)
    for first in batch_size * rng.permutation(num_batches)[start:]:
        # one by one: all lists of a large corpus fill the memory
        yield order[first : first + batch_size].tolist()


def shuffled_epochs(
    lengths: np.ndarray, batch_size: int, seed_of: Callable[[int], int], start: int = 0
) -> Iterator[list[int]]:
    """The batches of `shuffled_batches`, epoch after epoch, from number `start` on.

    `seed_of` seeds each epoch.
    """
    epoch, position = divmod(start, -(-len(lengths) // batch_size))
    for number in itertools.count(epoch):
        yield from shuffled_batches(lengths, batch_size, seed_of(number), position)
        position = 0


def lengths_of(sequences: Sequence[np.ndarray]) -> np.ndarray:
    """The steps of each sequence, int64 `[N]`. A split knows them without reading its sequences."""
    lengths = getattr(sequences, "lengths", None)
    if lengths is None:
        return np.array([len(sequence) for sequence in sequences])
    return lengths


def batches_by_length(sequences: Sequence[np.ndarray], max_steps: int) -> Iterator[Batch]:
    """All sequences in batches of up to `max_steps` padded steps, the shortest first.

    A longer one is by itself.
    """
    lengths = lengths_of(sequences)
    bar_shapes = getattr(sequences, "bar_shapes", None)
    homes = getattr(sequences, "homes", None)
    groups: list[list[int]] = []
    for index in np.argsort(lengths, kind="stable").tolist():
        has_room = groups and (len(groups[-1]) + 1) * int(lengths[index]) <= max_steps
        if not has_room:
            groups.append([])
        groups[-1].append(index)
    for group in groups:
        own_homes = None if homes is None else homes[group]
        yield collate([sequences[i] for i in group], group, bar_shapes, own_homes)
