"""Coupling layers over the whole sequence: a flow across time that is parallel in both directions."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lnfgen.flows.features import ContextTransform, couple
from lnfgen.flows.temporal import TemporalFlow
from lnfgen.transforms import Transform


class CouplingLayer(TemporalFlow):
    """`eps_a = z_a; eps_b,t = f(z_b,t; h(c_t))`, where `c = network(z_a, positions)` reads the whole sequence of z_a.

    a is the first half of the features at each step, b the other half. Either direction takes one pass, because z_a is
    known in both (FlowSeq, Ma et al., 2019, arXiv 1909.02480). The Jacobian is triangular if the kept half of all steps
    is put first, so its log-determinant is the sum of those of the moved halves.
    """

    def __init__(self, network: nn.Module, moved: ContextTransform, num_kept: int) -> None:
        """`network` is bidirectional. It computes the context of the moved features from kept ones and positions."""
        super().__init__()
        self.network = network
        self.moved = moved
        self.num_kept = num_kept

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return couple(self.moved.forward, eps, self.num_kept, lambda kept: self._context(kept, positions, lengths))

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return couple(self.moved.inverse, z, self.num_kept, lambda kept: self._context(kept, positions, lengths))

    def _context(self, kept: Tensor, positions: Tensor, lengths: Tensor) -> Tensor:
        return self.network(torch.cat([kept, positions], -1), lengths)


class CouplingFlow(TemporalFlow):
    """A stack of `CouplingLayer`s, named `coupling` in the configuration's `time`. Both directions are parallel.

    The layers keep in turn the first half of the features, the last half, those of even index, and those of odd index,
    so that any two features are soon on different sides of a split.
    """

    given = "T"

    orders: Tensor  # [4, D], the orders in which layers see the features; not saved, because D determines them
    originals: Tensor  # [4, D], the permutations that undo them

    def __init__(self, layers: list[CouplingLayer], num_features: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        features = torch.arange(num_features)
        pairs = torch.cat([features[::2], features[1::2]])
        orders = torch.stack([features, features.flip(-1), pairs, pairs.flip(-1)])
        self.register_buffer("orders", orders, persistent=False)
        self.register_buffer("originals", orders.argsort(), persistent=False)

    def _order(self, index: int) -> tuple[Tensor, Tensor]:
        """The order in which a layer sees the features, and the permutation that undoes it."""
        return self.orders[index % 4], self.originals[index % 4]

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        total = eps.new_zeros(eps.shape[:-1])
        for index in reversed(range(len(self.layers))):
            order, original = self._order(index)
            eps, ladj = self.layers[index](eps[..., order], positions, lengths)
            eps, total = eps[..., original], total + ladj
        return eps, total

    def inverse(self, z: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(z.shape[:-1])
        for index, layer in enumerate(self.layers):
            order, original = self._order(index)
            z, ladj = layer.inverse(z[..., order], positions, lengths)  # type: ignore[operator]
            z, total = z[..., original], total + ladj
        return z, total


def build_coupling_flow(
    num_features: int,
    num_layers: int,
    num_context: int,
    hidden: int,
    transform: Transform,
    network: Callable[[int], nn.Module],
) -> CouplingFlow:
    """A flow of `num_layers` couplings.

    `network(num_kept)` makes the bidirectional network of a layer. A perceptron with `hidden` units turns its
    `num_context` outputs into the parameters of the transform.
    """
    num_kept = num_features // 2

    def layer() -> CouplingLayer:
        moved = ContextTransform(num_features - num_kept, num_context, hidden, transform)
        return CouplingLayer(network(num_kept), moved, num_kept)

    return CouplingFlow([layer() for _ in range(num_layers)], num_features)
