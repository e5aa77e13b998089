"""What comes twice counts once, and no split holds what another one holds: copies of files, pieces and sequences."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

import numpy as np

from lnfgen.data.dataset import Record

_Item = TypeVar("_Item")


def without_copies(
    items: Iterable[tuple[str, _Item]], content: Callable[[_Item], Hashable], same: str
) -> tuple[list[tuple[str, _Item]], list[Record]]:
    """The (label, item) pairs without those that have the content of an earlier one, and {path, reason} of these.

    Copies must go before the pieces are divided among the splits. Otherwise valid and test hold pieces of train, and
    their scores say how well the model remembers, not how well it does on new pieces.

    Args:
        same: what the copies share, for the reason: "the same notes".
    """
    first: dict[Hashable, str] = {}
    kept: list[tuple[str, _Item]] = []
    copies: list[Record] = []
    for label, item in items:
        key = content(item)
        if key in first:
            copies.append({"path": label, "reason": f"it holds {same} as {first[key]}"})
        else:
            first[key] = label
            kept.append((label, item))
    return kept, copies


def digest(*arrays: np.ndarray) -> bytes:
    """A short stand-in for the content of arrays of one type and number of columns."""
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).digest()
