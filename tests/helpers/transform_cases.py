"""Cases for elementwise transforms, and what their formulas add up.

They are for the contract tests and the accuracy table.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lnfgen.transforms import TRANSFORMS, mixture, nlsq, spline
from lnfgen.transforms.affine import shift_and_log_scale
from lnfgen.transforms.core import CoreTransform

ULPS = 64  # a solution is exact to so many units of round-off


def standard(name: str, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points `[count]` and raw parameters `[count, num_parameters]` from N(0, 1), in float32."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, TRANSFORMS[name].num_parameters)
    return torch.randn(count, generator=generator), torch.randn(shape, generator=generator)


def extreme(name: str, count: int, dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points `[count]` and raw parameters `[count, num_parameters]` of every size.

    They are standard, tiny, huge, and saturated in either direction.
    """
    generator = torch.Generator().manual_seed(seed)
    num = TRANSFORMS[name].num_parameters

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    scales = torch.tensor([1.0, 1.0, 1e-6, 5.0, 1e3], dtype=torch.float64)
    parameters = normal(count, num) * scales[torch.randint(5, (count, num), generator=generator)]
    parameters[::7] = parameters[::7].sign() * 1e3
    sizes = torch.tensor([1.0, 1.0, 1e-12, 30.0, 1e6], dtype=torch.float64)
    points = normal(count) * sizes[torch.randint(5, (count,), generator=generator)]
    points[::11] = 0
    return points.clamp(-1e6, 1e6).to(dtype), parameters.clamp(-1e3, 1e3).to(dtype)


def core(name: str, parameters: Tensor) -> tuple[CoreTransform, tuple]:
    """A transform around a core, and the core's own parameters within their bounds."""
    transform = TRANSFORMS[name]()
    assert isinstance(transform, CoreTransform)
    return transform, transform._split(parameters)[2]


def summed_terms(name: str, u: Tensor, parameters: Tensor) -> Tensor:
    """The sizes of what the closed formula adds up, whose round-off no solution can do without."""
    a, log_b = shift_and_log_scale(parameters[..., :2])
    return a.abs() + log_b.exp() * _core_terms(name, u, parameters)


def _core_terms(name: str, u: Tensor, parameters: Tensor) -> Tensor:
    if name == "affine":
        return u.abs()
    transform, p = core(name, parameters)
    value, slope = transform._value(u, p)
    if isinstance(p, nlsq._Parameters):
        return u.abs() + (2 * p.half_bump / p.d / (1 + (p.d * u + p.g) ** 2)).abs()
    if isinstance(p, mixture._Parameters):
        x = (u.unsqueeze(-1) - p.means) * p.precisions
        log_cdf = torch.logsumexp(p.log_weights + logsigmoid(x), -1)
        log_survival = torch.logsumexp(p.log_weights + logsigmoid(-x), -1)
        # The means are subtracted from u, whose round-off counts with the slope.
        return log_cdf.abs() + log_survival.abs() + (slope * u).abs()
    if isinstance(p, spline._Parameters):
        # Within the bound, knots in z and in value are sums of up to that bound.
        inside = u.abs() <= spline.TAIL_BOUND
        knots = torch.where(inside, spline.TAIL_BOUND * (1 + slope), 0)
        return knots + value.abs() + (slope * u).abs()
    raise NotImplementedError(f"{name}: say here what its formula adds up")


def ulps(name: str, v: Tensor, z: Tensor, parameters: Tensor) -> Tensor:
    """How far f(z), computed in float64, is from v.

    The unit is the round-off, in the dtype of v, of the terms that f adds up.
    """
    exact_v = v.double()
    z = z.double()
    parameters = parameters.double()
    found, _ = TRANSFORMS[name]().inverse(z, parameters)
    size = summed_terms(name, z, parameters) + exact_v.abs()
    return (found - exact_v).abs() / (torch.finfo(v.dtype).eps * size)


def non_finite(name: str, direction: str, x: Tensor, parameters: Tensor) -> int:
    """How many values or gradients of a direction are not finite."""
    x = x.clone().requires_grad_()
    parameters = parameters.clone().requires_grad_()
    y, ladj = getattr(TRANSFORMS[name](), direction)(x, parameters)
    gradients = torch.autograd.grad(y.sum() + ladj.sum(), [x, parameters])
    return sum(int((~torch.isfinite(values)).sum()) for values in (y, ladj, *gradients))
