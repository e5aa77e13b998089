"""Which pieces go to train, valid and test: as the names of their files say, at random, or by a hash of their names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from lnfgen.conventions import SPLITS

_Item = TypeVar("_Item")
_SPLIT_WORDS = dict.fromkeys(("train", "training"), "train")
_SPLIT_WORDS |= dict.fromkeys(("valid", "validation", "val", "dev"), "valid") | {"test": "test"}


def split_of_label(label: str) -> str | None:
    """The split that the name of a file or of its folder says, as in `ptb.train.txt` and `train/song.mid`."""
    path = Path(label.lower())
    words = [*path.parent.parts, *re.split(r"[^a-z]+", path.stem)]
    return next((_SPLIT_WORDS[word] for word in reversed(words) if word in _SPLIT_WORDS), None)


def splits_by_name(labels: Sequence[str]) -> dict[str, str]:
    """The split of each file whose name says one; none of them where the names are not meant as splits.

    A song may well be called "Train". So the names count only if one says train, one says another split, and most say
    some split.
    """
    named = {label: split for label in labels if (split := split_of_label(label))}
    enough = 2 * sum(label in named for label in labels) >= len(labels)
    return named if enough and "train" in named.values() and len(set(named.values())) > 1 else {}


def split_counts(count: int, shares: Sequence[float]) -> list[int]:
    """How many of `count` pieces each split gets.

    The shares are rounded so that the counts add up (largest remainder first). If there are as many pieces as splits
    whose share is above 0, each of these gets at least one. Train always does.
    """
    exact = [share * count for share in shares]
    counts = [int(value + 1e-9) for value in exact]
    while sum(counts) < count:
        counts[max(range(3), key=lambda index: (exact[index] - counts[index], shares[index]))] += 1
    for index in (0, 1, 2):
        if shares[index] > 0 and counts[index] == 0 and (count >= num_splits(shares) or (index == 0 and count)):
            counts[max(range(3), key=counts.__getitem__)] -= 1
            counts[index] += 1
    return counts


def num_splits(shares: Sequence[float]) -> int:
    """How many splits these shares ask for."""
    return sum(share > 0 for share in shares)


def split_at_random(items: Sequence[_Item], shares: Sequence[float], seed: int) -> dict[str, list[_Item]]:
    """The items divided among the splits; within each they are in the order that they had."""
    owner = random_owners(len(items), shares, seed)
    return {name: [items[i] for i in np.flatnonzero(owner == code).tolist()] for code, name in enumerate(SPLITS)}


def random_owners(count: int, shares: Sequence[float], seed: int) -> np.ndarray:
    """int8 [count]: for each item the number of its split in `SPLITS`."""
    order = np.random.default_rng(seed).permutation(count)
    owner = np.empty(count, np.int8)
    owner[order] = np.repeat(np.arange(len(SPLITS), dtype=np.int8), split_counts(count, shares))
    return owner


def split_in_order(count: int, shares: Sequence[float]) -> dict[str, slice]:
    """Where to cut `count` items that follow one another: first what train gets, then valid, then test."""
    train, valid, _ = split_counts(count, shares)
    return {"train": slice(0, train), "valid": slice(train, train + valid), "test": slice(train + valid, count)}


def split_by_hash(name: str) -> str:
    """The split of the piece with this name: 1 in 10 is valid and 1 in 10 is test.

    A hash of the name decides, so a piece keeps its split when others come or go.
    """
    return {0: "valid", 1: "test"}.get(hashlib.sha256(name.encode()).digest()[0] % 10, "train")
