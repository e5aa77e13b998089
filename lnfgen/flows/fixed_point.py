"""Jacobi sweeps for triangular systems, with gradients by the implicit function theorem.

A triangular system is `y = update(y)`, where feature i of update(y) depends only on y_<i. The sequential direction of
an autoregressive map over features is such a system. A sweep computes all features at once from the values of the last
sweep. Whatever the start, the first k features are exact after k sweeps, and usually far fewer sweeps than features
solve the system (Song et al., 2021, arXiv 2002.03629).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

TOLERANCE = 8
"""A feature has settled when a sweep moves it by at most this many units of round-off."""

Update = Callable[[Tensor], tuple[Tensor, Tensor]]
"""A function from y `[..., D]` to update(y) and the log-determinants of the map that it applies, `[..., D]` each."""


def solve_triangular(update: Update, start: Tensor) -> tuple[Tensor, Tensor]:
    """The y with `y = update(y)[0]`, by sweeps from the first guess `start`, and the log-determinants there.

    Gradients reach every tensor that `update` uses. The memory does not grow with the number of sweeps. A feature is
    final once a sweep moves it and all features before it by round-off only, whatever other rows still need.
    """
    with torch.no_grad():
        value, ladj = update(start)
        count, final = 1, _final(_close(value, start), 1)
        while count < value.shape[-1] and not bool(final.all()):
            swept, swept_ladj = update(value)
            count += 1
            settled = final | _close(swept, value)
            value, ladj = torch.where(final, value, swept), torch.where(final, ladj, swept_ladj)
            final = _final(settled, count)
    return _with_gradient(update, value) if torch.is_grad_enabled() else (value, ladj)


def _final(settled: Tensor, count: int) -> Tensor:
    """Where all features up to this one have settled, or are exact after so many sweeps."""
    features = torch.arange(settled.shape[-1], device=settled.device)
    return (settled.logical_not().cumsum(-1) == 0) | (features < count)


def _with_gradient(update: Update, solution: Tensor) -> tuple[Tensor, Tensor]:
    """Apply `update` once more to its solution y, and return y and the log-determinants with gradients.

    By the implicit function theorem `dy = A dy + d update`, where A is the strictly triangular Jacobian of update. So a
    gradient u of the loss by y becomes the gradient `v = u + A^T v` by the output of update, to which that by the
    log-determinants adds. Sweeps over the graph of the one recorded call solve it. There are no second derivatives.
    """
    fixed = solution.detach().requires_grad_()
    value, ladj = update(fixed)
    if not value.requires_grad:
        return value, ladj

    def adjoint(value_gradient: Tensor, ladj_gradient: Tensor) -> Tensor:
        v = value_gradient
        for _ in range(fixed.shape[-1]):
            pairs = [(value, v), (ladj, ladj_gradient)]
            outputs, gradients = zip(*(pair for pair in pairs if pair[0].requires_grad), strict=True)
            (product,) = torch.autograd.grad(outputs, fixed, gradients, retain_graph=True, materialize_grads=True)
            swept = value_gradient + product
            settled = _close(swept, v)
            v = swept
            if bool(settled.all()):
                break
        return v

    return _Implicit.apply(adjoint, value, ladj)


class _Implicit(torch.autograd.Function):
    """The identity. Its backward pass replaces the gradient of the value by the solution of the adjoint system."""

    @staticmethod
    def forward(
        context: Any, adjoint: Callable[[Tensor, Tensor], Tensor], value: Tensor, ladj: Tensor
    ) -> tuple[Tensor, Tensor]:
        context.adjoint = adjoint
        return value.view_as(value), ladj.view_as(ladj)

    @staticmethod
    def backward(context: Any, value_gradient: Tensor, ladj_gradient: Tensor) -> tuple[None, Tensor, Tensor]:
        return None, context.adjoint(value_gradient, ladj_gradient), ladj_gradient


def _close(swept: Tensor, value: Tensor) -> Tensor:
    size = swept.abs()
    # The mean size counts too, because a number near 0 is only as exact as the numbers that it was computed from.
    return (swept - value).abs() <= TOLERANCE * torch.finfo(value.dtype).eps * (size + size.mean(-1, keepdim=True))
