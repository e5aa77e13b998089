"""Flows across time: what context each step's feature flow is given, or, for a coupling, the whole sequence at once."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from lnfgen.flows.causal import Solver
from lnfgen.flows.features import ContextTransform, Directions, FeatureFlow, FeatureStack
from lnfgen.nn.dropout import Dropout
from lnfgen.nn.masking import length_mask, shift
from lnfgen.transforms import Transform

_Direction = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""A feature flow's `forward` or `inverse`: value and context to value and log-determinants."""

_Side = Callable[[Directions], _Direction]
"""Which of the two."""


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
    """`eps_t = g(z_t; positions_t)`: time `none`. Parallel in both directions; steps are independent given the
    length."""

    def __init__(self, features: FeatureFlow) -> None:
        super().__init__()
        self.features = features

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.features(eps, positions)

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self.features.inverse(z, positions)


class _CausalFlow(TemporalFlow):
    """A feature flow whose context at step t comes from the steps before t of one side of the flow.

    The direction that starts from that side has all contexts at once: one call of the network, then every step in
    parallel. The other is a triangular system, one step's value deciding the next one's context: `solver` computes it.
    The Jacobian is block triangular in time, so its log-determinant is the sum of the steps'.
    """

    def __init__(self, features: FeatureStack, network: nn.Module, input_dropout: float) -> None:
        """`network` is causal, from one side's values and positions to the context of `features`."""
        super().__init__()
        self.features = features
        self.network = network
        self.input_dropout = Dropout(input_dropout)
        self.solver: Solver = Solver()

    def _context(self, earlier: Tensor, positions: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        return self.network(torch.cat([self.input_dropout(earlier), positions], -1), state)

    def _known(self, direction: _Direction, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """The parallel direction: contexts of x itself."""
        return direction(x, self._context(shift(x), positions)[0])

    def _solved(self, side: _Side, x: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The sequential direction: contexts of the result."""
        recorded = torch.is_grad_enabled() or self.training or torch.is_autocast_enabled(x.device.type)
        direction = side(self.features if recorded else self.features.laid_out(len(x)))

        def step(value: Tensor, previous: Tensor, state: Any, begin: int, end: int) -> tuple[Tensor, Tensor, Any]:
            earlier = torch.cat([previous, value[:, :-1]], 1)
            context, state = self._context(earlier, positions[:, begin:end], state)
            value, ladj = direction(x[:, begin:end].flatten(0, 1), context.flatten(0, 1))
            return value.unflatten(0, earlier.shape[:2]), ladj.unflatten(0, earlier.shape[:2]), state

        def steps(state: Any) -> Callable[[int, Tensor], tuple[Tensor, Tensor]]:
            given = x.unbind(1)
            if not recorded:
                context_at = cast(Any, self.network).steps(positions, state)
                return lambda t, previous: direction(given[t], context_at(t, previous))
            features = self._recorded(x) or (lambda t, context: direction(given[t], context))

            def one(t: int, previous: Tensor) -> tuple[Tensor, Tensor]:
                nonlocal state
                context, state = self._context(previous[:, None], positions[:, t : t + 1], state)
                return features(t, context[:, 0])

            return one

        return self.solver.solve(step, x, length_mask(lengths, x.shape[1]), steps, draws=self.training)

    def _recorded(self, x: Tensor) -> Callable[[int, Tensor], tuple[Tensor, Tensor]] | None:
        """`(t, context) -> direction(x[:, t], context)` of the features, if a recorded loop has a faster way to it."""
        return None


class AutoregressiveFlow(_CausalFlow):
    """`eps_t = g(z_t; c_t)`, `c_t = network(z_<t, positions_<=t)`: time `af` (paper, section 4.2).

    `inverse` is parallel over T but for the network's own recurrence; `forward` is sequential in T.
    """

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self._solved(lambda features: features.forward, eps, positions, lengths)

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self._known(self.features.inverse, z, positions)


class InverseAutoregressiveFlow(_CausalFlow):
    """`z_t = g^-1(eps_t; c_t)`, `c_t = network(eps_<t, positions_<=t)`: time `iaf` (paper, section 4.2; Kingma et al.,
    2016).

    `forward` is parallel over T but for the network's own recurrence; `inverse`, so training too, is sequential in T:
    by sweeps it costs some passes of the parallel kind, forwards and backwards.
    """

    loops_to_score = True

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self._known(self.features.forward, eps, positions)

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self._solved(lambda features: features.inverse, z, positions, lengths)

    def _recorded(self, x: Tensor) -> Callable[[int, Tensor], tuple[Tensor, Tensor]] | None:
        return self.features.recorded_inverse(x)


class CouplingLayer(TemporalFlow):
    """`eps_a = z_a; eps_b,t = f(z_b,t; h(c_t))`, `c = network(z_a, positions)`, bidirectional over the whole sequence.

    a is the first half of the features. One pass in either direction: both sides share z_a (as in FlowSeq, Ma et al.,
    2019, arXiv 1909.02480). The log-determinant of step t is that of its own moved half; their sum is the Jacobian's,
    which is triangular once the kept half comes first.
    """

    def __init__(self, network: nn.Module, moved: ContextTransform, num_kept: int) -> None:
        """`network` is bidirectional, from kept features and positions to the context of the moved ones."""
        super().__init__()
        self.network = network
        self.moved = moved
        self.num_kept = num_kept

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self._couple(self.moved.forward, eps, positions, lengths)

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self._couple(self.moved.inverse, z, positions, lengths)

    def _couple(self, direction: _Direction, x: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        kept = x[..., : self.num_kept]
        context = self.network(torch.cat([kept, positions], -1), lengths)
        moved, ladj = direction(x[..., self.num_kept :], context)
        return torch.cat([kept, moved], -1), ladj


class CouplingFlow(TemporalFlow):
    """Couplings over the whole sequence, their features dealt anew between them: time `coupling`. Parallel in both
    directions; needs no split within the step.

    Four layers in a row keep the first half, the last half, every first of a pair and every second, so that any two
    features soon meet on either side of a split.
    """

    def __init__(self, layers: list[CouplingLayer], num_features: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        features = torch.arange(num_features)
        pairs = torch.cat([features[::2], features[1::2]])
        self.orders = [features, features.flip(-1), pairs, pairs.flip(-1)]

    def _order(self, index: int, device: torch.device) -> tuple[Tensor, Tensor]:
        order = self.orders[index % len(self.orders)].to(device)
        return order, order.argsort()

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        total = eps.new_zeros(eps.shape[:-1])
        for index in reversed(range(len(self.layers))):
            order, back = self._order(index, eps.device)
            eps, ladj = self.layers[index](eps[..., order], positions, lengths)
            eps, total = eps[..., back], total + ladj
        return eps, total

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(z.shape[:-1])
        for index, layer in enumerate(self.layers):
            order, back = self._order(index, z.device)
            z, ladj = layer.inverse(z[..., order], positions, lengths)  # type: ignore[operator]
            z, total = z[..., back], total + ladj
        return z, total


def build_coupling_flow(
    num_features: int,
    num_layers: int,
    num_context: int,
    hidden: int,
    transform: Transform,
    network: Callable[[int], nn.Module],
) -> CouplingFlow:
    """`num_layers` couplings; `network(num_kept)` makes the bidirectional network of each, and `hidden` are the units
    of what turns its `num_context` outputs into parameters."""
    num_kept = num_features // 2

    def layer() -> CouplingLayer:
        moved = ContextTransform(num_features - num_kept, num_context, hidden, transform)
        return CouplingLayer(network(num_kept), moved, num_kept)

    return CouplingFlow([layer() for _ in range(num_layers)], num_features)
