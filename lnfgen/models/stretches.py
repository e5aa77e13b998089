"""A long sequence in stretches of time, so that the memory of a pass does not grow with it.

In training only what a stretch begins with is kept, and the backward pass computes the stretch
again: T. Chen, B. Xu, C. Zhang and C. Guestrin, "Training Deep Nets with Sublinear Memory Cost"
(2016, arXiv 1604.06174). That is a third more arithmetic, so a stretch is as long as memory admits.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

MAX_NUMBERS = 1 << 20
"""The numbers of the widest layer in a stretch without gradients: 50 MB in all, much of which
caches hold."""

MAX_NUMBERS_WITH_GRADIENT = 1 << 23
"""In a stretch whose gradient is computed, which keeps what each layer makes: some 1.3 GB."""

State = TypeVar("State")


def most_at_once(numbers: int) -> int:
    """How many may be computed at once of what has so many numbers in its widest layer.

    It is at least 1.
    """
    most = MAX_NUMBERS_WITH_GRADIENT if torch.is_grad_enabled() else MAX_NUMBERS
    return max(1, most // max(1, numbers))


def in_stretches(
    stretch: Callable[[Tensor, int, int, State | None], tuple[Tensor, State]],
    x: Tensor,
    numbers_per_step: int,
    state: State | None = None,
) -> tuple[Tensor, State]:
    """A causal function of x `[..., T, C]` at all steps, `[..., T, F]`, and the state after them.

    `stretch(x, start, stop, state)` gives it at the steps from `start` to before `stop`, of which x
    is, and the state from which the next stretch continues. `state` is that of the first one.
    """
    num_steps = x.shape[-2]
    num_rows = x.shape[:-2].numel()
    size = most_at_once(num_rows * numbers_per_step)
    if num_steps <= size:
        return stretch(x, 0, num_steps, state)
    found: list[Tensor] = []
    for start in range(0, num_steps, size):
        stop = min(start + size, num_steps)
        own = x[..., start:stop, :]
        if torch.is_grad_enabled():
            y, state = checkpoint(stretch, own, start, stop, state, use_reentrant=False)
        else:
            y, state = stretch(own, start, stop, state)
        found.append(y)
    assert state is not None
    return torch.cat(found, -2), state
