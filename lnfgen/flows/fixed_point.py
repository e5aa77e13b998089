"""Jacobi sweeps for triangular systems, with gradients by the implicit function theorem.

A triangular system is `y = update(y)`, where step i of update(y) depends only on y_<i. The sequential direction of an
autoregressive map is such a system, over features or over time. A sweep computes all steps at once from the values of
the last sweep. Whatever the start, the first k steps are exact after k sweeps. So as many sweeps as steps always solve
the system, and usually far fewer are enough (Song et al., 2021, arXiv 2002.03629).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

TOLERANCE = 8
"""A step has settled when a sweep moves it by at most this many units of round-off."""

Update = Callable[[Tensor], tuple[Tensor, Tensor]]
"""A function from y to update(y) and the log-determinants of the map that it applies."""


class Solution(NamedTuple):
    """The solution y of a system, what `update(y)` says of log-determinants, and how many sweeps were made."""

    value: Tensor
    log_abs_det_jacobian: Tensor
    sweeps: int


def solve_triangular(update: Update, start: Tensor, *, ignored: Tensor | None = None) -> Solution:
    """The y with `y = update(y)`, by sweeps from the first guess `start`.

    The last dimension holds the steps. But if log-determinants have one dimension less than y, each step is a vector,
    and the dimension before the last holds the steps. Steps where the bool tensor `ignored` is True count as settled
    from the start. Gradients reach every tensor that `update` uses. The memory does not grow with the number of sweeps.
    """
    with torch.no_grad():
        solution = _sweep(update, start, ignored)
    if not torch.is_grad_enabled():
        return solution
    return Solution(*_with_gradient(update, solution.value), solution.sweeps)


def _sweep(update: Update, start: Tensor, ignored: Tensor | None) -> Solution:
    """`solve_triangular` without gradients.

    A step is final once a sweep moves it and all steps before it by round-off only. It does not change any more, so it
    depends neither on later steps nor on the sweeps that other rows need.
    """
    value, count = start, 0
    while True:
        swept, swept_ladj = update(value)
        count += 1
        vectors = swept_ladj.dim() < swept.dim()
        settled = _close(swept, value, dims=(-1,))
        settled = settled.all(-1) if vectors else settled
        settled = settled if ignored is None else settled | ignored
        if count == 1:
            value, ladj, final = swept, swept_ladj, torch.zeros_like(settled)
        else:
            value = torch.where(final.unsqueeze(-1) if vectors else final, value, swept)
            ladj = torch.where(final, ladj, swept_ladj)
        final = (final | settled).logical_not().cumsum(-1) == 0
        final = final | (torch.arange(final.shape[-1], device=value.device) < count)
        if count >= final.shape[-1] or bool(final.all()):
            return Solution(value, ladj, count)


def _with_gradient(update: Update, solution: Tensor) -> tuple[Tensor, Tensor]:
    """Apply `update` once more to its solution y, and return y and the log-determinants with gradients.

    By the implicit function theorem `dy = A dy + d update`, where A is the strictly triangular Jacobian of update. So a
    gradient u of the loss by y becomes the gradient `v = u + A^T v` by the output of update. This adjoint system is
    triangular too, and sweeps over the graph of the one recorded call solve it; the gradient by the log-determinants
    adds to it. Second derivatives are not supported.
    """
    fixed = solution.detach().requires_grad_()
    value, ladj = update(fixed)
    if not value.requires_grad:
        return value, ladj
    row_dims = 1 + value.dim() - ladj.dim()  # of one row, whose mean size decides when the sweeps have settled

    def adjoint(value_gradient: Tensor, ladj_gradient: Tensor) -> Tensor:
        v = value_gradient
        for _ in range(fixed.shape[-row_dims]):
            pairs = [(value, v), (ladj, ladj_gradient)]
            outputs, gradients = zip(*(pair for pair in pairs if pair[0].requires_grad), strict=True)
            (product,) = torch.autograd.grad(outputs, fixed, gradients, retain_graph=True, materialize_grads=True)
            swept = value_gradient + product
            settled = _close(swept, v, dims=tuple(range(-row_dims, 0)))
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


def _close(swept: Tensor, value: Tensor, dims: tuple[int, ...]) -> Tensor:
    size = swept.abs()
    # The mean size counts too, because a number near 0 is only as exact as the numbers that it was computed from.
    return (swept - value).abs() <= TOLERANCE * torch.finfo(value.dtype).eps * (size + size.mean(dims, keepdim=True))
