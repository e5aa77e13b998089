"""Jacobi sweeps for triangular systems.

A triangular system is `y = update(y)`, where feature i of update(y) depends only on y_<i. The
sequential direction of an autoregressive map over features is such a system. A sweep computes all
features at once from the values of the last sweep. Whatever the start, the first k features are
exact after k sweeps, and usually far fewer sweeps than features solve the system (Song et al.,
2021, arXiv 2002.03629).
"""

from collections.abc import Callable

import torch
from torch import Tensor

TOLERANCE = 8  # a feature has settled when a sweep moves it by at most so many units of round-off

Update = Callable[[Tensor], tuple[Tensor, Tensor]]
"""A function from y to update(y) and the log-determinants of the map that it applies, each
`[..., D]`."""


def solve_triangular(update: Update, start: Tensor) -> tuple[Tensor, Tensor]:
    """The y with `y = update(y)[0]`, and the log-determinants there, each `[..., D]`.

    Sweeps begin with the first guess `start` `[..., D]`. A feature is final once a sweep moves it
    and all features before it by round-off only, whatever other rows still need. Gradients reach
    every tensor that `update` uses: where they are recorded, as many sweeps as features follow from
    the solution, and their gradients are exact too.
    """
    with torch.no_grad():
        value, ladj = update(start)
        count = 1
        final = _final(_close(value, start), count)
        while count < value.shape[-1] and not bool(final.all()):
            swept, swept_ladj = update(value)
            count += 1
            settled = final | _close(swept, value)
            value = torch.where(final, value, swept)
            ladj = torch.where(final, ladj, swept_ladj)
            final = _final(settled, count)
    if torch.is_grad_enabled():
        for _ in range(value.shape[-1]):
            value, ladj = update(value)
    return value, ladj


def _final(settled: Tensor, count: int) -> Tensor:
    """Where all features up to this one have settled, or are exact after `count` sweeps.

    bool `[..., D]` -> bool `[..., D]`.
    """
    features = torch.arange(settled.shape[-1], device=settled.device)
    return (settled.logical_not().cumsum(-1) == 0) | (features < count)


def _close(swept: Tensor, value: Tensor) -> Tensor:
    """Where a sweep moved a feature by round-off only: two `[..., D]` -> bool `[..., D]`."""
    size = swept.abs()
    # The mean size counts too, because a number near 0 is only as exact as the numbers that it was
    # computed from.
    round_off = torch.finfo(value.dtype).eps * (size + size.mean(-1, keepdim=True))
    return (swept - value).abs() <= TOLERANCE * round_off
