"""q(z | x)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lnfgen.models.observation import Observation
from lnfgen.nn.dropout import Dropout
from lnfgen.transforms.bounds import bounded

INITIAL_LOG_VARIANCE = -3.0
"""Starts z as a sharp copy of x rather than as noise that the emission learns to ignore: posterior collapse."""

LOG_VARIANCE_BOUND = 12.0
"""Distance that the log-variance may move from its start: a density of float32's range, and no zero variance."""


class Gaussian(NamedTuple):
    """A diagonal normal, `[..., T, D]`."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Reparametrised: noise `[K, ..., T, D]` from N(0, 1)."""
        return self.mean + torch.exp(0.5 * self.log_variance) * noise


class Posterior(nn.Module):
    """`z_t ~ Normal(mean_t, variance_t)`, both of a bidirectional network over x and of the embedding of x_t itself.

    The direct path lets z_t copy x_t from the first updates on; without it the posterior collapses. Parallel over
    samples.
    """

    def __init__(
        self,
        observation: Observation,
        network: nn.Module,
        embedding: int,
        num_states: int,
        latent: int,
        dropout: float,
        input_dropout: float,
    ) -> None:
        """`network` is bidirectional, from the embedding and positions to `num_states` features."""
        super().__init__()
        self.embed = observation.embedding(embedding)
        self.network = network
        self.head = nn.Linear(num_states + embedding, 2 * latent)
        self.dropout, self.input_dropout = Dropout(dropout), Dropout(input_dropout)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, lengths: Tensor, positions: Tensor) -> Gaussian:
        """x `[B, T]` or `[B, T, P]`, positions `[B, T, F]` -> a `Gaussian` `[B, T, D]`."""
        embedded = self.input_dropout(self.embed(x))
        states = self.network(self.dropout(torch.cat([embedded, positions], -1)), lengths)
        head = self.head(torch.cat([states, embedded], -1))
        # In full even under autocast: z and log q must be of one and the same variance.
        mean, raw = head.to(self.head.weight.dtype).chunk(2, -1)
        return Gaussian(mean, INITIAL_LOG_VARIANCE + bounded(raw, LOG_VARIANCE_BOUND))
