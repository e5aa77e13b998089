"""p(x_t | z)."""

import torch
from torch import Tensor, nn

from lnfgen.nn.lstm import BidirectionalLSTM
from lnfgen.nn.mlp import MLP


class Emission(nn.Module):
    """Logits of x_t from z_<t and z_>t through a bidirectional LSTM shifted on both sides, and from z_t itself.

    Parallel over t but for the LSTM's own recurrence: given z, the steps of x are independent (paper, section 4.3).
    """

    def __init__(
        self, latent: int, num_positions: int, hidden: int, num_layers: int, num_logits: int, dropout: float
    ) -> None:
        super().__init__()
        self.lstm = BidirectionalLSTM(latent + num_positions, hidden, num_layers, dropout, exclusive=True)
        self.mlp = MLP(2 * hidden + latent + num_positions, [hidden], num_logits, dropout=dropout)

    def forward(self, z: Tensor, lengths: Tensor, positions: Tensor) -> Tensor:
        """z `[N, T, D]`, positions `[N, T, F]` -> logits `[N, T, num_logits]`."""
        states = self.lstm(torch.cat([z, positions], -1), lengths)
        return self.mlp(torch.cat([states, z, positions], -1))


class CausalEmission(nn.Module):
    """Logits of x_t from the state of a causal network at t and positions: the baseline's output."""

    def __init__(self, hidden: int, num_positions: int, num_logits: int, dropout: float) -> None:
        super().__init__()
        self.mlp = MLP(hidden + num_positions, [hidden], num_logits, dropout=dropout)

    def forward(self, states: Tensor, positions: Tensor) -> Tensor:
        return self.mlp(torch.cat([states, positions], -1))
