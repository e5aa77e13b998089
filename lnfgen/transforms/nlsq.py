"""NLSq, the non-linear squared transform of Ziegler & Rush (2019), section 4.1."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lnfgen.transforms.bounds import LOG_SCALE_BOUND, bounded
from lnfgen.transforms.solve import solve

MONOTONE_LIMIT = 8 * math.sqrt(3) / 9
"""f is monotone while |c| d / b is at most this: the steepest descent of 1 / (1 + y^2) is 9 / (8 sqrt 3), at y = 1 /
sqrt 3."""

MONOTONE_MARGIN = 0.05
"""Kept from that limit, so that the slope stays above 0.03 b: its logarithm is finite and float32 can solve f(u) =
v."""


class _Parameters(NamedTuple):
    a: Tensor
    b: Tensor
    c: Tensor
    d: Tensor
    g: Tensor
    log_b: Tensor
    bump: Tensor  # c d / b, within the monotone limit


class NLSq:
    """Inverse (z -> eps): `f(u) = a + b u + c / (1 + (d u + g)^2)` with b, d > 0 and |c| < 8 sqrt(3) / 9 * b / d.

    `inverse` is the closed formula. `forward` solves f(u) = v, a cubic with one real root, by Newton steps kept inside
    a bracket: it cannot leave it, so nothing overflows or cancels as in the cubic's closed form. Its gradient is that
    of the implicit function theorem. Both are elementwise; `forward` costs about ten times `inverse`.
    Raw parameters: a, log b, log d, c, g, the middle three before their bounds. Limit: two modes per layer.
    """

    num_parameters = 5

    def forward(self, eps: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """eps `[..., D]`, parameters `[..., D, 5]` -> z and log|dz/deps|, each `[..., D]`."""
        p = _constrain(parameters)
        with torch.no_grad():
            root = _solve(eps, p)
        # One Newton step with its slope held constant: polishes the root, and by the implicit function theorem
        # du = (dv - (df/dparameters) dparameters) / f'(u), which is what autograd derives from this line.
        value, slope = _value(root, p), torch.exp(_log_slope(root, p)).detach()
        z = root - (value - eps) / slope
        return z, -_log_slope(z, p)

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """z `[..., D]`, parameters `[..., D, 5]` -> eps and log|deps/dz|, each `[..., D]`."""
        p = _constrain(parameters)
        return _value(z, p), _log_slope(z, p)


def _constrain(parameters: Tensor) -> _Parameters:
    a, raw_b, raw_d, raw_c, g = parameters.unbind(-1)
    log_b, log_d = bounded(raw_b, LOG_SCALE_BOUND), bounded(raw_d, LOG_SCALE_BOUND)
    bump = (MONOTONE_LIMIT - MONOTONE_MARGIN) * torch.tanh(raw_c)
    return _Parameters(a, torch.exp(log_b), bump * torch.exp(log_b - log_d), torch.exp(log_d), g, log_b, bump)


def _value(u: Tensor, p: _Parameters) -> Tensor:
    y = p.d * u + p.g
    return p.a + p.b * u + p.c / (1 + y * y)


def _log_slope(u: Tensor, p: _Parameters) -> Tensor:
    y = p.d * u + p.g
    # y / (1 + y^2)^2 in an order that does not overflow: 1 / (1 + y^2) first. It tends to 0 for large y.
    w = 1 / (1 + y * y)
    return p.log_b + torch.log1p(-2 * p.bump * (y * w) * w)


def _solve(v: Tensor, p: _Parameters) -> Tensor:
    """The root u of f(u) = v, by Newton inside a bracket, in units of y = d u + g, where the slope is 0.03 to 2.

    There f(u) = v reads `y + bump / (1 + y^2) = w` with `w = (v - a) d / b + g`, and the root is within |bump| of w.
    """
    w = (v - p.a) * (p.d / p.b) + p.g

    def evaluate(y: Tensor) -> tuple[Tensor, Tensor]:
        r = 1 / (1 + y * y)
        return y + p.bump * r - w, 1 - 2 * p.bump * (y * r) * r

    low, high = w - p.bump.clamp(min=0), w - p.bump.clamp(max=0)
    tolerance = 2 * torch.finfo(v.dtype).eps * (w.abs() + p.bump.abs())
    return (solve(evaluate, w - p.bump / (1 + w * w), low, high, tolerance) - p.g) / p.d
