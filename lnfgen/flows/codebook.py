"""A codebook: a mixture of normal distributions as a flow, for a latent that says which symbol of some fifty it is.

The prior of z_t then has a mode for each likely symbol. Layers of NLSq have two modes each, and learn fifty slowly.
The map to N(0, 1) by distribution functions, one feature after the other, is that of Rosenblatt (1952).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lnfgen.flows.features import LOG_SQRT_2PI, FeatureFlow
from lnfgen.nn.masking import tempered
from lnfgen.nn.mlp import MLP
from lnfgen.transforms.bounds import LOG_SCALE_BOUND, bounded
from lnfgen.transforms.solve import root_with_gradient, solve

MIXTURE_SCALE, READING_SCALE = 0.5, 0.3
"""Initial standard deviations of a code, where codes are mixed and where they are read. The first centres are drawn
from N(0, 1)."""

FAR = 1e9
"""A reading takes a larger |z| for this, so that its square is finite in float32."""

DEEP_TAIL = -30.0
"""Below this log-probability the first guess at a quantile is the asymptotic formula, because exp would underflow."""

TOLERANCE_ULPS = 8
"""F(z) = Phi(eps) counts as solved when it holds up to this many units of round-off of eps."""


class Codebook(nn.Module):
    """K codes: `p(z | k) = prod_d Normal(z_d; m_kd, s_kd^2)`, z `[..., D]`."""

    def __init__(self, num_features: int, num_codes: int, initial_scale: float, spread: float = 1.0) -> None:
        """The first centres are drawn from N(0, spread^2)."""
        super().__init__()
        self.num_features, self.num_codes = num_features, num_codes
        self.means = nn.Parameter(spread * torch.randn(num_features, num_codes))  # [D, K]
        self.raw_log_scales = nn.Parameter(torch.full_like(self.means, math.log(initial_scale)))

    @torch.no_grad()
    def begin_as(self, other: "Codebook") -> None:
        """Take the values of another codebook of the same size."""
        self.means.copy_(other.means)
        self.raw_log_scales.copy_(other.raw_log_scales)

    @property
    def log_scales(self) -> Tensor:
        return bounded(self.raw_log_scales, LOG_SCALE_BOUND)

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z | k) for z `[..., D]`: `[..., K]`.

        It is the sum of `log_prob_by_feature`. The constants are added after the sum, which saves passes over
        `[..., D, K]`.
        """
        log_scales = self.log_scales
        return -0.5 * _deviations(z, self.means, log_scales).square().sum(-2) - (log_scales + LOG_SQRT_2PI).sum(-2)

    def log_prob_by_feature(self, z: Tensor) -> Tensor:
        """log p(z_d | k) for z `[..., D]`: `[..., D, K]`."""
        return _log_normal(_deviations(z, self.means, self.log_scales), self.log_scales)


