"""Bounds on raw parameters, which keep log-determinants finite for every output of a network."""

from functools import lru_cache

import torch
from torch import Tensor

LOG_SCALE_BOUND = 5.0
"""|log scale| stays below this. A latent of unit scale needs less than e^5 = 148 per layer, and ten
such layers stay within float32 (e^88). The reference implementation has no bound and overflows."""


def bounded(raw: Tensor, bound: float) -> Tensor:
    """A smooth map from all real numbers to (-bound, bound), with slope 1 at 0."""
    size = constant(bound, raw)
    return size * torch.tanh(raw / size)


def constant(value: float | tuple[float, ...], like: Tensor) -> Tensor:
    """A number as a tensor `[]`, or several as one `[n]`, of the dtype and device of `like`.

    Arithmetic with it is faster than with floats.
    """
    return _constant(value, like.dtype, like.device)


@lru_cache(maxsize=256)
def _constant(value: float | tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    # the cached tensor must also work where gradients are recorded
    with torch.inference_mode(False):
        return torch.tensor(value, dtype=dtype, device=device)
