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


def sweep(
    update: Update, start: Tensor, *, limit: int, ignored: Tensor | None = None, hopeless: float | None = None
) -> Solution:
    """Sweep until every step is final, `limit` times at most; run it without gradients.

    It ends after two sweeps as well, if the second still moves a number by more than `hopeless` of the largest one.

    Steps lie along the last dimension, or, where update's log-determinants have one dimension less than its values,
    along the one before it, each a vector. A step is final once a sweep moves it and all steps before it by round-off
    only; from then on it is left alone. So its value depends neither on later steps nor on other rows, however long
    they take. Steps that are `ignored` (bool, one a step) are final from the first sweep on, whatever they hold.
    """
    value, count = start, 0
    while True:
        swept, swept_ladj = update(value)
        count += 1
        vectors = swept_ladj.dim() < swept.dim()
        settled = _close(swept, value, dims=(-1,))
        settled = settled.all(-1) if vectors else settled
        settled = settled if ignored is None else settled | ignored
        stop = count == limit
        if count == 2 and hopeless is not None:
            moved = (swept - value) if ignored is None else torch.where(ignored.unsqueeze(-1), 0, swept - value)
            stop = stop or bool(moved.abs().amax() > hopeless * swept.abs().amax())
        if count == 1:
            value, ladj, final = swept, swept_ladj, torch.zeros_like(settled)
        else:
            value = torch.where(final.unsqueeze(-1) if vectors else final, value, swept)
            ladj = torch.where(final, ladj, swept_ladj)
        final = (final | settled).logical_not().cumsum(-1) == 0
        final = final | (torch.arange(final.shape[-1], device=value.device) < count)
        if stop or count == final.shape[-1] or bool(final.all()):
            return Solution(value, ladj, final, count)


def solve_triangular(update: Update, start: Tensor) -> tuple[Tensor, Tensor]:
    """The y `[..., D]` with `y = update(y)`, feature i of it depending on y_<i alone and rows apart; and its
    log-determinants.

    Memory does not grow with the sweeps. Gradients reach all that `update` computes from.
    """
    with torch.no_grad():
        solution = sweep(update, start, limit=start.shape[-1])
    if not torch.is_grad_enabled():
        return solution.value, solution.log_abs_det_jacobian
    value, ladj = with_implicit_gradient(update, solution.value, row_dims=1)
    return value, ladj


def with_implicit_gradient(
    update: Callable[[Tensor], tuple[Tensor, ...]], solution: Tensor, row_dims: int
) -> tuple[Tensor, ...]:
    """A solution y of `y = update(y)[0]` after one more sweep, and all else that update gives, with their gradients.

    `dy = A dy + d update`, A the strictly triangular Jacobian of update: a gradient u at y is v at what that one sweep
    computes from, where `v = u + A^T v` (the other outputs' own pull on y joins u). That system is triangular too, and
    is solved by sweeps over the one recorded graph: no loop over steps, no memory that grows with the sweeps, no second
    derivatives. A row, whose scale judges when they have settled, is the last `row_dims` dimensions.
    """
    at = solution.detach().requires_grad_()
    outputs = update(at)
    moved = outputs[0]
    if not moved.requires_grad:
        return outputs
    recorded = [index for index, output in enumerate(outputs) if output.requires_grad]

    def adjoint(gradients: tuple[Tensor, ...]) -> Tensor:
        v = gradients[0]
        for _ in range(at.shape[-row_dims]):
            (pulled,) = torch.autograd.grad(
                [outputs[index] for index in recorded],
                at,
                [gradients[index] if index else v for index in recorded],
                retain_graph=True,
                materialize_grads=True,
            )
            swept = gradients[0] + pulled
            settled = _close(swept, v, dims=tuple(range(-row_dims, 0)))
            v = swept
            if bool(settled.all()):
                break
        return v

    return _Implicit.apply(adjoint, *outputs)


class _Implicit(torch.autograd.Function):
    """The identity, whose backward pass puts the adjoint system's solution in place of the first one's gradient."""

    @staticmethod
    def forward(context: Any, adjoint: Callable[[tuple[Tensor, ...]], Tensor], *outputs: Tensor) -> Any:
        context.adjoint = adjoint
        return tuple(output.view_as(output) for output in outputs)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Any:
        return None, context.adjoint(gradients), *gradients[1:]


def _close(swept: Tensor, value: Tensor, dims: tuple[int, ...]) -> Tensor:
    size = swept.abs()
    # The mean besides: a number that happens to be near 0 is no more exact than those that it comes from.
    return (swept - value).abs() <= TOLERANCE * torch.finfo(value.dtype).eps * (size + size.mean(dims, keepdim=True))
