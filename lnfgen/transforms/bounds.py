"""Bounds on raw parameters, so that no finite output of a network makes a log-determinant infinite."""

from functools import lru_cache

import torch
from torch import Tensor

LOG_SCALE_BOUND = 5.0
"""|log scale| stays below this: e^5 = 148 per layer is more than a latent of unit scale needs, and ten layers of it
stay within float32 (e^88); the reference leaves scales unbounded and overflows."""


def bounded(raw: Tensor, bound: float) -> Tensor:
    """A smooth map of the reals onto (-bound, bound) with slope 1 at 0."""
    size = constant(bound, raw)
    return size * torch.tanh(raw / size)


def constant(value: float | tuple[float, ...], like: Tensor) -> Tensor:
    """A number as a tensor `[]`, or some as one `[n]`; with it, a small tensor's arithmetic takes half the time that it
    takes with a Python number."""
    return _constant(value, like.dtype, like.device)


@lru_cache(maxsize=256)
def _constant(value: float | tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # where gradients are recorded, it is to be of use as well
        return torch.tensor(value, dtype=dtype, device=device)
