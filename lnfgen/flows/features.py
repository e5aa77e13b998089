"""Flows across the D features of one step, given that step's context; parallel over steps in both directions."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from lnfgen.flows.fixed_point import solve_triangular
from lnfgen.nn.made import MADE
from lnfgen.nn.mlp import MLP
from lnfgen.transforms import Transform

OUTPUT_GAIN = 0.1
"""Initial scale of a conditioner's last layer: close enough to the identity to start calmly, far enough to pass
gradients."""


def _parameters_for(x: Tensor, output: Tensor) -> Tensor:
    """A conditioner's output in the dtype of the features x that it moves.

    Under autocast the network may run in bfloat16; what it says is then the flow's parameters, rounded but exact, and
    the transform and its log-determinant keep all the digits of x: the two directions invert each other still.
    """
    return output.to(x.dtype)


class FeatureFlow(nn.Module, ABC):
    """eps, z `[..., D]` and context `[..., C]`; log-determinants `[...]`."""

    @abstractmethod
    def forward(self, eps: Tensor, context: Tensor) -> tuple[Tensor, Tensor]: ...

    @abstractmethod
    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]: ...


class ContextTransform(FeatureFlow):
    """`eps_i = f(z_i; h_i(context))`: every feature on its own. Source: the paper's diagonal case.

    Parallel in both directions. Limit: given the context, features are independent.
    """

    def __init__(self, num_features: int, num_context: int, hidden: int, transform: Transform) -> None:
        super().__init__()
        self.transform = transform
        self.conditioner = MLP(
            num_context, [hidden, hidden], num_features * transform.num_parameters, output_gain=OUTPUT_GAIN
        )

    def _conditioned(self, context: Tensor, x: Tensor) -> Tensor:
        return _parameters_for(x, self.conditioner(context).unflatten(-1, (-1, self.transform.num_parameters)))

    def forward(self, eps: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        z, ladj = self.transform.forward(eps, self._conditioned(context, eps))
        return z, ladj.sum(-1)

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        eps, ladj = self.transform.inverse(z, self._conditioned(context, z))
        return eps, ladj.sum(-1)


def couple(
    direction: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    x: Tensor,
    num_kept: int,
    context: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """A coupling: `y_a = x_a; y_b = f(x_b; h(x_a))` (Dinh et al., 2017). x `[..., D]`, its log-determinants `[...]`.

    a are the first `num_kept` features. `context` makes h's input of x_a. `direction` is f with h, forward or inverse.
    """
    kept, moved = x[..., :num_kept], x[..., num_kept:]
    moved, ladj = direction(moved, context(kept))
    return torch.cat([kept, moved], -1), ladj


class SplitCoupling(FeatureFlow):
    """`eps_a = z_a; eps_b = f(z_b; h(z_a, context))`, a the first half of the features (the paper's SCF).

    One pass in either direction, because the conditioner reads the half that both sides share.
    Limit: it moves half of the features; stack several, with the order reversed between them.
    """

    def __init__(self, num_features: int, num_context: int, hidden: int, transform: Transform) -> None:
        super().__init__()
        self.num_kept = num_features // 2
        self.inner = ContextTransform(num_features - self.num_kept, self.num_kept + num_context, hidden, transform)

    def forward(self, eps: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        return couple(self.inner.forward, eps, self.num_kept, lambda kept: torch.cat([kept, context], -1))

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        return couple(self.inner.inverse, z, self.num_kept, lambda kept: torch.cat([kept, context], -1))


class MaskedAutoregressive(FeatureFlow):
    """`eps_i = f(z_i; h_i(z_<i, context))`, h a MADE (Papamakarios et al., 2017; the paper's AF over features).

    `inverse` is one parallel pass. `forward` is a triangular system, solved by Jacobi sweeps over the features: each is
    one MADE and one transform of all D, at most D of them, exact then. The Jacobian is triangular across D.

    Why sweeps: a loop over the features that computes every hidden unit once does the arithmetic of a single sweep, but
    in D calls of the transform, and on small tensors the calls are what costs. At D = 50, hidden 100 and NLSq, a
    briefly trained layer takes 5 to 7 sweeps, one with fresh weights 4.
    """

    def __init__(self, num_features: int, num_context: int, hidden: int, transform: Transform) -> None:
        super().__init__()
        self.transform = transform
        self.conditioner = MADE(num_features, num_context, hidden, transform.num_parameters, output_gain=OUTPUT_GAIN)

    def forward(self, eps: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        given = self.conditioner.given(context)

        def update(z: Tensor) -> tuple[Tensor, Tensor]:
            return self.transform.forward(eps, _parameters_for(z, given(z)))

        z, ladj = solve_triangular(update, eps)
        return z, ladj.sum(-1)

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        eps, ladj = self.transform.inverse(z, _parameters_for(z, self.conditioner(z, context)))
        return eps, ladj.sum(-1)


class FeatureStack(FeatureFlow):
    """Layers from z to eps in order, the features reversed after each; costs the sum of its layers."""

    def __init__(self, layers: list[FeatureFlow]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    @property
    def _in_order(self) -> list[FeatureFlow]:
        return cast(list[FeatureFlow], list(self.layers))

    def forward(self, eps: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        total = eps.new_zeros(eps.shape[:-1])
        for layer in reversed(self._in_order):
            eps, ladj = layer(eps.flip(-1), context)
            total = total + ladj
        return eps, total

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(z.shape[:-1])
        for layer in self._in_order:
            z, ladj = layer.inverse(z, context)
            z, total = z.flip(-1), total + ladj
        return z, total


FEATURE_FLOWS: dict[str, type[ContextTransform] | type[SplitCoupling] | type[MaskedAutoregressive]] = {
    "af": MaskedAutoregressive,
    "scf": SplitCoupling,
    "none": ContextTransform,
}


def build_feature_flow(
    kind: str, num_features: int, num_context: int, hidden: int, num_layers: int, transform: Transform
) -> FeatureStack:
    """`num_layers` layers of a registered kind, with one transform."""
    layer = FEATURE_FLOWS[kind]
    return FeatureStack([layer(num_features, num_context, hidden, transform) for _ in range(num_layers)])
