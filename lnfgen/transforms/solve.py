"""Roots of increasing functions, elementwise, by Newton steps in a bracket, and their gradients."""

from collections.abc import Callable

import torch
from torch import Tensor

PATIENCE = 10
"""Newton steps nearly always converge within this number of iterations. After it, a Newton step
that is more than half as long as the one before is replaced by halving the bracket. This bounds the
iterations where Newton is slow."""

# Newton takes about 6, at worst 32; bisection takes 55 if the bracket is as wide as the root.
MAX_ITERATIONS = 160


def solve(
    evaluate: Callable[[Tensor], tuple[Tensor, Tensor]],
    start: Tensor,
    low: Tensor,
    high: Tensor,
    tolerance: Tensor,
) -> Tensor:
    """The y between `low` and `high` at which an increasing function is 0, elementwise.

    All tensors are `[...]`. `evaluate(y)` returns the value of the function and its positive slope.
    y never leaves the bracket, so nothing overflows. An element has converged when it moves by at
    most 2 ulp, or when its value is within `tolerance`, the round-off of the value, because closer
    values do not locate the root any better. It must be called without gradients;
    `root_with_gradient` adds the gradient.
    """
    eps = torch.finfo(start.dtype).eps
    y = start
    last = torch.full_like(start, torch.inf)
    for iteration in range(MAX_ITERATIONS):
        value, slope = evaluate(y)
        above = value > 0
        low = torch.where(above, low, y)
        high = torch.where(above, y, high)
        newton = torch.addcdiv(y, value, slope, value=-1)
        usable = newton.clamp(low, high) == newton
        if iteration >= PATIENCE:
            distance = (newton - y).abs()
            nearly_converged = distance <= eps**0.5 * y.abs()
            usable &= (distance <= last / 2) | nearly_converged
        step = torch.where(usable, newton, torch.lerp(low, high, 0.5))
        step = torch.where(value.abs() <= tolerance, y, step)
        # It hardly ever converges earlier, and for small tensors this test costs as much as a step.
        if iteration >= 3:
            last = (step - y).abs()
            if bool((last <= 2 * eps * y.abs()).all()):
                return step
        y = step
    return y


def root_with_gradient(root: Tensor, excess: Tensor, slope: Tensor) -> Tensor:
    """The root u of f(u, p) = v with the same value, and the gradient `du = (dv - f_p dp) / f'(u)`.

    This is the implicit function theorem. `excess` is f(u, p) - v with u held constant, and `slope`
    is f'(u). The value of the excess is round-off. Dividing it by a small slope would move u far,
    so it is not used as a Newton step.
    """
    return root - (excess - excess.detach()) / slope.detach()
