"""Triangular systems solved by Jacobi sweeps, with gradients of the implicit function theorem.

The systems are `y = update(y)` where step i of update(y) depends on y_<i alone: the sequential direction of an
autoregressive map, over features or over time. A sweep computes every step at once from the last sweep's values; after
k sweeps the first k steps are exact, whatever the start, so as many sweeps as steps solve the system, and mostly far
fewer settle it (Song et al., 2021, arXiv 2002.03629, on Jacobi and Gauss-Seidel sweeps through feed-forward networks).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

TOLERANCE = 8
"""Units of round-off that a sweep may still move a step by when it is the last."""

Update = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From a value to the next one, and the log-determinant of what made it."""


class Solution(NamedTuple):
    value: Tensor
    log_abs_det_jacobian: Tensor
    sweeps: int


def sweep(update: Update, start: Tensor, *, limit: int, ignored: Tensor | None = None) -> Solution:
    """Sweep until every step is final, at most `limit` times. Run it without gradients.

    Steps lie along the last dimension; or, where update's log-determinants have one dimension less than its values,
    along the dimension before it, and each step is then a vector. A step is final once a sweep moves it, and all steps
    before it, by round-off only. From then on it is left alone. So its value depends neither on later steps nor on
    other rows, however long those take. Steps that are `ignored` (bool, one a step) count as settled from the start.
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
        if count in (limit, final.shape[-1]) or bool(final.all()):
            return Solution(value, ladj, count)


def solve_triangular(update: Update, start: Tensor) -> tuple[Tensor, Tensor]:
    """The y `[..., D]` with `y = update(y)`, feature i of it depending on y_<i alone and rows apart; and its
    log-determinants.

    Memory does not grow with the sweeps. Gradients reach all that `update` computes from.
    """
    with torch.no_grad():
        solution = sweep(update, start, limit=start.shape[-1])
    if not torch.is_grad_enabled():
        return solution.value, solution.log_abs_det_jacobian
    return fixed_point_with_gradient(update, solution.value, row_dims=1)


def fixed_point_with_gradient(update: Update, solution: Tensor, row_dims: int) -> tuple[Tensor, Tensor]:
    """A solution y of `y = update(y)[0]` after one more sweep, and its log-determinants, both with their gradients.

    By the implicit function theorem `dy = A dy + d update`, A the strictly triangular Jacobian of update. So a gradient
    u at y is a gradient v at what that last sweep computes from, where `v = u + A^T v`; what pulls on the
    log-determinants adds to u. This system is triangular too, and sweeps over the one recorded graph solve it. So there
    is no loop over steps, the memory does not grow with the sweeps, and there are no second derivatives. A row, whose
    scale decides when they have settled, is the last `row_dims` dimensions.
    """
    at = solution.detach().requires_grad_()
    value, ladj = update(at)
    if not value.requires_grad:
        return value, ladj

    def adjoint(of_value: Tensor, of_ladj: Tensor) -> Tensor:
        v = of_value
        for _ in range(at.shape[-row_dims]):
            pulling = [(value, v), (ladj, of_ladj)]
            outputs, gradients = zip(*(pair for pair in pulling if pair[0].requires_grad), strict=True)
            (pulled,) = torch.autograd.grad(outputs, at, gradients, retain_graph=True, materialize_grads=True)
            swept = of_value + pulled
            settled = _close(swept, v, dims=tuple(range(-row_dims, 0)))
            v = swept
            if bool(settled.all()):
                break
        return v

    return _Implicit.apply(adjoint, value, ladj)


class _Implicit(torch.autograd.Function):
    """The identity, whose backward pass puts the adjoint system's solution in place of the value's gradient."""

    @staticmethod
    def forward(
        context: Any, adjoint: Callable[[Tensor, Tensor], Tensor], value: Tensor, ladj: Tensor
    ) -> tuple[Tensor, Tensor]:
        context.adjoint = adjoint
        return value.view_as(value), ladj.view_as(ladj)

    @staticmethod
    def backward(context: Any, of_value: Tensor, of_ladj: Tensor) -> tuple[None, Tensor, Tensor]:
        return None, context.adjoint(of_value, of_ladj), of_ladj


def _close(swept: Tensor, value: Tensor, dims: tuple[int, ...]) -> Tensor:
    size = swept.abs()
    # The mean besides: a number that happens to be near 0 is no more exact than those that it comes from.
    return (swept - value).abs() <= TOLERANCE * torch.finfo(value.dtype).eps * (size + size.mean(dims, keepdim=True))
