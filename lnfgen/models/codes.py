"""A latent that is a point for each symbol, and an encoder and a decoder that know only these points."""

import copy

from torch import Tensor, nn

from lnfgen.flows.codebook import Codebook
from lnfgen.models.observation import Symbols
from lnfgen.models.output import FactorisedHead
from lnfgen.models.posterior import Gaussian

SPREAD, SCALE = 4.0, 0.22
"""Initial standard deviations of the centres of the codes, and of z about its centre. The codes hardly overlap, so that
z starts as a precise code of x, which it must (see `models.posterior`)."""


class SymbolPosterior(nn.Module):
    """`z_t ~ Normal(m_k, s_k^2)` for the symbol k = x_t: a code for each symbol.

    So z is x with noise, and all that is to be learned of the language is left to the prior. Where this is a mixture of
    the same codes (`codes`), log p(z_t | z_<t) - log q(z_t | x_t) is nearly the logarithm of the weight of the true
    code. The model is then a language model, autoregressive or from coarse to fine, that is written as a latent flow.

    Source: categorical normalizing flows (Lippe & Gavves 2021, arXiv 2006.09790), whose encoding is a mixture with one
    distribution for each value of a variable.

    Limit: z_t says nothing about the other steps.
    """

    def __init__(self, symbols: Symbols, latent: int) -> None:
        super().__init__()
        self.codebook = Codebook(latent, symbols.num_symbols, SCALE, SPREAD)

    def forward(self, x: Tensor, lengths: Tensor | None = None, positions: Tensor | None = None) -> Gaussian:
        """x `[...]` -> mean and log-variance `[..., D]`. Lengths and positions are not needed."""
        return Gaussian(self.codebook.means.t()[x], 2 * self.codebook.log_scales.t()[x])


class SymbolHead(FactorisedHead):
    """`p(x_t = k | z_t) = p(z_t | k) / sum_j p(z_t | j)` of a codebook: Bayes' rule, where all codes are as likely."""

    def __init__(self, symbols: Symbols, codes: Codebook) -> None:
        """It begins with a copy of these codes."""
        super().__init__(symbols)
        self.codebook = copy.deepcopy(codes)

    def logits(self, context: Tensor) -> Tensor:
        return self.codebook.log_prob(context.to(self.dtype))
