"""The monotone rational-quadratic spline (Durkan et al., 2019, arXiv 1906.04032, section 3)."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from lnfgen.transforms.affine import shift_and_log_scale
from lnfgen.transforms.bounds import bounded
from lnfgen.transforms.core import CoreTransform

NUM_BINS = 8  # as in most experiments of that paper; one mode needs about two bins
# The spline covers ±this, where nearly all of a latent of unit scale lies; its tails are linear.
TAIL_BOUND = 5.0

MIN_BIN = 0.03
"""The least share of a bin in the width and in the height of the spline. So the mean slope s of a
bin is 0.038 to 26. The slope in its middle is 2 s^2 / (s + t), with t at both knots, or 4e-4 to 52,
which float32 can invert."""

# |log slope| at a knot stays below this; a flat bin between steep knots has a flatter middle.
LOG_SLOPE_BOUND = 2.0
# Newton steps follow the quadratic formula, which loses digits in a flat bin between steep knots.
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
    """Inverse (z -> eps): `a + b S(z)` with b > 0, where S is a spline of rational quadratics.

    S is the spline within ±5 and the identity beyond. A bin begins at the point (x, y) and has
    width w, height h, mean slope s = h / w, and slopes l and r at its ends. With `q = (z - x) / w`,
    it is `S(z) = y + h (s q^2 + l q (1 - q)) / (s + (l + r - 2 s) q (1 - q))`. `inverse` is the
    closed formula. `forward` solves a quadratic equation and refines its root by Newton steps,
    which costs about twice as much. Raw parameters: a, log b, 8 widths and 8 heights before their
    softmax, and 7 log slopes at the inner knots. Limit: the slope at a knot gets gradients only
    from points in the two bins beside it.
    """

    num_parameters = 2 + 3 * NUM_BINS - 1

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, _Parameters]:
        sizes = [2, NUM_BINS, NUM_BINS, NUM_BINS - 1]
        affine, widths, heights, raw_slopes = parameters.split(sizes, -1)
        a, log_b = shift_and_log_scale(affine)
        inner_slopes = torch.exp(bounded(raw_slopes, LOG_SLOPE_BOUND))
        slopes = pad(inner_slopes, (1, 1), value=1.0)  # at the outer knots as in the tails
        return a, log_b, _Parameters(_knots(widths), _knots(heights), slopes)

    def _value(self, z: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        """S(z) and its slope."""
        inside = z.abs() <= TAIL_BOUND
        # values and gradients in the unused branch must not overflow
        bent = torch.where(inside, z, 0)
        value, slope = _within(bent, _bin(bent, p.x, p))
        return torch.where(inside, value, z), torch.where(inside, slope, 1)

    def _solve(self, t: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        """The z with S(z) = t, and S'(z).

        In the bin of t, q solves `a q^2 + b q = c`, by the formula that does not cancel.
        """
        inside = t.abs() <= TAIL_BOUND
        bent = torch.where(inside, t, 0)
        k = _bin(bent, p.y, p)
        rise = (bent - k.y) / k.height
        mean = k.height / k.width
        excess = rise * (k.left + k.right - 2 * mean)
        a = mean - k.left + excess
        b = k.left - excess
        c = mean * rise
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
    """Raw widths or heights `[..., bins]` -> knots `[..., bins + 1]`.

    Knots increase from -TAIL_BOUND to TAIL_BOUND.
    """
    shares = MIN_BIN + (1 - NUM_BINS * MIN_BIN) * torch.softmax(raw, -1)
    inner = TAIL_BOUND * (2 * shares[..., :-1].cumsum(-1) - 1)
    return pad(pad(inner, (1, 0), value=-TAIL_BOUND), (0, 1), value=TAIL_BOUND)


def _bin(points: Tensor, knots: Tensor, p: _Parameters) -> _Bin:
    """The bin of each point `[..., D]` among knots `[..., D, bins + 1]`, in z or in value.

    A point at a knot is in the bin to its right.
    """
    index = (points.detach().unsqueeze(-1) >= knots[..., 1:-1]).sum(-1, keepdim=True)

    def ends(values: Tensor) -> tuple[Tensor, Tensor]:
        """Values at the knots -> those at both ends of the bins of the points."""
        values = values.expand(*points.shape, NUM_BINS + 1)
        return values.gather(-1, index).squeeze(-1), values.gather(-1, index + 1).squeeze(-1)

    x, next_x = ends(p.x)
    y, next_y = ends(p.y)
    left, right = ends(p.slopes)
    return _Bin(x, next_x, y, next_x - x, next_y - y, left, right)


def _within(z: Tensor, k: _Bin) -> tuple[Tensor, Tensor]:
    """S(z) and S'(z), each `[..., D]`, for z inside bin k."""
    q = (z - k.x) / k.width
    rest = (k.next_x - z) / k.width  # 1 - q
    mean = k.height / k.width
    denominator = mean + (k.left + k.right - 2 * mean) * q * rest
    value = k.y + k.height * q * (mean * q + k.left * rest) / denominator
    rise = k.right * q * q + 2 * mean * q * rest + k.left * rest * rest
    return value, (mean / denominator) ** 2 * rise
