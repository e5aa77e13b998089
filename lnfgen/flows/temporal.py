"""Flows across time. They differ in the context that the feature flow of each step receives."""

from abc import ABC, abstractmethod
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from lnfgen.flows.features import FeatureFlow, with_base
from lnfgen.flows.solver import Solver
from lnfgen.nn.dropout import Dropout
from lnfgen.nn.masking import length_mask, shift
from lnfgen.nn.stepper import looping, stepper


class TemporalFlow(nn.Module, ABC):
    """A flow of sequences: eps and z `[N, T, D]`, positions `[N, T, F]`, lengths `[N]`, log-determinants `[N, T]`."""

    solver: Solver | None = None
    """How the sequential direction is computed. It is None if both directions are parallel."""

    loops_to_score = False
    """Whether the sequential direction is `inverse`."""

    given = "z_<t, T"
    """What is known where z_t is drawn, in words for a picture."""

    @abstractmethod
    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """z, and of each step its summand of log|det dz/deps|."""

    @abstractmethod
    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """eps, and of each step its summand of log|det deps/dz|."""

    def log_prob(self, z: Tensor, positions: Tensor, lengths: Tensor) -> Tensor:
        """log p(z_t | z_<t, T) `[N, T]`, where eps has the distribution N(0, I)."""
        return with_base(*self.inverse(z, positions, lengths))

    def tempered(self, temperature: float) -> tuple["TemporalFlow", float]:
        """A flow from which z is drawn at a temperature, and by what its eps is multiplied: see `FeatureFlow`."""
        features = getattr(self, "features", None)
        if not isinstance(features, FeatureFlow):
            return self, temperature
        at_temperature, scale = features.tempered(temperature)
        if at_temperature is features:
            return self, scale
        flow = copy(self)
        flow._modules = {**self._modules, "features": at_temperature}
        return flow, scale

    def contexts(self, eps: Tensor, z: Tensor, positions: Tensor, lengths: Tensor) -> Tensor | None:
        """The context by which `features` maps each step, `[N, T, C]`, where all steps of both sides are known.

        It is None for a flow that does not map its steps one by one.
        """
        return None


class IndependentFlow(TemporalFlow):
    """`eps_t = g(z_t; positions_t)`, named `none` in the configuration's `time`. Both directions are parallel.

    Limit: given the length, the steps are independent.
    """

    def __init__(self, features: FeatureFlow) -> None:
        super().__init__()
        self.features = features

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.features(eps, positions)

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.features.inverse(z, positions)

    def contexts(self, eps: Tensor, z: Tensor, positions: Tensor, lengths: Tensor) -> Tensor:
        return positions


class _CausalFlow(TemporalFlow):
    """A feature flow whose context at step t comes from earlier steps of one side of the flow, either eps or z.

    If that side is the input, all contexts are known: one call of the network and one of the feature flow compute all
    steps. If it is the output, each step gives the context of the next one, which is a triangular system; `solver` says
    how it is solved. The Jacobian is block triangular in time, so its log-determinant is the sum over the steps.
    """

    def __init__(self, features: FeatureFlow, network: nn.Module, input_dropout: float, reading: nn.Module) -> None:
        """`network` is causal. It computes the context of `features` from the values of one side and positions.

        `reading` is applied to each value before the network reads it.
        """
        super().__init__()
        self.features = features
        self.reading = reading
        self.network = network
        self.input_dropout = Dropout(input_dropout)
        self.solver: Solver = Solver()

    def _contexts(self, side: Tensor, positions: Tensor) -> Tensor:
        """The context of each step from the values before it, `[N, T, D]`."""
        return self.network(torch.cat([self._read(shift(side)), positions], -1))[0]

    def _read(self, earlier: Tensor) -> Tensor:
        return self.input_dropout(self.reading(earlier))

    def _sequential(self, direction: str, x: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the direction, `forward` or `inverse`, whose contexts come from its own output."""
        apply = getattr(self.features, direction)
        if self.solver.method == "sweeps":
            return self.solver.by_sweeps(
                lambda y: apply(x, self._contexts(y, positions)),
                x,
                length_mask(lengths, x.shape[1]),
                draws=self.training,
            )

        def loop(x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
            state: Any = None

            def next_context(t: int, read: Tensor) -> Tensor:
                nonlocal state
                context, state = self.network(torch.cat([read, positions[:, t]], -1)[:, None], state)
                return context[:, 0]

            def next_value(t: int, context: Tensor) -> tuple[Tensor, Tensor]:
                return apply(x[:, t], context)

            context_at = stepper(next_context, self.network, positions)
            value_at = stepper(next_value, self.features, direction, x)
            values, ladjs, value = [], [], torch.zeros_like(x[:, 0])
            with looping(x):
                for t in range(x.shape[1]):
                    value, ladj = value_at(t, context_at(t, self._read(value)))
                    values.append(value)
                    ladjs.append(ladj)
            return torch.stack(values, 1), torch.stack(ladjs, 1)

        return loop(x, positions)


class AutoregressiveFlow(_CausalFlow):
    """`eps_t = g(z_t; c_t)` with `c_t = network(z_<t, positions_<=t)`, named `af` in `time` (paper, section 4.2).

    `inverse` is parallel over T, apart from the recurrence of an LSTM. `forward` is sequential in T.
    """

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self._sequential("forward", eps, positions, lengths)

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.features.inverse(z, self._contexts(z, positions))

    def log_prob(self, z: Tensor, positions: Tensor, lengths: Tensor) -> Tensor:
        return self.features.log_prob(z, self._contexts(z, positions))

    def contexts(self, eps: Tensor, z: Tensor, positions: Tensor, lengths: Tensor) -> Tensor:
        return self._contexts(z, positions)


class InverseAutoregressiveFlow(_CausalFlow):
    """`z_t = g^-1(eps_t; c_t)` with `c_t = network(eps_<t, positions_<=t)`, named `iaf` in `time`.

    `forward` is parallel over T, apart from the recurrence of an LSTM. `inverse`, and therefore training, is sequential
    in T. Source: the paper, section 4.2, and Kingma et al. (2016).
    """

    loops_to_score = True

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.features(eps, self._contexts(eps, positions))

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self._sequential("inverse", z, positions, lengths)

    def contexts(self, eps: Tensor, z: Tensor, positions: Tensor, lengths: Tensor) -> Tensor:
        return self._contexts(eps, positions)
