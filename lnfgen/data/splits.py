"""Which pieces go to train, valid and test.

Names of files decide it, or shares, or a hash of the names of the pieces. Copies go before that.
Otherwise the scores of valid and test say how well the model remembers pieces of train.
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
    """The (label, item) pairs as they come, without those with the content of an earlier one.

    Args:
        same: what copies share, for the reason: "the same notes".
        copies: gets {path, reason} of each pair that is left out.
    """
    first: dict[Hashable, str] = {}
    for label, item in items:
        original = first.setdefault(content(item), label)
        if original is label:
            yield label, item
        else:
            copies.append({"path": label, "reason": f"it holds {same} as {original}"})


def split_of_label(label: str) -> str | None:
    """The split that the name of a file or its folder says: `ptb.train.txt`, `train/song.mid`."""
    path = Path(label.lower())
    words = [*path.parent.parts, *re.split(r"[^a-z]+", path.stem)]
    for word in reversed(words):
        if word in _SPLIT_WORDS:
            return _SPLIT_WORDS[word]
    return None


def splits_by_name(labels: Sequence[str]) -> dict[str, str]:
    """The split of each file whose name says one.

    It is empty unless one file says train, one another split, and most say some split: a song may
    well be called "Train".
    """
    named: dict[str, str] = {}
    for label in labels:
        split = split_of_label(label)
        if split is not None:
            named[label] = split
    are_most = 2 * sum(label in named for label in labels) >= len(labels)
    found = set(named.values())
    if are_most and "train" in found and len(found) > 1:
        return named
    return {}


def num_splits(shares: Sequence[float]) -> int:
    """How many splits these shares ask for."""
    return sum(share > 0 for share in shares)


def in_random_order(labels: Iterable[str], seed: int) -> list[int]:
    """The places of the labels in the order of a hash of each.

    So the order of two labels does not depend on the others.
    """
    keys: list[bytes] = []
    for label in labels:
        seeded = f"{seed} {label}".encode(errors="surrogateescape")
        keys.append(hashlib.sha256(seeded).digest())
    return sorted(range(len(keys)), key=keys.__getitem__)


def deal(
    items: Iterable[_Item],
    shares: Sequence[float],
    size: Callable[[_Item], int],
    song: Callable[[_Item], Hashable] | None = None,
) -> Iterator[tuple[str, _Item]]:
    """Each item with its split, as they come.

    It goes to the split that is furthest behind its share, an empty one first. So the sums of the
    sizes are always within about an item of the shares. How many items come need not be known.

    Args:
        song: items with the same value of it go to one split; by default each item for itself.
    """
    sums = [0] * len(SPLITS)
    total = 0
    place_of: dict[Hashable, int] = {}  # of songs
    for number, item in enumerate(items):
        own = number if song is None else song(item)
        added = size(item)
        total += added
        if own not in place_of:
            behind = []
            for share, dealt in zip(shares, sums, strict=True):
                is_empty = share > 0 and dealt == 0
                behind.append((is_empty, share * total - dealt))
            place_of[own] = behind.index(max(behind))
        chosen = place_of[own]
        sums[chosen] += added
        yield SPLITS[chosen], item


def split_counts(count: int, shares: Sequence[float]) -> list[int]:
    """How many of `count` items each split gets.

    The shares are rounded so that the counts add up (largest remainder first). If there are as many
    items as splits whose share is above 0, each of these gets at least one. Train always does.
    """
    exact = [share * count for share in shares]
    counts = [int(value + 1e-9) for value in exact]

    def remainder(index: int) -> tuple[float, float]:
        return exact[index] - counts[index], shares[index]

    places = range(len(SPLITS))
    while sum(counts) < count:
        counts[max(places, key=remainder)] += 1
    for index in places:
        is_train = index == 0
        gets_one = shares[index] > 0 and (count >= num_splits(shares) or (is_train and count > 0))
        if gets_one and counts[index] == 0:
            counts[counts.index(max(counts))] -= 1
            counts[index] += 1
    return counts


def split_at_random(
    items: Sequence[_Item], shares: Sequence[float], seed: int
) -> dict[str, list[_Item]]:
    """The items divided among the splits; within each they are in the order that they had."""
    owner = np.empty(len(items), np.int8)
    order = np.random.default_rng(seed).permutation(len(items))
    owner[order] = np.repeat(range(len(SPLITS)), split_counts(len(items), shares))
    splits: dict[str, list[_Item]] = {}
    for number, name in enumerate(SPLITS):
        splits[name] = [items[place] for place in np.flatnonzero(owner == number).tolist()]
    return splits


def split_in_order(count: int, shares: Sequence[float]) -> dict[str, slice]:
    """Where to cut `count` items that follow one another: first train, then valid, then test."""
    train, valid, _ = split_counts(count, shares)
    return {
        "train": slice(0, train),
        "valid": slice(train, train + valid),
        "test": slice(train + valid, count),
    }


def split_by_hash(name: str) -> str:
    """The split of the piece with this name, by a hash of the name alone.

    1 in 10 is valid, and 1 in 10 is test.
    """
    last_digit = hashlib.sha256(name.encode()).digest()[0] % 10
    return {0: "valid", 1: "test"}.get(last_digit, "train")
