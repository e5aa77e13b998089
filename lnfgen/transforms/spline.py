"""The monotone rational-quadratic spline (Durkan et al., 2019, arXiv 1906.04032, sections 3.1 and
3.2)."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from lnfgen.transforms.affine import shift_and_log_scale
from lnfgen.transforms.bounds import bounded
from lnfgen.transforms.core import CoreTransform

NUM_BINS = 8  # as in most experiments of that paper; one mode needs about two bins
# the spline covers ±this, where nearly all of a latent of unit scale lies; its tails are linear
TAIL_BOUND = 5.0

MIN_BIN = 0.03
"""The least share of a bin in the width and in the height of the spline. So the mean slope s of a
bin is 0.038 to 26. The slope in its middle is 2 s^2 / (s + t), with t at both knots, or 4e-4 to 52,
which float32 can invert."""

# |log slope| at a knot is below; a flat bin between steep knots has an even flatter middle
LOG_SLOPE_BOUND = 2.0
# Newton steps after the quadratic formula, which loses digits in a flat bin between steep knots
POLISHING_STEPS = 2


class _Parameters(NamedTuple):
    x: Tensor  # the knots in z, [..., D, bins + 1], as the other two
    y: Tensor  # the values at the knots
    slopes: Tensor  # the slopes at the knots


class _Bin(NamedTuple):
    """The bin that each element lies in; all `[..., D]`."""

    x: Tensor  # its left end
    next_x: Tensor
    y: Tensor  # the value at its left end
    width: Tensor
    height: Tensor
    left: Tensor  # the slope at its left end
    right: Tensor  # the slope at its right end


class Spline(CoreTransform[_Parameters]):
    """Inverse (z -> eps): `a + b S(z)` with b > 0. S is a rational-quadratic spline within ±5 and
    the identity beyond.

    A bin begins at the point (x, y) and has width w, height h, mean slope s = h / w, and slopes l
    and r at its ends. With `q = (z - x) / w`, it is `S(z) = y + h (s q^2 + l q (1 - q)) / (s + (l +
    r - 2 s) q (1 - q))`. `inverse` is the closed formula. `forward` solves a quadratic equation and
    refines its root by Newton steps, which costs about twice as much. Raw parameters: a, log b, 8
    widths and 8 heights before their softmax, and 7 log slopes at the inner knots. Limit: the slope
    at a knot gets gradients only from points in the two bins beside it.
    """

    num_parameters = 2 + 3 * NUM_BINS - 1

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, _Parameters]:
        affine, widths, heights, slopes = parameters.split(
            [2, NUM_BINS, NUM_BINS, NUM_BINS - 1], -1
        )
        # as in the tails
        slopes = pad(torch.exp(bounded(slopes, LOG_SLOPE_BOUND)), (1, 1), value=1.0)
        return *shift_and_log_scale(affine), _Parameters(_knots(widths), _knots(heights), slopes)

    def _value(self, z: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        """S(z) and its slope."""
        inside = z.abs() <= TAIL_BOUND
        # values and gradients in the unused branch must not overflow
        bent = torch.where(inside, z, 0)
        value, slope = _within(bent, _bin(bent, p.x, p))
        return torch.where(inside, value, z), torch.where(inside, slope, 1)

    def _solve(self, t: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        """The z with S(z) = t. In the bin of t, q solves `a q^2 + b q = c`, by the formula that
        does not cancel."""
        inside = t.abs() <= TAIL_BOUND
        bent = torch.where(inside, t, 0)
        k = _bin(bent, p.y, p)
        rise, mean = (bent - k.y) / k.height, k.height / k.width
        excess = rise * (k.left + k.right - 2 * mean)
        a, b, c = mean - k.left + excess, k.left - excess, mean * rise
        root = torch.sqrt((b * b + 4 * a * c).clamp(min=0))
        # Neither divisor is 0: where b < 0, a = mean - b > 0; where b >= 0, b + root is 0 only if l
        # = 0, but l > 0.
        q = torch.where(b < 0, (root - b) / (2 * a), 2 * c / (b + root)).clamp(0, 1)
        z = k.x + q * k.width
        for _ in range(POLISHING_STEPS):
            value, slope = _within(z, k)
            z = torch.minimum(torch.maximum(z - (value - bent) / slope, k.x), k.next_x)
        z = torch.where(inside, z, t)
        return z, self._value(z, p)[1]


def _knots(raw: Tensor) -> Tensor:
    """Raw widths or heights `[..., bins]` -> knots `[..., bins + 1]` that increase from -TAIL_BOUND
    to TAIL_BOUND."""
    shares = MIN_BIN + (1 - NUM_BINS * MIN_BIN) * torch.softmax(raw, -1)
    inner = TAIL_BOUND * (2 * shares[..., :-1].cumsum(-1) - 1)
    return pad(pad(inner, (1, 0), value=-TAIL_BOUND), (0, 1), value=TAIL_BOUND)


def _bin(points: Tensor, knots: Tensor, p: _Parameters) -> _Bin:
    """The bin of each point by the given knots, in z or in value. A point at a knot is in the bin
    to its right."""
    index = (points.detach().unsqueeze(-1) >= knots[..., 1:-1]).sum(-1, keepdim=True)

    def ends(values: Tensor) -> tuple[Tensor, Tensor]:
        values = values.expand(*points.shape, NUM_BINS + 1)
        return values.gather(-1, index).squeeze(-1), values.gather(-1, index + 1).squeeze(-1)

    (x, next_x), (y, next_y), (left, right) = ends(p.x), ends(p.y), ends(p.slopes)
    return _Bin(x, next_x, y, next_x - x, next_y - y, left, right)


def _within(z: Tensor, k: _Bin) -> tuple[Tensor, Tensor]:
    """S(z) and S'(z) for z inside bin k."""
    q = (z - k.x) / k.width
    rest = (k.next_x - z) / k.width  # 1 - q
    mean = k.height / k.width
    denominator = mean + (k.left + k.right - 2 * mean) * q * rest
    value = k.y + k.height * q * (mean * q + k.left * rest) / denominator
    rise = k.right * q * q + 2 * mean * q * rest + k.left * rest * rest
    return value, (mean / denominator) ** 2 * rise
