"""NLSq, the non-linear squared transform of Ziegler & Rush (2019), section 4.1."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lnfgen.transforms.bounds import LOG_SCALE_BOUND, constant
from lnfgen.transforms.core import CoreTransform

MONOTONE_LIMIT = 8 * math.sqrt(3) / 9
"""f is monotone while |c| d / b is at most this: the steepest descent of 1 / (1 + y^2) is 9 / (8 sqrt 3), at y = 1 /
sqrt 3."""

MONOTONE_MARGIN = 0.05
"""Kept from that limit, so that the slope stays above 0.03 b: its logarithm is finite and float32 can solve f(u) =
v."""

_UNITS = (LOG_SCALE_BOUND, LOG_SCALE_BOUND, 1.0)
_SIZES = (LOG_SCALE_BOUND, LOG_SCALE_BOUND, (MONOTONE_LIMIT - MONOTONE_MARGIN) / 2)
"""Of raw log b, log d and c, and of what they become: of both logarithms as `bounded` has them."""

LARGE = 1e6
"""Beyond it the bump, at most 2 / w^2, is lost beside y = w; the cubic's formula, where w^6 has to be finite, is asked
for no larger w."""


class _Parameters(NamedTuple):
    d: Tensor
    g: Tensor
    half_bump: Tensor  # c d / 2 b, within half the monotone limit


class NLSq(CoreTransform[_Parameters]):
    """Inverse (z -> eps): `a + b u + c / (1 + (d u + g)^2)` at u = z, with b, d > 0 and |c| < 8 sqrt(3) / 9 * b / d.

    `inverse` is the closed formula. `forward` is one as well, of the cubic's one real root, its gradient that of the
    implicit function theorem. Both are elementwise; `forward` costs up to twice `inverse`.
    Raw parameters: a, log b, log d, c, g, the middle three before their bounds. Limit: two modes per layer.
    """

    num_parameters = 5

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, _Parameters]:
        a, _, _, _, g = parameters.unbind(-1)
        units, sizes = constant(_UNITS, parameters), constant(_SIZES, parameters)
        log_b, log_d, half_bump = (sizes * torch.tanh(parameters[..., 1:4] / units)).unbind(-1)
        return a, log_b, _Parameters(torch.exp(log_d), g, half_bump)

    def _value(self, z: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        half, slope = self._half_bump(torch.addcmul(p.g, p.d, z), p)
        return torch.addcdiv(z, half, p.d, value=2), slope

    def _solve(self, t: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        """In units of y = d u + g, f(u) = t reads `y + bump / (1 + y^2) = w` with `w = t d + g`, so u is t less the
        bump at y.

        An error in y moves the bump by less than itself, and where y is large, so that the formula and `y - g` lose
        digits, by next to nothing.
        """
        limit = constant(LARGE, t)
        w = torch.addcmul(p.g, t, p.d).clamp(-limit, limit)
        half, slope = self._half_bump(_cubic(w, p.half_bump), p)
        return torch.addcdiv(t, half, p.d, value=-2), slope

    def _half_bump(self, y: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        """Half of `bump / (1 + y^2)`, and f' where y is."""
        one = constant(1.0, y)
        # y / (1 + y^2)^2 in an order that does not overflow: 1 / (1 + y^2) first. It tends to 0 for large y.
        r = torch.addcmul(one, y, y).reciprocal()
        half = p.half_bump * r
        return half, torch.addcmul(one, half, y * r, value=-4)


def _cubic(w: Tensor, half_bump: Tensor) -> Tensor:
    """The real root y of `(y - w) (1 + y^2) + bump = 0` by Cardano's formula: exact to some round-off where w is small,
    to a few thousandths of w where it is `LARGE`.

    Of the formula's two cube roots, whose product is known, the one that adds terms of one sign gives the other.
    """
    third = constant(1 / 3, w)
    p_3 = torch.addcmul(third, w, w, value=-1 / 9)
    half_q = w * torch.addcmul(third, w, w, value=1 / 27) - half_bump
    root = torch.addcmul(half_q * half_q, p_3 * p_3, p_3).clamp(min=0).sqrt()
    larger = torch.copysign((half_q.abs() + root).pow(1 / 3), half_q)
    return torch.addcdiv(torch.add(larger, w, alpha=1 / 3), p_3, larger, value=-1)
