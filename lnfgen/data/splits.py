"""Which pieces go to train, valid and test: as the names of their files say, at random, or by a hash of their names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lnfgen.conventions import SPLITS

_SPLIT_WORDS = dict.fromkeys(("train", "training"), "train")
_SPLIT_WORDS |= dict.fromkeys(("valid", "validation", "val", "dev"), "valid") | {"test": "test"}


def split_of_label(label: str) -> str | None:
    """The split that the name of a file or of its folder says, as in `ptb.train.txt` and `train/song.mid`."""
    path = Path(label.lower())
    words = [*path.parent.parts, *re.split(r"[^a-z]+", path.stem)]
    return next((_SPLIT_WORDS[word] for word in reversed(words) if word in _SPLIT_WORDS), None)


def given_splits(labels: Sequence[str]) -> tuple[dict[str, list[int]] | None, list[dict[str, str]]]:
    """The splits that the names of files say, as indices into `labels`; and {path, reason} of the files that say none.

    The first is None where the names are not meant as splits, for a song may well be called "Train". That is so if none
    says train, if none says another split, or if most say nothing.
    """
    named = [split_of_label(label) for label in labels]
    strays = [label for label, split in zip(labels, named, strict=True) if split is None]
    if "train" not in named or len(set(named) - {None}) < 2 or 2 * len(strays) > len(labels):
        return None, []
    reason = "its name gives no split (train, valid, test), as most of the others' do"
    splits = {split: [index for index, name in enumerate(named) if name == split] for split in SPLITS}
    return splits, [{"path": label, "reason": reason} for label in dict.fromkeys(strays)]


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
    """The numbers from 0 to `count` - 1 divided among the splits, in rising order within each."""
    order = np.random.default_rng(seed).permutation(count)
    parts = np.split(order, np.cumsum(split_counts(count, shares))[:-1])
    return {name: sorted(part.tolist()) for name, part in zip(SPLITS, parts, strict=True)}


def split_by_hash(name: str) -> str:
    """The split of the piece with this name: 1 in 10 is valid and 1 in 10 is test.

    A hash of the name decides, so a piece keeps its split when others come or go.
    """
    return {0: "valid", 1: "test"}.get(hashlib.sha256(name.encode()).digest()[0] % 10, "train")
