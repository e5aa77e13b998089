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
    final: Tensor  # bool, one a step: settled, and every step before it
    sweeps: int


def sweep(update: Update, start: Tensor, *, vector_steps: bool, limit: int) -> Solution:
    """Sweep until every step is final, `limit` times at most; run it without gradients.

    Steps lie along the last dimension, or, with `vector_steps`, along the one before it, each a vector. A step is final
    once a sweep moves it and all steps before it by round-off only; from then on it is left alone. So its value depends
    neither on later steps nor on other rows, however long they take.
    """
    value, ladj = start, None
    final = torch.zeros(start.shape[:-1] if vector_steps else start.shape, dtype=torch.bool, device=start.device)
    num_steps = final.shape[-1]
    count = 0
    while count < limit:
        swept, swept_ladj = update(value)
        count += 1
        settled = _close(swept, value, dims=(-1,))
        settled = settled.all(-1) if vector_steps else settled
        value = torch.where(final.unsqueeze(-1) if vector_steps else final, value, swept)
        ladj = swept_ladj if ladj is None else torch.where(final, ladj, swept_ladj)
        if count >= num_steps:
            final = torch.ones_like(final)
            break
        final = ((final | settled).logical_not().cumsum(-1) == 0) | (
            torch.arange(num_steps, device=value.device) < count
        )
        if bool(final.all()):
            break
    assert ladj is not None
    return Solution(value, ladj, final, count)


def solve_triangular(update: Update, start: Tensor) -> tuple[Tensor, Tensor]:
    """The y `[..., D]` with `y = update(y)`, feature i of it depending on y_<i alone and rows apart; and its
    log-determinants.

    Memory does not grow with the sweeps. Gradients reach all that `update` computes from.
    """
    with torch.no_grad():
        solution = sweep(update, start, vector_steps=False, limit=start.shape[-1])
    if not torch.is_grad_enabled():
        return solution.value, solution.log_abs_det_jacobian
    return with_implicit_gradient(update, solution.value, row_dims=1)


def with_implicit_gradient(update: Update, solution: Tensor, row_dims: int) -> tuple[Tensor, Tensor]:
    """A solution of `y = update(y)` after one more sweep, and its log-determinants, with their gradients.

    `dy = A dy + d update`, A the strictly triangular Jacobian of update: a gradient u at y is v at what that one sweep
    computes from, where `v = u + A^T v` (and the log-determinant's own pull on y joins u). That system is triangular
    too, and is solved by sweeps over the one recorded graph: no loop over steps, no memory that grows with the sweeps,
    no second derivatives. A row, whose scale judges when they have settled, is the last `row_dims` dimensions.
    """
    at = solution.detach().requires_grad_()
    moved, ladj = update(at)
    if not moved.requires_grad:
        return moved, ladj
    outputs = [moved, ladj] if ladj.requires_grad else [moved]

    def adjoint(by_value: Tensor, by_ladj: Tensor) -> Tensor:
        v = by_value
        for _ in range(at.shape[-row_dims]):
            pull = [v, by_ladj][: len(outputs)]
            (pulled,) = torch.autograd.grad(outputs, at, pull, retain_graph=True, materialize_grads=True)
            swept = by_value + pulled
            settled = _close(swept, v, dims=tuple(range(-row_dims, 0)))
            v = swept
            if bool(settled.all()):
                break
        return v

    return _Implicit.apply(adjoint, moved, ladj)


class _Implicit(torch.autograd.Function):
    """The identity, whose backward pass puts the adjoint system's solution in place of the value's gradient."""

    @staticmethod
    def forward(context: Any, adjoint: Callable[[Tensor, Tensor], Tensor], value: Tensor, ladj: Tensor) -> Any:
        context.adjoint = adjoint
        return value.view_as(value), ladj.view_as(ladj)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Any:
        by_value, by_ladj = gradients
        return None, context.adjoint(by_value, by_ladj), by_ladj


def _close(swept: Tensor, value: Tensor, dims: tuple[int, ...]) -> Tensor:
    size = swept.abs()
    # The mean besides: a number that happens to be near 0 is no more exact than those that it comes from.
    return (swept - value).abs() <= TOLERANCE * torch.finfo(value.dtype).eps * (size + size.mean(dims, keepdim=True))
