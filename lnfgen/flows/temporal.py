"""Flows across time: what context each step's feature flow is given."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from lnfgen.flows.features import FeatureFlow
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
    """`eps_t = g(z_t; c_t)`, `c_t = h(z_<t, positions_<=t)`, h a causal network: time `af` (paper, section 4.2).

    `inverse` is parallel over T but for what the network itself does in order (an LSTM's recurrence). `forward` is a
    loop of T steps, each one step of the network and one feature flow. The Jacobian is block triangular in time, so its
    log-determinant is the sum of the steps'.
    """

    def __init__(self, features: FeatureFlow, network: nn.Module, input_dropout: float) -> None:
        """`network` is causal, from z and positions to the context of `features`."""
        super().__init__()
        self.features = features
        self.network = network
        self.input_dropout = nn.Dropout(input_dropout)

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        previous, state = torch.zeros_like(eps[:, 0]), None
        steps, ladjs = [], []
        for t in range(eps.shape[1]):
            inputs = torch.cat([self.input_dropout(previous), positions[:, t]], -1)
            context, state = self.network(inputs[:, None], state)
            previous, ladj = self.features(eps[:, t], context[:, 0])
            steps.append(previous)
            ladjs.append(ladj)
        return torch.stack(steps, 1), torch.stack(ladjs, 1)

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        context, _ = self.network(torch.cat([self.input_dropout(shift(z)), positions], -1))
        return self.features.inverse(z, context)
