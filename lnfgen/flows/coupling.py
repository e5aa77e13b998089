"""Coupling layers over the whole sequence: a flow across time, parallel in both directions."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lnfgen.flows.features import ContextTransform, Direction, couple
from lnfgen.flows.temporal import TemporalFlow
from lnfgen.transforms import Transform


class CouplingLayer(TemporalFlow):
    """`eps_a = z_a; eps_b,t = f(z_b,t; h(c_t))`, where `c = network(z_a, positions)`.

    The network reads the whole sequence of z_a. a is the first half of the features at each step,
    in an order that each layer has, b the other half. Either direction takes one pass, because z_a
    is known in both (FlowSeq, Ma et al., 2019, arXiv 1909.02480). With the kept half of all steps
    put first, the Jacobian is triangular: the log-determinants of the moved halves add up.
    """

    # [D], the order in which the layer sees the features. It is not saved, because it follows from
    # D and from the index of the layer.
    order: Tensor
    original: Tensor  # [D], the permutation that undoes it

    def __init__(self, network: nn.Module, moved: ContextTransform, order: Tensor) -> None:
        """`network` is bidirectional; from the kept features and positions it computes contexts."""
        super().__init__(len(order))
        self.network = network
        self.moved = moved
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("original", order.argsort(), persistent=False)

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self._couple(self.moved.forward, eps, positions, lengths)

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return self._couple(self.moved.inverse, z, positions, lengths)

    def _couple(
        self, direction: Direction, x: Tensor, positions: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Move the second half of the features of x `[N, T, D]` in a direction of `moved`."""

        def context(kept: Tensor) -> Tensor:
            return self.network(torch.cat([kept, positions], -1), lengths)

        x, ladj = couple(direction, x[..., self.order], len(self.order) // 2, context)
        return x[..., self.original], ladj


class CouplingFlow(TemporalFlow):
    """A stack of `CouplingLayer`s, named `coupling` in the configuration's `time`.

    Both directions are parallel over T.
    """

    # The sizes come from the configuration, which knows nothing of layers.
    def __init__(  # noqa: PLR0913
        self,
        num_features: int,
        num_layers: int,
        num_context: int,
        hidden: int,
        transform: Transform,
        network: Callable[[int], nn.Module],
    ) -> None:
        """`network(num_kept)` makes the network of a layer, which has `num_context` outputs.

        An MLP of `hidden` units reads them.
        """
        super().__init__(num_features)
        num_kept = num_features // 2
        features = torch.arange(num_features)
        pairs = torch.cat([features[::2], features[1::2]])
        # Layers keep in turn the first half of the features, the last half, those of even and those
        # of odd index, so that any two features are soon on different sides of a split.
        orders = (features, features.flip(-1), pairs, pairs.flip(-1))

        def layer(index: int) -> CouplingLayer:
            moved = ContextTransform(num_features - num_kept, num_context, hidden, transform)
            return CouplingLayer(network(num_kept), moved, orders[index % 4])

        self.layers = nn.ModuleList(layer(index) for index in range(num_layers))

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        total = eps.new_zeros(eps.shape[:-1])
        for layer in reversed(self.layers):
            eps, ladj = layer(eps, positions, lengths)
            total = total + ladj
        return eps, total

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(z.shape[:-1])
        for layer in self.layers:
            z, ladj = layer.inverse(z, positions, lengths)  # type: ignore[operator]
            total = total + ladj
        return z, total
