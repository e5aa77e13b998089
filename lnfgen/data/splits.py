"""Which pieces go to train, valid and test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from lnfgen.conventions import SPLITS


def split_counts(count: int, shares: Sequence[float]) -> list[int]:
    """How many of `count` pieces each split gets.

    The shares are rounded so that the counts add up (largest remainder first). With three pieces or more, each split
    whose share is above 0 gets at least one.
    """
    exact = [share * count for share in shares]
    counts = [int(value + 1e-9) for value in exact]
    while sum(counts) < count:
        counts[max(range(3), key=lambda index: (exact[index] - counts[index], shares[index]))] += 1
    for index in (0, 1, 2):
        if shares[index] > 0 and counts[index] == 0 and (count >= 3 or (index == 0 and count)):
            counts[max(range(3), key=counts.__getitem__)] -= 1
            counts[index] += 1
    return counts


def split_at_random(count: int, shares: Sequence[float], seed: int) -> dict[str, list[int]]:
    """The numbers from 0 to `count` - 1 divided among the splits, in rising order within each.

    split_at_random(10, (0.8, 0.1, 0.1), seed=0)  # 8 numbers under "train", 1 under "valid", 1 under "test"
    """
    order = np.random.default_rng(seed).permutation(count)
    bounds = np.cumsum([0, *split_counts(count, shares)])
    return {name: sorted(order[bounds[index] : bounds[index + 1]].tolist()) for index, name in enumerate(SPLITS)}


def split_by_hash(name: str) -> str:
    """The split of the piece with this name: 1 in 10 is valid and 1 in 10 is test.

    A hash of the name decides, so a piece keeps its split when others come or go.
    """
    return {0: "valid", 1: "test"}.get(hashlib.sha256(name.encode()).digest()[0] % 10, "train")
