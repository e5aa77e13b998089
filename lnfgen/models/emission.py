"""p(x_t | z)."""

import torch
from torch import Tensor, nn

from lnfgen.nn.mlp import MLP


class Emission(nn.Module):
    """Logits of x_t from z_<t and z_>t through a bidirectional network shifted on both sides, and from z_t itself.

    Parallel over t but for the network's own recurrence, if it has one: given z, the steps of x are independent (paper,
    section 4.3).
    """

    def __init__(
        self, network: nn.Module, latent: int, num_positions: int, hidden: int, num_logits: int, dropout: float
    ) -> None:
        """`network` is bidirectional and exclusive, from `latent + num_positions` features to `2 * hidden`."""
        super().__init__()
        self.network = network
        self.mlp = MLP(2 * hidden + latent + num_positions, [hidden], num_logits, dropout=dropout)

    def forward(self, z: Tensor, lengths: Tensor, positions: Tensor) -> Tensor:
        """z `[N, T, D]`, positions `[N, T, F]` -> logits `[N, T, num_logits]`."""
        states = self.network(torch.cat([z, positions], -1), lengths)
        return self.mlp(torch.cat([states, z, positions], -1))


class CausalEmission(nn.Module):
    """Logits of x_t from the state of a causal network at t and positions: the baseline's output."""

    def __init__(self, hidden: int, num_positions: int, num_logits: int, dropout: float) -> None:
        super().__init__()
        self.mlp = MLP(hidden + num_positions, [hidden], num_logits, dropout=dropout)

    def forward(self, states: Tensor, positions: Tensor) -> Tensor:
        return self.mlp(torch.cat([states, positions], -1))
