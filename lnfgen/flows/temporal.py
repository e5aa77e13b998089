"""Flows across time. They differ in the context that the feature flow of each step receives."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lnfgen.device import Dropout
from lnfgen.flows.features import Direction, FeaturePrior, with_base
from lnfgen.nn.masking import shift
from lnfgen.nn.stepper import looping, steps_of

Move = Callable[["FlowSteps", Tensor], tuple[Tensor, ...]]
"""From the steps and x_t `[N, ...]`, the value of the step that is next, `[N, D]`, and any other
results of it."""


class TemporalFlow(nn.Module, ABC):
    """A flow of sequences: eps and z `[N, T, D]`, positions `[N, T, F]`, lengths `[N]`,
    log-determinants `[N, T]`."""

    def __init__(self, num_features: int, extra_noise: int = 0) -> None:
        """z_t has `num_features`; `draw` needs `extra_noise` numbers more for each step."""
        super().__init__()
        self.num_features, self.noise_size = num_features, num_features + extra_noise

    @abstractmethod
    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """z, and of each step its summand of log|det dz/deps|."""

    @abstractmethod
    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """eps, and of each step its summand of log|det deps/dz|."""

    def log_prob(
        self, z: Tensor, positions: Tensor, lengths: Tensor, temperature: float = 1.0
    ) -> Tensor:
        """log p(z_t | z_<t, T) `[N, T]` of what `draw` draws at the temperature, which must be
        above 0."""
        return with_base(*self.inverse(z, positions, lengths), temperature)

    def draw(
        self, positions: Tensor, lengths: Tensor, noise: Tensor, temperature: float = 1.0
    ) -> Tensor:
        """Draw z at a temperature from noise of N(0, 1), `[N, T, noise_size]`; see
        `FeaturePrior.draw`."""
        return self(temperature * noise, positions, lengths)[0]


class ContextFlow(TemporalFlow):
    """A flow whose steps are drawn from `features`, given contexts that are computed from z.

    If `features` is a mixture of codes, there is no map from eps: the flow then has `draw` and
    `log_prob` alone.
    """

    def __init__(self, num_features: int, features: FeaturePrior) -> None:
        super().__init__(num_features, features.extra_noise)
        self.features = features

    @abstractmethod
    def contexts(self, z: Tensor, positions: Tensor, lengths: Tensor) -> Tensor:
        """The context of each step, `[N, T, C]`."""

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.features.inverse(z, self.contexts(z, positions, lengths))  # type: ignore[operator]

    def log_prob(
        self, z: Tensor, positions: Tensor, lengths: Tensor, temperature: float = 1.0
    ) -> Tensor:
        return self.features.log_prob(z, self.contexts(z, positions, lengths), temperature)


class IndependentFlow(ContextFlow):
    """`eps_t = g(z_t; positions_t)`, named `none` in the configuration's `time`. Both directions
    are parallel.

    Limit: given the length, the steps are independent.
    """

    def contexts(self, z: Tensor, positions: Tensor, lengths: Tensor) -> Tensor:
        return positions

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.features(eps, positions)

    def draw(
        self, positions: Tensor, lengths: Tensor, noise: Tensor, temperature: float = 1.0
    ) -> Tensor:
        return self.features.draw(noise, positions, temperature)


class CausalFlow(ContextFlow):
    """A flow whose contexts come from earlier steps of one side, either eps or z.

    If that side is the input, all contexts are known: one call of the network and one of `features`
    compute all steps. If it is the output, each step gives the context of the next one, so a loop
    over the steps solves the triangular system. The Jacobian is block triangular in time, so its
    log-determinant is the sum over the steps.
    """

    def __init__(
        self,
        num_features: int,
        features: FeaturePrior,
        network: nn.Module,
        input_dropout: float,
        reading: nn.Module,
    ) -> None:
        """The causal `network` computes the contexts from positions and the `reading` of the values
        of one side."""
        super().__init__(num_features, features)
        self.reading = reading
        self.network = network
        self.input_dropout = Dropout(input_dropout)

    def contexts(self, z: Tensor, positions: Tensor, lengths: Tensor) -> Tensor:
        return self.network(torch.cat([self.read(shift(z)), positions], -1))[0]

    def read(self, earlier: Tensor) -> Tensor:
        """The inputs of the network from values `[..., D]`."""
        return self.input_dropout(self.reading(earlier))

    def in_order(
        self, x: Tensor, positions: Tensor, move: Move, temperature: float = 1.0
    ) -> list[Tensor]:
        """Move x `[N, T, ...]` one step after another, where contexts come from the results, and
        stack each result."""
        steps, moved = FlowSteps(self, positions, temperature), []
        with looping(x):
            for x_t in x.unbind(1):
                moved.append(move(steps, x_t))
                steps.take(moved[-1][0])
        return [torch.stack(part, 1) for part in zip(*moved, strict=True)]


class FlowSteps:
    """The steps of a causal flow, first step first, for N rows that may be chosen anew between
    steps.

    In each step of an `AutoregressiveFlow`, z_t comes from `draw` or from elsewhere, may be weighed
    by `log_prob`, and is taken; `keep` may follow. In an inverse autoregressive flow, what is taken
    is eps_t.
    """

    def __init__(self, flow: CausalFlow, positions: Tensor, temperature: float) -> None:
        """`positions` `[N, T, F]` are those of all steps."""
        self._flow, self._temperature = flow, temperature
        self._network = steps_of(flow.network, positions)
        dtype = next(flow.parameters()).dtype
        self._value = torch.zeros(
            len(positions), flow.num_features, dtype=dtype, device=positions.device
        )
        self._t = 0
        self._context: Tensor | None = None

    @property
    def context(self) -> Tensor:
        """The context of this step, `[N, C]`."""
        if self._context is None:
            self._context = self._network.step(self._t, self._flow.read(self._value))
        return self._context

    def draw(self, noise: Tensor) -> Tensor:
        """Draw z_t `[N, D]` at the temperature from noise of N(0, 1), `[N, noise_size]`."""
        return self._flow.features.draw(noise, self.context, self._temperature)

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z_t | z_<t) at the temperature, which must be above 0: z `[N, D]` -> `[N]`."""
        return self._flow.features.log_prob(z, self.context, self._temperature)

    def take(self, value: Tensor) -> None:
        """Go on to the next step, where `value` `[N, D]` is z_t, or eps_t in an inverse
        autoregressive flow."""
        self._value, self._context, self._t = value, None, self._t + 1

    def keep(self, rows: Tensor) -> None:
        """Before the first step or after `take`: go on with these rows `[N']`, row i as row
        `rows[i]` was."""
        assert self._context is None
        self._value = self._value[rows]
        self._network.keep(rows)


