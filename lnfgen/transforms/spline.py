"""The monotone rational-quadratic spline of Durkan et al. (2019, arXiv 1906.04032), sections 3.1 and 3.2."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from lnfgen.transforms.affine import shift_and_log_scale
from lnfgen.transforms.bounds import bounded
from lnfgen.transforms.core import CoreTransform

NUM_BINS = 8
"""As in most of the paper's experiments; a mode takes about two."""

TAIL_BOUND = 5.0
"""The spline bends within ±this, where a latent of unit scale lies; beyond, the tails are linear."""

MIN_BIN = 0.03
"""Least share of a bin in the spline's width and in its height, so that a bin's mean slope s is 0.038 to 26. In its
middle the slope is 2 s^2 / (s + t), t that of its knots: with the bound on t, 4e-4 to 52 everywhere, which float32
inverts."""

LOG_SLOPE_BOUND = 2.0
"""|log slope| at a knot stays below this: steeper knots beside a flat bin make its middle flatter still."""

POLISHING_STEPS = 2
"""Newton steps after the quadratic formula, whose discriminant cancels where a bin is flat between steep knots."""


class _Parameters(NamedTuple):
    x: Tensor  # knots, [..., D, bins + 1], as the others
    y: Tensor
    slopes: Tensor


class _Bin(NamedTuple):
    """The bin that each element lies in; all `[..., D]`."""

    x: Tensor  # where it begins
    next_x: Tensor
    y: Tensor
    width: Tensor
    height: Tensor
    left: Tensor  # slopes at its ends
    right: Tensor


class Spline(CoreTransform[_Parameters]):
    """Inverse (z -> eps): `a + b S(z)`, b > 0, S a rational-quadratic spline within ±5 and the identity beyond.

    In the bin from (x, y), of width w, height h, mean slope s = h / w, and slopes l and r at its ends, with
    `q = (z - x) / w`: `S(z) = y + h (s q^2 + l q (1 - q)) / (s + (l + r - 2 s) q (1 - q))`.
    Both directions are elementwise and closed: `forward` solves a quadratic equation, then polishes its root, and takes
    its gradient from the implicit function theorem. It costs about twice `inverse`.
    Raw parameters: a, log b, 8 widths and 8 heights before their softmax, 7 log slopes of the inner knots.
    Limit: local, a parameter that shapes a knot's slope learns from the points in the two bins beside it alone.
    """

    num_parameters = 2 + 3 * NUM_BINS - 1

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, _Parameters]:
        affine, widths, heights, slopes = parameters.split([2, NUM_BINS, NUM_BINS, NUM_BINS - 1], -1)
        slopes = pad(torch.exp(bounded(slopes, LOG_SLOPE_BOUND)), (1, 1), value=1.0)  # 1: the tails'
        return *shift_and_log_scale(affine), _Parameters(_knots(widths), _knots(heights), slopes)

    def _value(self, z: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        """S(z) and its slope."""
        inside = z.abs() <= TAIL_BOUND
        bent = torch.where(inside, z, 0)  # so that nothing overflows, in value or gradient, in the branch not taken
        value, slope = _within(bent, _bin(bent, p.x, p))
        return torch.where(inside, value, z), torch.where(inside, slope, 1)

    def _solve(self, t: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        """The z with S(z) = t: a root of `A q^2 + B q = C` in t's bin, by whichever formula adds terms of one sign."""
        inside = t.abs() <= TAIL_BOUND
        bent = torch.where(inside, t, 0)
        k = _bin(bent, p.y, p)
        rise, mean = (bent - k.y) / k.height, k.height / k.width
        excess = rise * (k.left + k.right - 2 * mean)
        a, b, c = mean - k.left + excess, k.left - excess, mean * rise
        root = torch.sqrt((b * b + 4 * a * c).clamp(min=0))
        # Where b < 0, a = mean - b > 0; where b >= 0, b + root > 0: else l and the rise would both be 0.
        q = torch.where(b < 0, (root - b) / (2 * a), 2 * c / (b + root)).clamp(0, 1)
        z = k.x + q * k.width
        for _ in range(POLISHING_STEPS):
            value, slope = _within(z, k)
            z = torch.minimum(torch.maximum(z - (value - bent) / slope, k.x), k.next_x)
        z = torch.where(inside, z, t)
        return z, self._value(z, p)[1]


def _knots(raw: Tensor) -> Tensor:
    """`[..., bins]` unconstrained -> `[..., bins + 1]` increasing from -TAIL_BOUND to TAIL_BOUND, ends exact."""
    shares = MIN_BIN + (1 - NUM_BINS * MIN_BIN) * torch.softmax(raw, -1)
    inner = TAIL_BOUND * (2 * shares[..., :-1].cumsum(-1) - 1)
    return pad(pad(inner, (1, 0), value=-TAIL_BOUND), (0, 1), value=TAIL_BOUND)


def _bin(at: Tensor, knots: Tensor, p: _Parameters) -> _Bin:
    """The bin of each element by the given knots, a knot being in the bin that it begins."""
    index = (at.detach().unsqueeze(-1) >= knots[..., 1:-1]).sum(-1, keepdim=True)

    def ends(values: Tensor) -> tuple[Tensor, Tensor]:
        values = values.expand(*at.shape, NUM_BINS + 1)
        return values.gather(-1, index).squeeze(-1), values.gather(-1, index + 1).squeeze(-1)

    (x, next_x), (y, next_y), (left, right) = ends(p.x), ends(p.y), ends(p.slopes)
    return _Bin(x, next_x, y, next_x - x, next_y - y, left, right)


def _within(z: Tensor, k: _Bin) -> tuple[Tensor, Tensor]:
    q = (z - k.x) / k.width
    rest = (k.next_x - z) / k.width  # 1 - q
    mean = k.height / k.width
    denominator = mean + (k.left + k.right - 2 * mean) * q * rest
    value = k.y + k.height * q * (mean * q + k.left * rest) / denominator
    rise = k.right * q * q + 2 * mean * q * rest + k.left * rest * rest
    return value, (mean / denominator) ** 2 * rise
