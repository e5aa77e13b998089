"""Whether a saved state fits the trainer that is to go on with it: one check for whatever may be wrong in its files."""

import math
from collections.abc import Mapping
from types import NoneType
from typing import Any

import torch
from torch import Tensor


def require_like(expected: Any, found: Any, name: str = "its values") -> None:
    """Check that a part of a saved state has the form of a fresh one: its keys, types and sizes, and possible numbers.

    Where the fresh state has None, a number is expected too.

    Raises:
        ValueError: if it has not; the message names the part.
    """
    if isinstance(expected, dict):
        if not isinstance(found, dict) or found.keys() != expected.keys():
            raise ValueError(f"expected of {name} the keys {', '.join(expected)}")
        for key, value in expected.items():
            require_like(value, found[key], key)
    elif isinstance(expected, Tensor):
        if (found.shape, found.dtype) != (expected.shape, expected.dtype):
            raise ValueError(f"{name}: found {found.dtype} {list(found.shape)}, expected {list(expected.shape)}")
    elif (
        type(found) not in ((float, NoneType) if expected is None else (type(expected),))
        or (isinstance(found, int) and found < 0)
        or (isinstance(found, float) and not math.isfinite(found))
    ):
        raise ValueError(f"{name}: found {found!r:.40}")


def moments_like(parameters: Mapping[str, Tensor], moments: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What AdamW keeps of each parameter that `moments` names: a parameter that no update has changed has no moments.

    Raises:
        KeyError: if there is no parameter of such a name.
    """
    names = {key.rpartition("/")[0] for key in moments}
    sizes = {name: (torch.zeros(()), parameters[name], parameters[name]) for name in sorted(names)}
    keys = ("step", "exp_avg", "exp_avg_sq")
    return {f"{name}/{key}": size for name in sizes for key, size in zip(keys, sizes[name], strict=True)}
