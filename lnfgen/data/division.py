"""Which pieces go to train, valid and test: as the names of their files say, by shares, or by a
hash of their names.

Copies go before that. Otherwise the scores of valid and test say how well the model remembers
pieces of train.
"""

import hashlib
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from lnfgen.conventions import SPLITS
from lnfgen.data.dataset import Record

_Item = TypeVar("_Item")
_SPLIT_WORDS = {"train": "train", "training": "train", "test": "test"}
_SPLIT_WORDS |= dict.fromkeys(("valid", "validation", "val", "dev"), "valid")


def distinct(
    items: Iterable[tuple[str, _Item]],
    content: Callable[[_Item], Hashable],
    same: str,
    copies: list[Record],
) -> Iterator[tuple[str, _Item]]:
    """The (label, item) pairs without those that have the content of an earlier one, as they come.

    Args:
        same: what copies share, for the reason: "the same notes".
        copies: gets {path, reason} of each pair that is left out.
    """
    first: dict[Hashable, str] = {}
    for label, item in items:
        if (original := first.setdefault(content(item), label)) is label:
            yield label, item
        else:
            copies.append({"path": label, "reason": f"it holds {same} as {original}"})


def split_of_label(label: str) -> str | None:
    """The split that the name of a file or of its folder says, as in `ptb.train.txt` and
    `train/song.mid`."""
    path = Path(label.lower())
    words = [*path.parent.parts, *re.split(r"[^a-z]+", path.stem)]
    return next((_SPLIT_WORDS[word] for word in reversed(words) if word in _SPLIT_WORDS), None)


def splits_by_name(labels: Sequence[str]) -> dict[str, str]:
    """The split of each file whose name says one, if one says train, one says another split, and
    most say some split.

    Otherwise none: a song may well be called "Train".
    """
    named = {label: split for label in labels if (split := split_of_label(label))}
    enough = 2 * sum(label in named for label in labels) >= len(labels)
    return named if enough and "train" in named.values() and len(set(named.values())) > 1 else {}


def num_splits(shares: Sequence[float]) -> int:
    """How many splits these shares ask for."""
    return sum(share > 0 for share in shares)


def in_random_order(labels: Iterable[str], seed: int) -> list[int]:
    """The places of the labels in the order of a hash of each, so that an order does not depend on
    the other labels."""
    keys = [
        hashlib.sha256(f"{seed} {label}".encode(errors="surrogateescape")).digest()
        for label in labels
    ]
    return sorted(range(len(keys)), key=keys.__getitem__)


def deal(
    items: Iterable[_Item], shares: Sequence[float], size: Callable[[_Item], int]
) -> Iterator[tuple[str, _Item]]:
    """Each item with its split, as they come: the one that is furthest behind its share, an empty
    one first.

    So the sums of the sizes are always within about an item of the shares. How many items come need
    not be known.
    """
    sums, total = [0] * len(SPLITS), 0
    for item in items:
        added = size(item)
        total += added
        behind = [
            (share > 0 and not own, share * total - own)
            for share, own in zip(shares, sums, strict=True)
        ]
        chosen = behind.index(max(behind))
        sums[chosen] += added
        yield SPLITS[chosen], item


def split_counts(count: int, shares: Sequence[float]) -> list[int]:
    """How many of `count` items each split gets.

    The shares are rounded so that the counts add up (largest remainder first). If there are as many
    items as splits whose share is above 0, each of these gets at least one. Train always does.
    """
    exact = [share * count for share in shares]
    counts = [int(value + 1e-9) for value in exact]
    while sum(counts) < count:
        counts[max(range(3), key=lambda index: (exact[index] - counts[index], shares[index]))] += 1
    for index in (0, 1, 2):
        if (
            shares[index] > 0
            and counts[index] == 0
            and (count >= num_splits(shares) or (index == 0 and count))
        ):
            counts[max(range(3), key=counts.__getitem__)] -= 1
            counts[index] += 1
    return counts


def split_at_random(
    items: Sequence[_Item], shares: Sequence[float], seed: int
) -> dict[str, list[_Item]]:
    """The items divided among the splits; within each they are in the order that they had."""
    owner = np.empty(len(items), np.int8)
    owner[np.random.default_rng(seed).permutation(len(items))] = np.repeat(
        range(3), split_counts(len(items), shares)
    )
    return {
        name: [items[i] for i in np.flatnonzero(owner == code).tolist()]
        for code, name in enumerate(SPLITS)
    }


def split_in_order(count: int, shares: Sequence[float]) -> dict[str, slice]:
    """Where to cut `count` items that follow one another: first what train gets, then valid, then
    test."""
    train, valid, _ = split_counts(count, shares)
    return {
        "train": slice(0, train),
        "valid": slice(train, train + valid),
        "test": slice(train + valid, count),
    }


def split_by_hash(name: str) -> str:
    """The split of the piece with this name, by a hash of the name alone: 1 in 10 is valid and 1 in
    10 is test."""
    return {0: "valid", 1: "test"}.get(hashlib.sha256(name.encode()).digest()[0] % 10, "train")
