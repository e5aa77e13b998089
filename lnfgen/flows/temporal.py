"""Flows across time: what context each step's feature flow is given."""

from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lnfgen.flows.features import FeatureFlow, FeatureStack
from lnfgen.flows.solver import Solver
from lnfgen.nn.dropout import Dropout
from lnfgen.nn.masking import length_mask, shift
from lnfgen.nn.stepper import stepper

Direction = Literal["forward", "inverse"]
"""The name of one of a flow's two methods."""


class TemporalFlow(nn.Module, ABC):
    """eps, z `[N, T, D]`, positions `[N, T, F]` and lengths `[N]`; log-determinants `[N, T]`."""

    solver: Solver | None = None
    """How a sequential direction is computed; None where both directions are parallel."""

    loops_to_score = False
    """Whether that direction is `inverse`."""

    @abstractmethod
    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]: ...

    @abstractmethod
    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]: ...


class IndependentFlow(TemporalFlow):
    """`eps_t = g(z_t; positions_t)`: time `none`. Parallel in both directions.

    Limit: given the length, steps are independent.
    """

    def __init__(self, features: FeatureFlow) -> None:
        super().__init__()
        self.features = features

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.features(eps, positions)

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.features.inverse(z, positions)


class _CausalFlow(TemporalFlow):
    """A feature flow whose context at step t comes from the steps before t of one side of the flow, eps or z.

    In the direction that starts from that side, all contexts are known: the network is called once, then all steps are
    computed in parallel. The other direction is a triangular system, as the value of a step decides the context of the
    next one: `solver` computes it. The Jacobian is block triangular in time, so its log-determinant is the sum of those
    of the steps.
    """

    def __init__(self, features: FeatureStack, network: nn.Module, input_dropout: float) -> None:
        """`network` is causal. From values of one side and positions it makes the context of `features`."""
        super().__init__()
        self.features = features
        self.network = network
        self.input_dropout = Dropout(input_dropout)
        self.solver: Solver = Solver()

    def _context(self, earlier: Tensor, positions: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """The contexts of steps from the values before each, and the network's state after the last one."""
        return self.network(torch.cat([self.input_dropout(earlier), positions], -1), state)

    def _parallel(self, direction: Direction, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """The direction whose contexts come from x."""
        return self._all_steps(direction, x, x, positions)

    def _all_steps(self, direction: Direction, x: Tensor, side: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """`direction` of all steps of x at once, their contexts from `side`."""
        context, _ = self._context(shift(side), positions)
        return getattr(self.features, direction)(x, context)

    def _sequential(self, direction: Direction, x: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The direction whose contexts come from its own result."""
        if self.solver.method == "sweeps":
            return self.solver.by_sweeps(
                lambda result: self._all_steps(direction, x, result, positions),
                x,
                length_mask(lengths, x.shape[1]),
                draws=self.training,
            )
        state: Any = None

        def next_context(t: int, previous: Tensor) -> Tensor:
            nonlocal state
            context, state = self._context(previous[:, None], positions[:, t : t + 1], state)
            return context[:, 0]

        def next_value(t: int, context: Tensor) -> tuple[Tensor, Tensor]:
            return getattr(self.features, direction)(x[:, t], context)

        context_at = stepper(next_context, self.network, positions)
        value_at = stepper(next_value, self.features, direction, x)
        return self.solver.in_loop(lambda t, previous: value_at(t, context_at(t, previous)), x)


class AutoregressiveFlow(_CausalFlow):
    """`eps_t = g(z_t; c_t)`, `c_t = network(z_<t, positions_<=t)`: time `af` (paper, section 4.2).

    `inverse` is parallel over T, but for what the network itself does step by step; `forward` is sequential in T.
    """

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self._sequential("forward", eps, positions, lengths)

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self._parallel("inverse", z, positions)


class InverseAutoregressiveFlow(_CausalFlow):
    """`z_t = g^-1(eps_t; c_t)`, `c_t = network(eps_<t, positions_<=t)`: time `iaf` (paper, section 4.2; Kingma et al.,
    2016).

    `forward` is parallel over T, but for what the network itself does step by step; `inverse`, so training too, is
    sequential in T.
    """

    loops_to_score = True

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self._parallel("forward", eps, positions)

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self._sequential("inverse", z, positions, lengths)
