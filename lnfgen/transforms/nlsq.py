"""NLSq, the non-linear squared transform of Ziegler & Rush (2019), section 4.1."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lnfgen.transforms.bounds import LOG_SCALE_BOUND, bounded
from lnfgen.transforms.core import CoreTransform
from lnfgen.transforms.solve import solve

MONOTONE_LIMIT = 8 * math.sqrt(3) / 9
"""f is monotone while |c| d / b is at most this: the steepest descent of 1 / (1 + y^2) is 9 / (8 sqrt 3), at y = 1 /
sqrt 3."""

MONOTONE_MARGIN = 0.05
"""Kept from that limit, so that the slope stays above 0.03 b: its logarithm is finite and float32 can solve f(u) =
v."""


class _Parameters(NamedTuple):
    d: Tensor
    g: Tensor
    bump: Tensor  # c d / b, within the monotone limit


class NLSq(CoreTransform[_Parameters]):
    """Inverse (z -> eps): `a + b u + c / (1 + (d u + g)^2)` at u = z, with b, d > 0 and |c| < 8 sqrt(3) / 9 * b / d.

    `inverse` is the closed formula. `forward` solves a cubic with one real root by Newton steps kept inside a bracket:
    it cannot leave it, so nothing overflows or cancels as in the cubic's closed form. Its gradient is that of the
    implicit function theorem. Both are elementwise; `forward` costs about ten times `inverse`.
    Raw parameters: a, log b, log d, c, g, the middle three before their bounds. Limit: two modes per layer.
    """

    num_parameters = 5

    def _constrain(self, raw: Tensor) -> _Parameters:
        raw_d, raw_c, g = raw.unbind(-1)
        bump = (MONOTONE_LIMIT - MONOTONE_MARGIN) * torch.tanh(raw_c)
        return _Parameters(torch.exp(bounded(raw_d, LOG_SCALE_BOUND)), g, bump)

    def _value(self, z: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        y = p.d * z + p.g
        # y / (1 + y^2)^2 in an order that does not overflow: 1 / (1 + y^2) first. It tends to 0 for large y.
        r = 1 / (1 + y * y)
        return z + p.bump / p.d * r, 1 - 2 * p.bump * (y * r) * r

    def _solve(self, t: Tensor, p: _Parameters) -> Tensor:
        """By Newton inside a bracket, in units of y = d u + g, where the slope is 0.03 to 2.

        There f(u) = t reads `y + bump / (1 + y^2) = w` with `w = t d + g`, and the root is within |bump| of w.
        """
        w = t * p.d + p.g

        one, twice = t.new_ones(()), -2 * p.bump

        def evaluate(y: Tensor) -> tuple[Tensor, Tensor]:  # in few calls: on the small tensors of a step they cost most
            r = torch.addcmul(one, y, y).reciprocal()
            return torch.addcmul(y - w, p.bump, r), torch.addcmul(one, twice, y * r * r)

        low, high = w - p.bump.clamp(min=0), w - p.bump.clamp(max=0)
        tolerance = 2 * torch.finfo(t.dtype).eps * (w.abs() + p.bump.abs())
        u = (solve(evaluate, w - p.bump / (1 + w * w), low, high, tolerance) - p.g) / p.d
        value, slope = self._value(u, p)
        return u - (value - t) / slope  # a last step in u itself, which a large g has robbed of digits
