"""Bounds on raw parameters, so that no finite output of a network makes a log-determinant infinite."""

import torch
from torch import Tensor

LOG_SCALE_BOUND = 5.0
"""|log scale| stays below this: e^5 = 148 per layer is more than a latent of unit scale needs, and ten layers of it
stay within float32 (e^88); the reference leaves scales unbounded and overflows."""


def bounded(raw: Tensor, bound: float) -> Tensor:
    """A smooth map of the reals onto (-bound, bound) with slope 1 at 0."""
    size = raw.new_full((), bound)  # a tensor: a Python number takes twice a small tensor's time
    return size * torch.tanh(raw / size)
