"""NLSq, the non-linear squared transform of Ziegler & Rush (2019), section 4.1."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lnfgen.transforms.bounds import LOG_SCALE_BOUND, bounded, constant
from lnfgen.transforms.core import NewtonTransform
from lnfgen.transforms.solve import solve

MONOTONE_LIMIT = 8 * math.sqrt(3) / 9
"""f is monotone while |c| d / b is at most this: the steepest descent of 1 / (1 + y^2) is 9 / (8 sqrt 3), at y = 1 /
sqrt 3."""

MONOTONE_MARGIN = 0.05
"""Kept from that limit, so that the slope stays above 0.03 b: its logarithm is finite and float32 can solve f(u) =
v."""

SMALL_STEP = 0.1
"""Newton's error after a step of s is less than 30 s^2, half the greatest curvature over the least slope; a step of so
many square roots of the round-off leaves a third of it."""

NO_STEP = 8
"""Units of round-off that Newton may move y by without a second look at the slope."""


class _Parameters(NamedTuple):
    d: Tensor
    g: Tensor
    bump: Tensor  # c d / b, within the monotone limit


class NLSq(NewtonTransform[_Parameters]):
    """Inverse (z -> eps): `a + b u + c / (1 + (d u + g)^2)` at u = z, with b, d > 0 and |c| < 8 sqrt(3) / 9 * b / d.

    `inverse` is the closed formula. `forward` solves a cubic with one real root: its closed form, which overflows and
    cancels, is only where a Newton step begins, and where that is not a small one, Newton steps inside a bracket solve
    it. Its gradient is that of the implicit function theorem. Both are elementwise; `forward` costs two to three times
    `inverse`.
    Raw parameters: a, log b, log d, c, g, the middle three before their bounds. Limit: two modes per layer.
    """

    num_parameters = 5

    def _constrain(self, raw: Tensor) -> _Parameters:
        raw_d, raw_c, g = raw.unbind(-1)
        bump = constant(MONOTONE_LIMIT - MONOTONE_MARGIN, raw) * torch.tanh(raw_c)
        return _Parameters(torch.exp(bounded(raw_d, LOG_SCALE_BOUND)), g, bump)

    def _value(self, z: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        one, y = constant(1.0, z), torch.addcmul(p.g, p.d, z)
        # y / (1 + y^2)^2 in an order that does not overflow: 1 / (1 + y^2) first. It tends to 0 for large y.
        r = torch.addcmul(one, y, y).reciprocal()
        bump_r = p.bump * r
        return z + bump_r / p.d, torch.addcmul(one, bump_r, y * r, value=-2)

    def _solve(self, t: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        """In units of y = d u + g, f(u) = t reads `y + bump / (1 + y^2) = w` with `w = t d + g`.

        A Newton step from the cubic's closed form reaches round-off where it is a small one; nearly always it is of no
        more than round-off itself, and the slope before it is the one after it. Else a second one does, and where the
        first is a large one, y is solved for inside a bracket. Steps are in u itself: y - g loses digits where g is
        large.
        """
        w = torch.addcmul(p.g, t, p.d)
        y = _cubic(w, p.bump)
        u = (y - p.g) / p.d
        value, slope = self._value(u, p)
        step = (value - t) / slope
        u, moved, one = u - step, step.abs(), constant(1.0, t)
        unit, eps = torch.addcmul(one, one, y.abs()) / p.d, torch.finfo(t.dtype).eps
        there = moved < torch.minimum(constant(NO_STEP * eps, t) * unit, u.abs())  # the second: u has digits of its own
        if bool(there.all()):
            return u, slope
        near = moved < constant(SMALL_STEP * eps**0.5, t) * unit  # not for what is no number
        again = u if bool(near.all()) else torch.where(near, u, (_bracketed(w, p.bump) - p.g) / p.d)
        value, slope_again = self._value(again, p)
        # An element does not depend on others: what needs no second step is left as it was.
        return torch.where(there, u, again - (value - t) / slope_again), torch.where(there, slope, slope_again)

    def _bracket(self, t: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        most = p.bump / p.d
        zero = constant(0.0, t)
        return t - torch.maximum(most, zero), t - torch.minimum(most, zero)


def _bracketed(w: Tensor, bump: Tensor) -> Tensor:
    """The y with `y + bump / (1 + y^2) = w`, which is within |bump| of w."""

    def evaluate(y: Tensor) -> tuple[Tensor, Tensor]:
        r = 1 / (1 + y * y)
        return y - w + bump * r, 1 - 2 * bump * (y * r * r)

    tolerance = 2 * torch.finfo(w.dtype).eps * (w.abs() + bump.abs())
    low, high = w - bump.clamp(min=0), w - bump.clamp(max=0)
    return solve(evaluate, w - bump / (1 + w * w), low, high, tolerance)


def _cubic(w: Tensor, bump: Tensor) -> Tensor:
    """The real root y of `(y - w) (1 + y^2) + bump = 0` by Cardano's formula: exact but for round-off, which near a
    triple root is that of a cube root, and not a number where w^6 overflows.

    Of the formula's two cube roots, whose product is known, the one that adds terms of one sign gives the other.
    """
    third, half = constant(1 / 3, w), constant(0.5, w)
    p_3 = torch.addcmul(third, w, w, value=-1 / 9)
    half_q = torch.addcmul(half * bump, w, torch.addcmul(third, w, w, value=1 / 27), value=-1)
    root = torch.addcmul(half_q * half_q, p_3 * p_3, p_3).clamp(min=0).sqrt()
    larger = torch.copysign((half_q.abs() + root).pow(1 / 3), half_q)
    return torch.addcdiv(third * w - larger, p_3, larger)