class AutoregressiveFlow(CausalFlow):
    """`eps_t = g(z_t; c_t)` with `c_t = network(z_<t, positions_<=t)`, named `af` in `time` (paper,
    section 4.2).

    `inverse` is parallel over T, apart from the recurrence of an LSTM. `forward` is sequential in
    T.
    """

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        z, ladj = self.in_order(eps, positions, lambda steps, x: self.features(x, steps.context))
        return z, ladj

    def draw(
        self, positions: Tensor, lengths: Tensor, noise: Tensor, temperature: float = 1.0
    ) -> Tensor:
        return self.in_order(noise, positions, lambda steps, x: (steps.draw(x),), temperature)[0]


class InverseAutoregressiveFlow(CausalFlow):
    """`z_t = g^-1(eps_t; c_t)` with `c_t = network(eps_<t, positions_<=t)`, named `iaf` in `time`.

    `forward` is parallel over T, apart from the recurrence of an LSTM. `inverse`, and therefore
    training, is sequential in T. Source: the paper, section 4.2, and Kingma et al. (2016).
    """

    log_prob, draw = TemporalFlow.log_prob, TemporalFlow.draw

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.features(eps, self.contexts(eps, positions, lengths))

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        inverse: Direction = self.features.inverse  # type: ignore[assignment]
        eps, ladj = self.in_order(z, positions, lambda steps, x: inverse(x, steps.context))
        return eps, ladj
