"""The posterior q(z | x), the encoder: a network over x, or a code for each symbol."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lnfgen.config import ModelConfig
from lnfgen.device.replacements import Dropout
from lnfgen.flows.codebook import Codebook
from lnfgen.flows.features import LOG_SQRT_2PI
from lnfgen.models.observation import Observation, Symbols
from lnfgen.nn.backbones import Bidirectional
from lnfgen.transforms.bounds import bounded

# It is small, so z starts as a precise code of x; the emission would learn to ignore a noisy one.
INITIAL_LOG_VARIANCE = -3.0
# The log-variance is closer to its initial value, so that densities are finite in float32.
LOG_VARIANCE_BOUND = 12.0
# Initial deviations of the codes' centres, and of z about its centre: codes hardly overlap.
SPREAD = 4.0
SCALE = 0.22


class Gaussian(NamedTuple):
    """A diagonal normal distribution, `[..., T, D]`."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """K reparametrised samples, from noise `[K, ..., T, D]` of N(0, 1)."""
        return self.mean + torch.exp(0.5 * self.log_variance) * noise

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density of each step: z `[..., T, D]` -> `[..., T]`."""
        scaled = (z - self.mean) * torch.exp(-0.5 * self.log_variance)
        return -(0.5 * scaled**2 + 0.5 * self.log_variance + LOG_SQRT_2PI).sum(-1)


class Posterior(nn.Module):
    """`z_t ~ Normal(mean_t, variance_t)`, from a bidirectional network over x and x_t itself.

    The direct path from the embedding lets z_t copy x_t from the first updates on. Without it the
    posterior collapses.
    """

    def __init__(
        self, observation: Observation, network: Bidirectional, config: ModelConfig
    ) -> None:
        """`network` reads the embedding and positions."""
        super().__init__()
        self.embed = observation.embedding(config.embedding_size)
        self.network = network
        self.head = nn.Linear(
            2 * config.hidden_size + config.embedding_size, 2 * config.latent_size
        )
        self.dropout = Dropout(config.dropout)
        self.input_dropout = Dropout(config.input_dropout)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, lengths: Tensor, positions: Tensor) -> Gaussian:
        """The mean and log-variance `[B, T, D]` for x `[B, T]` or `[B, T, R, P]`.

        Positions are `[B, T, F]`.
        """
        embedded = self.input_dropout(self.embed(x))
        states = self.network(self.dropout(torch.cat([embedded, positions], -1)), lengths)
        head = self.head(torch.cat([states, embedded], -1))
        # Full precision even under autocast, because z and log q must use exactly the same
        # variance.
        mean, raw = head.to(self.head.weight.dtype).chunk(2, -1)
        return Gaussian(mean, INITIAL_LOG_VARIANCE + bounded(raw, LOG_VARIANCE_BOUND))


class SymbolPosterior(nn.Module):
    """`z_t ~ Normal(m_k, s_k^2)` for the symbol k = x_t: a code for each symbol.

    So z is x with noise, and all that is to be learned of the language is left to the prior. Where
    this is a mixture of the same codes (`codes`), log p(z_t | z_<t) - log q(z_t | x_t) is nearly
    the logarithm of the weight of the true code. The model is then a language model, autoregressive
    or from coarse to fine, that is written as a latent flow.

    Source: categorical normalizing flows (Lippe & Gavves 2021, arXiv 2006.09790).
    Limit: z_t says nothing about the other steps.
    """

    def __init__(self, symbols: Symbols, latent: int) -> None:
        super().__init__()
        self.codebook = Codebook(latent, symbols.num_symbols, SCALE, SPREAD)

    def forward(
        self, x: Tensor, lengths: Tensor | None = None, positions: Tensor | None = None
    ) -> Gaussian:
        """x `[...]` -> mean and log-variance `[..., D]`. Lengths and positions are not needed."""
        return Gaussian(self.codebook.means.t()[x], 2 * self.codebook.log_scales.t()[x])
