"""The mixture-of-logistics transform of Flow++ (Ho et al., 2019, arXiv 1902.00275), section 3.2."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from lnfgen.transforms.affine import shift_and_log_scale
from lnfgen.transforms.bounds import bounded
from lnfgen.transforms.core import CoreTransform
from lnfgen.transforms.solve import solve

# K: up to four modes a layer, twice as many as with NLSq. Both directions cost in proportion.
NUM_COMPONENTS = 4
# |mean| stays below this. A latent of unit scale is hardly ever larger, and the affine map can
# shift it.
MEAN_BOUND = 6.0

COMPONENT_LOG_SCALE_BOUND = 2.0
"""|log scale| of a component stays below this. Between two components of scale e^s with means of
+-MEAN_BOUND, the slope falls to about exp(-MEAN_BOUND / e^s), at s = -2 to e^-44, which float32 can
represent in all gradients."""

# |logit of a weight| stays below this; less than e^-10 of another one's weight has no effect.
LOG_WEIGHT_BOUND = 5.0
# logit(F(z)) = t is solved up to so many units of round-off of 1 + |t|, the size of its terms.
TOLERANCE_ULPS = 8


class _Parameters(NamedTuple):
    log_weights: Tensor  # [..., D, K], as the other two
    means: Tensor
    precisions: Tensor  # 1 / scale


class Mixture(CoreTransform[_Parameters]):
    """Inverse (z -> eps): `a + b logit(F(z))`, where F is a mixture of K logistics.

    b > 0 and `F(z) = sum_k w_k sigmoid((z - m_k) / s_k)`. `inverse` is the closed formula. It uses
    log F and log(1 - F) by log-sum-exp, so that it stays precise in the tails, which are linear.
    `forward` solves logit(F(z)) = t by Newton steps and costs ten to fifteen times as much. Raw
    parameters: a, log b, K logits of w, K means m, K log scales, all but a before their bounds. If
    all are 0, each component is the standard logistic, whose logit is z. Components separate only
    if their parameters differ, as the random initial weights of a network ensure. Limit: K modes
    per layer, within the bound on the means.
    """

    num_parameters = 2 + 3 * NUM_COMPONENTS

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, _Parameters]:
        a, log_b = shift_and_log_scale(parameters[..., :2])
        of_components = parameters[..., 2:].unflatten(-1, (3, NUM_COMPONENTS))
        logits, raw_means, raw_scales = of_components.unbind(-2)
        log_weights = torch.log_softmax(bounded(logits, LOG_WEIGHT_BOUND), -1)
        means = bounded(raw_means, MEAN_BOUND)
        precisions = torch.exp(-bounded(raw_scales, COMPONENT_LOG_SCALE_BOUND))
        return a, log_b, _Parameters(log_weights, means, precisions)

    def _value(self, z: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        """logit(F(z)) and its slope.

        The slope is F'/F + F'/(1 - F). Each term is a mean of the components' own slopes, weighted
        by their shares of F or of 1 - F. All summands are positive, so nothing cancels; log F' -
        log F - log(1 - F) would in the tails.
        """
        x = (z.unsqueeze(-1) - p.means) * p.precisions
        below = p.log_weights + logsigmoid(x)
        above = p.log_weights + logsigmoid(-x)
        log_cdf = torch.logsumexp(below, -1)
        log_survival = torch.logsumexp(above, -1)
        shares_below = torch.exp(below - log_cdf.unsqueeze(-1)) * torch.sigmoid(-x)
        shares_above = torch.exp(above - log_survival.unsqueeze(-1)) * torch.sigmoid(x)
        slope = ((shares_below + shares_above) * p.precisions).sum(-1)
        return log_cdf - log_survival, slope

    def _solve(self, t: Tensor, p: _Parameters) -> tuple[Tensor, Tensor]:
        # F is a mean of the components, so the solution lies between those of the single
        # components.
        solutions = p.means + t.unsqueeze(-1) / p.precisions  # [..., D, K]
        start = (torch.exp(p.log_weights) * solutions).sum(-1)

        def evaluate(z: Tensor) -> tuple[Tensor, Tensor]:
            value, slope = self._value(z, p)
            return value - t, slope

        tolerance = TOLERANCE_ULPS * torch.finfo(t.dtype).eps * (1 + t.abs())
        z = solve(evaluate, start, solutions.amin(-1), solutions.amax(-1), tolerance)
        return z, self._value(z, p)[1]
