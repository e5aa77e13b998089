"""NLSq, the non-linear squared transform of Ziegler & Rush (2019), section 4.1."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

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

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        shape = torch.broadcast_shapes(z.shape, parameters.shape[:-1])
        return _Inverse.apply(z.expand(shape), parameters.expand(*shape, -1))

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


class _Inverse(torch.autograd.Function):
    """`CoreTransform.inverse` with its gradient written out: in a loop over time its tensors are small, and the calls
    are what they cost. Each parameter's numbers lie together here, and half as many are kept as plain autograd keeps.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        p = raw.movedim(-1, 0).clone(memory_format=torch.contiguous_format)
        p[1:3].div_(LOG_SCALE_BOUND)
        p[1:4].tanh_()
        a, tanh_b, _, tanh_c, g = p
        scales = (LOG_SCALE_BOUND * p[1:3]).exp_()
        b, d = scales
        one, y = z.new_ones(()), torch.addcmul(g, d, z)
        r = torch.addcmul(one, y, y).reciprocal_()
        bump_r = (MONOTONE_LIMIT - MONOTONE_MARGIN) * tanh_c * r
        slope = torch.addcmul(one, bump_r, y * r, value=-2)
        ctx.save_for_backward(z, p[1:], scales, y, r, slope)
        value = torch.addcdiv(z, bump_r, d)
        return torch.addcmul(a, b, value), slope.log().add_(tanh_b, alpha=LOG_SCALE_BOUND)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_eps: Tensor, grad_ladj: Tensor) -> tuple[Tensor, Tensor]:
        z, tanhs, (b, d), y, r, slope = ctx.saved_tensors
        limit = MONOTONE_LIMIT - MONOTONE_MARGIN
        bump = limit * tanhs[2]
        at_value, at_slope = grad_eps * b, grad_ladj / slope
        value_c = at_value * r / d
        # slope = 1 + steep y and its derivative by y is steep (4 r - 3), as y^2 r = 1 - r
        steep = -2 * bump * r * r
        at_y = steep * torch.addcmul(at_value * y / d, at_slope, 4 * r - 3)
        gradient = z.new_empty(5, *z.shape)
        grad_b, grad_d, grad_c = gradient[1:4].unbind()
        gradient[0] = grad_eps
        gradient[4] = at_y
        by_bump = value_c * bump
        torch.addcmul(grad_ladj, at_value, z, out=grad_b).add_(by_bump)
        torch.sub(at_y * d * z, by_bump, out=grad_d)
        torch.addcmul(value_c, at_slope * y * r, r, value=-2, out=grad_c).mul_(limit)
        torch.ops.aten.tanh_backward(gradient[1:4], tanhs[:3], grad_input=gradient[1:4])
        return torch.addcmul(at_value, at_y, d), gradient.movedim(0, -1)