class CodeMixture(FeatureFlow):
    """A mixture of codes as a flow: `p(z | context) = sum_k w_k(context) p(z | k)`.

    `eps_d = Phi^-1(F_d(z_d))`, where Phi is the distribution function of N(0, 1), and F_d that of
    `p(z_d | z_<d, context)`. This is a mixture of normals too. Its weights follow from Bayes' rule: they are
    `w_k prod_{j<d} p(z_j | k)`, divided by their sum.

    `inverse` is a closed formula, and so is `log_prob`, which needs none of the F_d. `forward` solves an equation for
    one feature after the other. `draw` does not need `forward`: it chooses a code, and then z from its normal.

    At a temperature T the weights are `w_k^(1/T)`, divided by their sum, and the normal of each code stays as it is. To
    multiply eps by T would not make likely codes likelier: eps = 0 gives the median of each feature given those before
    it, so codes in the middle.
    """

    extra_noise = 1  # the last number of a step chooses the code

    def __init__(self, num_features: int, num_codes: int, num_context: int, hidden: int) -> None:
        super().__init__()
        self.codebook = Codebook(num_features, num_codes, MIXTURE_SCALE)
        self.conditioner = MLP(num_context, [hidden], num_codes)

    def log_weights(self, context: Tensor, dtype: torch.dtype, temperature: float = 1.0) -> Tensor:
        """log w_k(context) at a temperature, `[..., K]`."""
        return torch.log_softmax(tempered(self.conditioner(context).to(dtype), temperature), -1)

    def draw(self, noise: Tensor, context: Tensor, temperature: float = 1.0) -> Tensor:
        """z from noise `[..., D + 1]`, whose last number chooses the code; at temperature 0 z is the code's mean."""
        cumulative = torch.exp(self.log_weights(context, noise.dtype, temperature)).cumsum(-1)
        chosen = torch.special.ndtr(noise[..., -1:]) * cumulative[..., -1:]
        code = torch.searchsorted(cumulative, chosen)[..., 0].clamp(max=self.codebook.num_codes - 1)
        mean, log_scale = self.codebook.means.t()[code], self.codebook.log_scales.t()[code]
        return torch.addcmul(mean, torch.exp(log_scale), noise[..., :-1]) if temperature > 0 else mean

    def log_prob(self, z: Tensor, context: Tensor, temperature: float = 1.0) -> Tensor:
        return torch.logsumexp(self.log_weights(context, z.dtype, temperature) + self.codebook.log_prob(z), -1)

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        of_features = self.codebook.log_prob_by_feature(z)
        of_earlier = pad(of_features[..., :-1, :].cumsum(-2), (0, 0, 1, 0))
        weights = torch.log_softmax(self.log_weights(context, z.dtype).unsqueeze(-2) + of_earlier, -1)
        eps, ladj = NormalMixture(weights, self.codebook.means, self.codebook.log_scales).inverse(z)
        return eps, ladj.sum(-1)

    def forward(self, eps: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        weights, log_scales = self.log_weights(context, eps.dtype), self.codebook.log_scales
        features, ladjs = [], []
        for eps_d, *codes in zip(eps.unbind(-1), self.codebook.means, log_scales, strict=True):
            z_d, ladj = NormalMixture(weights, *codes).forward(eps_d)
            weights = torch.log_softmax(weights + _log_normal(_deviations(z_d, *codes), codes[1]), -1)
            features.append(z_d)
            ladjs.append(ladj)
        return torch.stack(features, -1), torch.stack(ladjs, -1).sum(-1)


class NormalMixture(NamedTuple):
    """A mixture of K normals for each of some numbers, `[...]`, as a map between them and N(0, 1)."""

    log_weights: Tensor  # [..., K]; the weights sum to 1
    means: Tensor  # what broadcasts with it, as the next
    log_scales: Tensor

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """`eps = Phi^-1(F(z))`, and log|deps/dz|, where F is the distribution function of the mixture."""
        y = _deviations(z, self.means, self.log_scales)
        eps = normal_quantile(self._log_cdf(y), self._log_cdf(-y))
        return eps, self._log_slope(y, eps)

    def forward(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        """The z with `inverse(z) = eps`, and log|dz/deps|, with gradients.

        Solved is `log F(z) = log Phi(eps)`, or above the median the same of 1 - F and 1 - Phi. Both sides are precise
        in a tail, and need half as much time as the quantile.
        """
        side = torch.where(eps < 0, 1.0, -1.0).to(eps.dtype)
        wanted = torch.special.log_ndtr(side * eps)

        def evaluate(z: Tensor) -> tuple[Tensor, Tensor]:
            y = _deviations(z, self.means, self.log_scales)
            log_tail = self._log_cdf(side.unsqueeze(-1) * y)
            slope = torch.exp(self._log_density(y) - log_tail)
            return side * (log_tail - wanted), slope.clamp(min=torch.finfo(eps.dtype).tiny)  # it must not be 0

        with torch.no_grad():
            solutions = self.means + torch.exp(self.log_scales) * eps.unsqueeze(-1)  # of each normal; z is between them
            start = (torch.exp(self.log_weights) * solutions).sum(-1)
            tolerance = TOLERANCE_ULPS * torch.finfo(eps.dtype).eps * (1 + eps.abs())
            z = solve(evaluate, start, solutions.amin(-1), solutions.amax(-1), tolerance)
        if torch.is_grad_enabled():
            z = root_with_gradient(z, *evaluate(z))
        return z, -self._log_slope(_deviations(z, self.means, self.log_scales), eps)

    def _log_cdf(self, y: Tensor) -> Tensor:
        """log F at these deviations; of their negatives it is log(1 - F)."""
        return torch.logsumexp(self.log_weights + torch.special.log_ndtr(y), -1)

    def _log_density(self, y: Tensor) -> Tensor:
        return torch.logsumexp(self.log_weights + _log_normal(y, self.log_scales), -1)

    def _log_slope(self, y: Tensor, eps: Tensor) -> Tensor:
        """log|deps/dz| at these deviations, whose value of the map is eps."""
        return self._log_density(y) + 0.5 * eps**2 + LOG_SQRT_2PI


def _deviations(z: Tensor, means: Tensor, log_scales: Tensor) -> Tensor:
    """How far z `[...]` is from the mean of each of K normals, in their standard deviations: `[..., K]`."""
    return (z.unsqueeze(-1) - means) * torch.exp(-log_scales)


def _log_normal(deviations: Tensor, log_scales: Tensor) -> Tensor:
    return -0.5 * deviations**2 - log_scales - LOG_SQRT_2PI


def _mills_ratio(size: Tensor) -> Tensor:
    """`Phi(-size) / Phi'(size)`, which is minus the derivative of size by log Phi(-size)."""
    return math.sqrt(math.pi / 2) * torch.special.erfcx(size * math.sqrt(0.5))


def normal_quantile(log_below: Tensor, log_above: Tensor) -> Tensor:
    """`Phi^-1(p)` of log p and log(1 - p), precise in both tails, with gradients."""
    is_below = log_below < log_above
    log_tail = torch.where(is_below, log_below, log_above)  # at the median `minimum` would halve both gradients
    with torch.no_grad():
        far = (-2 * log_tail).clamp(min=1 - DEEP_TAIL)
        size = torch.where(
            log_tail > DEEP_TAIL,
            -torch.special.ndtri(torch.exp(log_tail)),
            torch.sqrt(far - torch.log(2 * math.pi * far)),
        )
        for _ in range(3):  # Newton steps on log Phi(-size) = log_tail
            size = size + (torch.special.log_ndtr(-size) - log_tail) * _mills_ratio(size)
    size = size - _mills_ratio(size) * (log_tail - log_tail.detach())
    return torch.where(is_below, -size, size)


class CodeReading(nn.Module):
    """The inputs of a network from z: `sum_k p(k | z) table_k` of a codebook, and z: `[..., D]` -> `[..., E + D]`.

    All codes are as likely before z is seen. The sum is an embedding of the symbol that z stands for.
    """

    def __init__(self, num_features: int, num_codes: int, embedding: int) -> None:
        super().__init__()
        self.codebook = Codebook(num_features, num_codes, READING_SCALE)
        self.table = nn.Parameter(torch.randn(num_codes, embedding))

    def forward(self, z: Tensor) -> Tensor:
        shares = torch.softmax(self.codebook.log_prob(z.clamp(-FAR, FAR)), -1)
        return torch.cat([shares @ self.table, z], -1)
