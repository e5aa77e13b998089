"""Flows across time: what context each step's feature flow is given."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from lnfgen.flows.features import FeatureFlow
from lnfgen.nn.lstm import CausalLSTM
from lnfgen.nn.masking import shift


class TemporalFlow(nn.Module, ABC):
    """eps, z `[N, T, D]`, positions `[N, T, F]` and lengths `[N]`; log-determinants `[N, T]`."""

    @abstractmethod
    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]: ...

    @abstractmethod
    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]: ...


class IndependentFlow(TemporalFlow):
    """`eps_t = g(z_t; positions_t)`: time `none`. Parallel in both directions; steps are independent given the
    length."""

    def __init__(self, features: FeatureFlow) -> None:
        super().__init__()
        self.features = features

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.features(eps, positions)

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.features.inverse(z, positions)


class AutoregressiveFlow(TemporalFlow):
    """`eps_t = g(z_t; c_t)`, `c_t = LSTM(z_<t, positions_<=t)`: time `af` (paper, section 4.2).

    `inverse` is parallel over T but for the LSTM's own recurrence: one call of it, then every step at once. `forward`
    is a loop of T steps, each one LSTM step and one feature flow. The Jacobian is block triangular in time, so its
    log-determinant is the sum of the steps'.
    """

    def __init__(
        self,
        features: FeatureFlow,
        num_features: int,
        num_positions: int,
        hidden: int,
        num_layers: int,
        dropout: float,
        input_dropout: float,
    ) -> None:
        super().__init__()
        self.features = features
        self.lstm = CausalLSTM(num_features + num_positions, hidden, num_layers, dropout)
        self.input_dropout = nn.Dropout(input_dropout)

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        previous, state = torch.zeros_like(eps[:, 0]), None
        steps, ladjs = [], []
        for t in range(eps.shape[1]):
            inputs = torch.cat([self.input_dropout(previous), positions[:, t]], -1)
            context, state = self.lstm(inputs[:, None], state)
            previous, ladj = self.features(eps[:, t], context[:, 0])
            steps.append(previous)
            ladjs.append(ladj)
        return torch.stack(steps, 1), torch.stack(ladjs, 1)

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        context, _ = self.lstm(torch.cat([self.input_dropout(shift(z)), positions], -1))
        return self.features.inverse(z, context)
