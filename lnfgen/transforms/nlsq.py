"""NLSq, the non-linear squared transform (Ziegler & Rush, 2019, section 4.1)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lnfgen.transforms.bounds import LOG_SCALE_BOUND, constant
from lnfgen.transforms.core import CoreTransform

# f is monotone if |c| d / b is at most this: (1 / (1 + y^2))' >= -9 / (8 sqrt 3).
MONOTONE_LIMIT = 8 * math.sqrt(3) / 9
# |c| d / b stays below that limit by this: slopes are above 0.03 b, where float32 solves f(u) = v.
MONOTONE_MARGIN = 0.05
_UNITS = (LOG_SCALE_BOUND, LOG_SCALE_BOUND, 1.0)
_SIZES = (LOG_SCALE_BOUND, LOG_SCALE_BOUND, (MONOTONE_LIMIT - MONOTONE_MARGIN) / 2)
"""Raw log b, log d and c become `size * tanh(raw / unit)`; for the logarithms it is `bounded`."""

# A larger |w| counts as this in the cubic, so that w^6 is finite. There the bump is below the
# round-off of w.
LARGE = 1e6


class _Parameters(NamedTuple):
    d: Tensor
    g: Tensor
    half_bump: Tensor  # c d / (2 b), at most half of the monotone limit


class NLSq(CoreTransform[_Parameters]):
    """Inverse (z -> eps): `eps = a + b z + c / (1 + (d z + g)^2)`.

    b, d > 0 and `|c| < 8 sqrt(3) / 9 * b / d`. `inverse` is this formula. `forward` is a closed
    formula too, for the only real root of a cubic equation, and costs up to twice as much. Raw
    parameters: a, log b, log d, c, g, three before their bounds. Limit: two modes per layer.
    """

    num_parameters = 5

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, _Parameters]:
        a, _, _, _, g = parameters.unbind(-1)
        units = constant(_UNITS, parameters)
        sizes = constant(_SIZES, parameters)
        bounded = sizes * torch.tanh(parameters[..., 1:4] / units)
        log_b, log_d, half_bump = bounded.unbind(-1)
        return a, log_b, _Parameters(torch.exp(log_d), g, half_bump)

    def _value(self, z: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        half, slope = self._half_bump(torch.addcmul(p.g, p.d, z), p)
        return torch.addcdiv(z, half, p.d, value=2), slope

    def _solve(self, t: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        """The z with f(z) = t, and f'(z), by a cubic equation.

        With `y = d z + g` and `w = d t + g` it is `y + bump / (1 + y^2) = w`. z is computed as `t -
        bump / (1 + y^2) / d` and not as `(y - g) / d`, because an error in y then changes the
        result by less than that error, and by almost nothing where y is large and the formula for y
        loses digits.
        """
        limit = constant(LARGE, t)
        w = torch.addcmul(p.g, t, p.d).clamp(-limit, limit)
        half, slope = self._half_bump(_cubic(w, p.half_bump), p)
        return torch.addcdiv(t, half, p.d, value=-2), slope

    def _half_bump(self, y: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        """Half of `bump / (1 + y^2)`, and the slope f' at that y."""
        one = constant(1.0, y)
        # 1 / (1 + y^2) comes first, so that y / (1 + y^2)^2 does not overflow; it tends to 0 for
        # large y.
        r = torch.addcmul(one, y, y).reciprocal()
        half = p.half_bump * r
        return half, torch.addcmul(one, half, y * r, value=-4)


def _cubic(w: Tensor, half_bump: Tensor) -> Tensor:
    """The real root y of `(y - w) (1 + y^2) + bump = 0` by Cardano's formula.

    Its error is a few units of round-off for small w and a few thousandths of w at `LARGE`. The
    formula adds two cube roots whose product is known. The one in which nothing cancels is
    computed, and the other one follows from it.
    """
    third = constant(1 / 3, w)
    p_3 = torch.addcmul(third, w, w, value=-1 / 9)
    half_q = w * torch.addcmul(third, w, w, value=1 / 27) - half_bump
    root = torch.addcmul(half_q * half_q, p_3 * p_3, p_3).clamp(min=0).sqrt()
    larger = torch.copysign((half_q.abs() + root).pow(1 / 3), half_q)
    return torch.addcdiv(torch.add(larger, w, alpha=1 / 3), p_3, larger, value=-1)
