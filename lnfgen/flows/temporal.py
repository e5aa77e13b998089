"""Flows across time. They differ in the context that the feature flow of each step receives."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lnfgen.device.replacements import Dropout
from lnfgen.flows.features import Direction, FeaturePrior, with_base
from lnfgen.nn.masking import shift
from lnfgen.nn.stepper import looping, steps_of

StepMove = Callable[["FlowSteps", Tensor], tuple[Tensor, ...]]
"""A function that moves the step that is next, from the steps and x_t `[N, ...]`.

It returns the value of the step, `[N, D]`, and any other results.
"""


class TemporalFlow(nn.Module, ABC):
    """A flow of sequences.

    eps and z are `[N, T, D]`, positions `[N, T, F]`, lengths `[N]`, log-determinants `[N, T]`.
    """

    def __init__(self, num_features: int, extra_noise: int = 0) -> None:
        """z_t has `num_features`; `draw` needs `extra_noise` numbers more for each step."""
        super().__init__()
        self.num_features = num_features
        self.noise_size = num_features + extra_noise

    @abstractmethod
    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """z, and the summands of log|det dz/deps|, one for each step."""

    @abstractmethod
    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """eps, and the summands of log|det deps/dz|, one for each step."""

    def log_prob(
        self, z: Tensor, positions: Tensor, lengths: Tensor, temperature: float = 1.0
    ) -> Tensor:
        """log p(z_t | z_<t, T) `[N, T]` of what `draw` draws at a temperature above 0."""
        return with_base(*self.inverse(z, positions, lengths), temperature)

    def draw(
        self, positions: Tensor, lengths: Tensor, noise: Tensor, temperature: float = 1.0
    ) -> Tensor:
        """Draw z at a temperature from noise of N(0, 1), `[N, T, noise_size]`.

        `FeaturePrior.draw` says what a temperature does.
        """
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
        inverse: Direction = self.features.inverse  # type: ignore[assignment]
        return inverse(z, self.contexts(z, positions, lengths))

    def log_prob(
        self, z: Tensor, positions: Tensor, lengths: Tensor, temperature: float = 1.0
    ) -> Tensor:
        return self.features.log_prob(z, self.contexts(z, positions, lengths), temperature)


class IndependentFlow(ContextFlow):
    """`eps_t = g(z_t; positions_t)`, named `none` in the configuration's `time`.

    Both directions are parallel over T. Limit: given the length, the steps are independent.
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
        embedding: nn.Module,
    ) -> None:
        """The causal `network` computes contexts from positions and what `embedding` makes of z.

        In an inverse autoregressive flow, `embedding` reads eps instead.
        """
        super().__init__(num_features, features)
        self.embedding = embedding
        self.network = network
        self.input_dropout = Dropout(input_dropout)

    def contexts(self, z: Tensor, positions: Tensor, lengths: Tensor) -> Tensor:
        inputs = torch.cat([self.read(shift(z)), positions], -1)
        return self.network(inputs)[0]

    def read(self, earlier: Tensor) -> Tensor:
        """What the network reads of values of one side: `[..., D]` -> `[..., E]`."""
        return self.input_dropout(self.embedding(earlier))

    def in_order(
        self, x: Tensor, positions: Tensor, move: StepMove, temperature: float = 1.0
    ) -> list[Tensor]:
        """Move x `[N, T, ...]` one step after another, and stack each result to `[N, T, ...]`.

        The context of a step comes from the results of earlier ones.
        """
        steps = FlowSteps(self, positions, temperature)
        results = []
        with looping(x):
            for x_t in x.unbind(1):
                result = move(steps, x_t)
                results.append(result)
                steps.take(result[0])
        return [torch.stack(each, 1) for each in zip(*results, strict=True)]


class FlowSteps:
    """The steps of a causal flow, in order, for N rows that may be chosen anew between steps.

    In each step of an `AutoregressiveFlow`, z_t comes from `draw` or from elsewhere, may be weighed
    by `log_prob`, and is taken; `keep` may follow. In an inverse autoregressive flow, what is taken
    is eps_t.
    """

    def __init__(self, flow: CausalFlow, positions: Tensor, temperature: float) -> None:
        """`positions` `[N, T, F]` are those of all steps."""
        self._flow = flow
        self._temperature = temperature
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
        """Go on to the next step.

        `value` `[N, D]` is z_t, or eps_t in an inverse autoregressive flow.
        """
        self._value = value
        self._context = None
        self._t += 1

    def reindex(self, rows: Tensor) -> None:
        """Go on with these rows `[N']`: row i becomes what row `rows[i]` was.

        It may be called before the first step and after `take`.
        """
        assert self._context is None
        self._value = self._value[rows]
        self._network.reindex(rows)


class AutoregressiveFlow(CausalFlow):
    """`eps_t = g(z_t; c_t)` with `c_t = network(z_<t, positions_<=t)`, named `af` in `time`.

    `inverse` is parallel over T, apart from the recurrence of an LSTM. `forward` is sequential in
    T. Source: the paper, section 4.2.
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

    log_prob = TemporalFlow.log_prob
    draw = TemporalFlow.draw

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.features(eps, self.contexts(eps, positions, lengths))

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        inverse: Direction = self.features.inverse  # type: ignore[assignment]
        eps, ladj = self.in_order(z, positions, lambda steps, x: inverse(x, steps.context))
        return eps, ladj
