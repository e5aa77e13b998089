"""The root of an increasing function, elementwise: Newton steps kept inside a bracket; and a root's gradient."""

from collections.abc import Callable

import torch
from torch import Tensor

PATIENCE = 10
"""Newton's steps alone nearly always settle within this; past it, a step must halve the one before, else the bracket
is halved: on the flat of an S, where Newton creeps, that bounds the number of steps."""

MAX_ITERATIONS = 160
"""Bisection takes 55 steps from a bracket as wide as its root is large; Newton takes about 6, at worst some 32."""


def solve(
    evaluate: Callable[[Tensor], tuple[Tensor, Tensor]],
    start: Tensor,
    low: Tensor,
    high: Tensor,
    tolerance: Tensor,
) -> Tensor:
    """The y within `[low, high]` at which an increasing function is 0; all tensors `[...]`, elementwise.

    `evaluate(y)` gives the function's value and its slope, which is positive. Whatever they are, y cannot leave the
    bracket, so nothing overflows. An element stops where it moves by no more than 2 ulp, or where its value is within
    `tolerance`, the round-off of the value itself: below that a flat function says nothing more about its root.
    Run it without gradients: those of a root are the implicit function theorem's.
    """
    eps = torch.finfo(start.dtype).eps
    y, last = start, torch.full_like(start, torch.inf)
    for iteration in range(MAX_ITERATIONS):
        value, slope = evaluate(y)
        above = value > 0
        low, high = torch.where(above, low, y), torch.where(above, y, high)
        newton = torch.addcdiv(y, value, slope, value=-1)
        usable = newton.clamp(low, high) == newton
        if iteration >= PATIENCE:
            distance = (newton - y).abs()
            usable &= (distance <= last / 2) | (distance <= eps**0.5 * y.abs())  # the second: about to settle
        step = torch.where(usable, newton, torch.lerp(low, high, 0.5))
        step = torch.where(value.abs() <= tolerance, y, step)
        if iteration >= 3:  # fewer steps hardly ever settle, and on small tensors a comparison costs as much as a step
            last = (step - y).abs()
            if bool((last <= 2 * eps * y.abs()).all()):
                return step
        y = step
    return y


def root_with_gradient(root: Tensor, excess: Tensor, slope: Tensor) -> Tensor:
    """The root u of f(u, p) = v, unchanged, with the gradient that the implicit function theorem gives it.

    `excess` is f(u, p) - v with u held constant, `slope` f'(u): du = (dv - f_p dp) / f'(u). The excess's own value,
    round-off, is not used for a last Newton step: divided by the slope of a flat it would be a leap.
    """
    return root - (excess - excess.detach()) / slope.detach()
