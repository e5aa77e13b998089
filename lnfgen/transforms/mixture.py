"""The mixture-of-logistics transform of Flow++ (Ho et al., 2019, arXiv 1902.00275), section 3.2."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lnfgen.transforms.affine import shift_and_log_scale
from lnfgen.transforms.bounds import bounded
from lnfgen.transforms.core import CoreTransform
from lnfgen.transforms.solve import solve

NUM_COMPONENTS = 4
"""Up to four modes per layer, twice NLSq's. Both directions cost in proportion to it."""

MEAN_BOUND = 6.0
"""|mean| stays below this: a latent of unit scale is hardly ever further out, and farther ones meet the affine part."""

COMPONENT_LOG_SCALE_BOUND = 2.0
"""|log scale| of a component stays below this. Between two components of scale e^s at the means' bounds the slope falls
to about exp(-MEAN_BOUND / e^s), here e^-44: float32 holds it, its reciprocal, and the products in a gradient. The
affine part scales further."""

LOG_WEIGHT_BOUND = 5.0
"""|logit of a weight| stays below this: a component of less than e^-10 of another's weight is one that no data sees."""

TOLERANCE_ULPS = 8
"""logit(F(z)) = t, whose terms are about 1 + |t|, is solved once it holds to this many ulp of them: their round-off."""


class _Parameters(NamedTuple):
    log_weights: Tensor  # [..., D, K], as the others
    means: Tensor
    precisions: Tensor  # 1 / scale


class Mixture(CoreTransform[_Parameters]):
    """Inverse (z -> eps): `a + b logit(F(z))`, b > 0, with `F(z) = sum_k w_k sigmoid((z - m_k) / s_k)`, K logistics.

    `inverse` is the closed formula, from log F and log(1 - F) by log-sum-exp, so that the tails, which are linear, keep
    their precision. `forward` solves logit(F(z)) = t by Newton steps between the least and the greatest of the
    components' own solutions `m_k + s_k t`; its gradient is that of the implicit function theorem. Both are
    elementwise; `forward` costs ten to fifteen times `inverse`.
    Raw parameters: a, log b, K logits of w, K means, K log scales, all but the first before their bounds. At 0 the
    components coincide in the standard logistic, whose logit is z; unequal parameters, as a network's random weights
    give, move them apart. Limit: K modes per layer, within the bound on the means.
    """

    num_parameters = 2 + 3 * NUM_COMPONENTS

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, _Parameters]:
        logits, raw_means, raw_scales = parameters[..., 2:].unflatten(-1, (3, NUM_COMPONENTS)).unbind(-2)
        return *shift_and_log_scale(parameters[..., :2]), _Parameters(
            torch.log_softmax(bounded(logits, LOG_WEIGHT_BOUND), -1),
            bounded(raw_means, MEAN_BOUND),
            torch.exp(-bounded(raw_scales, COMPONENT_LOG_SCALE_BOUND)),
        )

    def _value(self, z: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        """logit(F(z)) and its slope.

        The slope is F'/F + F'/(1 - F), each a mean of the components' own under their shares of F and of 1 - F: sums of
        positive terms of moderate size, where the difference of the three logarithms would cancel in the tails.
        """
        x = (z.unsqueeze(-1) - p.means) * p.precisions
        below, above = p.log_weights + logsigmoid(x), p.log_weights + logsigmoid(-x)
        log_cdf, log_survival = torch.logsumexp(below, -1), torch.logsumexp(above, -1)
        shares_below = torch.exp(below - log_cdf.unsqueeze(-1)) * torch.sigmoid(-x)
        shares_above = torch.exp(above - log_survival.unsqueeze(-1)) * torch.sigmoid(x)
        return log_cdf - log_survival, ((shares_below + shares_above) * p.precisions).sum(-1)

    def _solve(self, t: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        own = _own_solutions(t, p)
        start = (torch.exp(p.log_weights) * own).sum(-1)

        def evaluate(z: Tensor) -> tuple[Tensor, Tensor]:
            value, slope = self._value(z, p)
            return value - t, slope

        tolerance = TOLERANCE_ULPS * torch.finfo(t.dtype).eps * (1 + t.abs())
        z = solve(evaluate, start, own.amin(-1), own.amax(-1), tolerance)
        return z, self._value(z, p)[1]


def _own_solutions(t: Tensor, p: _Parameters) -> Tensor:
    """Each component's z with logit(F(z)) = t, `[..., D, K]`: F is a mean of theirs, so its z lies between them."""
    return p.means + t.unsqueeze(-1) / p.precisions
