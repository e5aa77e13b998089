"""Triangular systems solved by sweeps, with gradients of the implicit function theorem."""

from collections.abc import Callable

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]

TOLERANCE = 8
"""Units of round-off that a sweep may still move a feature by when it is the last."""


def solve_triangular(update: Map, start: Tensor) -> Tensor:
    """The z `[..., D]` with `z = update(z)`, where feature i of update(z) depends on z_<i alone, and rows are apart.

    Jacobi sweeps: after k of them the first k features are exact whatever the start, so D sweeps are exact. A row is
    left alone once a sweep moves it by round-off only, mostly after far fewer; its value does not depend on how long
    the others take. Memory does not grow with the sweeps.

    Gradients, to all that `update` computes from: `dz = A dz + d update`, A the strictly triangular Jacobian of
    update, so a gradient u at z is v at the result of one more sweep, `v = u + A^T v`, itself triangular and solved by
    sweeps. No second derivatives.
    """
    with torch.no_grad():
        z = _sweeps(update, start)
    if not torch.is_grad_enabled():
        return z
    result = update(z)
    if not result.requires_grad:
        return z
    at = z.clone().requires_grad_()
    moved = update(at)

    def adjoint(gradient: Tensor) -> Tensor:
        def pull_back(v: Tensor) -> Tensor:
            (pulled,) = torch.autograd.grad(moved, at, v, retain_graph=True, materialize_grads=True)
            return gradient + pulled

        return _sweeps(pull_back, gradient)

    result.register_hook(adjoint)
    return result


def _sweeps(update: Map, z: Tensor) -> Tensor:
    tolerance = TOLERANCE * torch.finfo(z.dtype).eps
    moving = torch.ones_like(z[..., :1], dtype=torch.bool)
    for _ in range(z.shape[-1]):
        swept = update(z)
        size = swept.abs()
        # The row's mean besides: a feature that happens to be near 0 is no more exact than those that it comes from.
        settled = (swept - z).abs() <= tolerance * (size + size.mean(-1, keepdim=True))
        z = torch.where(moving, swept, z)
        moving = moving & ~settled.all(-1, keepdim=True)
        if not bool(moving.any()):
            break
    return z
