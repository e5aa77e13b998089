"""Flows across the D features of one step, given its context; they are parallel over the steps."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lnfgen.flows.fixed_point import solve_triangular
from lnfgen.nn.mlp import MADE, MLP
from lnfgen.transforms import Transform

# The initial weights of a conditioner's last layer are scaled by this: the flow is near the
# identity, yet gradients reach the other layers.
OUTPUT_GAIN = 0.1
LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)

Direction = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""The forward or the inverse method of a flow or transform."""


class FeaturePrior(nn.Module, ABC):
    """p(z_t | context) of the features of one step: z `[..., D]`, context `[..., C]`."""

    extra_noise = 0  # how many numbers `draw` needs beside one for each feature

    @abstractmethod
    def log_prob(self, z: Tensor, context: Tensor, temperature: float = 1.0) -> Tensor:
        """log p(z | context) `[...]` of what `draw` draws at a temperature above 0."""

    @abstractmethod
    def draw(self, noise: Tensor, context: Tensor, temperature: float = 1.0) -> Tensor:
        """Draw z `[..., D]` at a temperature from noise of N(0, 1), `[..., D + extra_noise]`.

        A flow multiplies the noise by the temperature; `CodeMixture` has its own way. At 0 nothing
        is left to chance.
        """


class FeatureFlow(FeaturePrior):
    """A flow of the features of one step.

    eps and z are `[..., D]`, the context `[..., C]`, log-determinants `[...]`. A conditioner is the
    network that computes the parameters of the transform. Under autocast it may run in bfloat16.
    Its output is cast to the dtype of eps and z, so that the two directions invert each other in
    full precision.
    """

    @abstractmethod
    def forward(self, eps: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """z and log|det dz/deps|."""

    @abstractmethod
    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """eps and log|det deps/dz|."""

    def log_prob(self, z: Tensor, context: Tensor, temperature: float = 1.0) -> Tensor:
        return with_base(*self.inverse(z, context), temperature)

    def draw(self, noise: Tensor, context: Tensor, temperature: float = 1.0) -> Tensor:
        return self.forward(temperature * noise, context)[0]


def with_base(eps: Tensor, log_abs_det_jacobian: Tensor, temperature: float = 1.0) -> Tensor:
    """log p(z) `[...]` from what an `inverse` returned, where eps is N(0, temperature^2).

    eps is `[..., D]`, the log-determinant `[...]`.
    """
    if temperature != 1:
        eps = eps / temperature
        log_abs_det_jacobian = log_abs_det_jacobian - eps.shape[-1] * math.log(temperature)
    return log_abs_det_jacobian - (0.5 * eps**2 + LOG_SQRT_2PI).sum(-1)


class ContextTransform(FeatureFlow):
    """`eps_i = f(z_i; h_i(context))`: each feature by itself. It is the diagonal case of the paper.

    Both directions are parallel. Limit: given the context, the features are independent.
    """

    def __init__(
        self, num_features: int, num_context: int, hidden: int, transform: Transform
    ) -> None:
        super().__init__()
        self.transform = transform
        self.conditioner = MLP(
            num_context,
            [hidden, hidden],
            num_features * transform.num_parameters,
            output_gain=OUTPUT_GAIN,
        )

    def _transform_parameters(self, context: Tensor, dtype: torch.dtype) -> Tensor:
        """Context `[..., C]` -> parameters of the transform, `[..., D, num_parameters]`."""
        parameters = self.conditioner(context)
        return parameters.unflatten(-1, (-1, self.transform.num_parameters)).to(dtype)

    def forward(self, eps: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        z, ladj = self.transform.forward(eps, self._transform_parameters(context, eps.dtype))
        return z, ladj.sum(-1)

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        eps, ladj = self.transform.inverse(z, self._transform_parameters(context, z.dtype))
        return eps, ladj.sum(-1)


def couple(
    direction: Direction, x: Tensor, num_kept: int, context: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """A coupling: `y_a = x_a; y_b = f(x_b; h(x_a))` (Dinh et al., 2017).

    x and y are `[..., D]`, the log-determinant is `[...]`. a is the first `num_kept` features, b
    the others. `context(x_a)` is the input of h. `direction(x_b, context)` is that of the flow that
    consists of f and h.
    """
    kept = x[..., :num_kept]
    moved, ladj = direction(x[..., num_kept:], context(kept))
    return torch.cat([kept, moved], -1), ladj


class SplitCoupling(FeatureFlow):
    """`eps_a = z_a; eps_b = f(z_b; h(z_a, context))`, where a is the first half of the features.

    It is the paper's SCF. Either direction takes one pass, because the half that the conditioner
    reads is known in both. Limit: a layer moves only half of the features, so several are stacked,
    with the order reversed between them.
    """

    def __init__(
        self, num_features: int, num_context: int, hidden: int, transform: Transform
    ) -> None:
        super().__init__()
        self.num_kept = num_features // 2
        self.inner = ContextTransform(
            num_features - self.num_kept, self.num_kept + num_context, hidden, transform
        )

    def forward(self, eps: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        return self._couple(self.inner.forward, eps, context)

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        return self._couple(self.inner.inverse, z, context)

    def _couple(self, direction: Direction, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Move the second half of the features of x `[..., D]` in a direction of `inner`."""
        return couple(direction, x, self.num_kept, lambda kept: torch.cat([kept, context], -1))


class MaskedAutoregressive(FeatureFlow):
    """`eps_i = f(z_i; h_i(z_<i, context))`, where h is a MADE (Papamakarios et al., 2017).

    It is the paper's AF over features. `inverse` is one parallel pass. `forward` solves a
    triangular system by at most D Jacobi sweeps over the features, each of which costs one call of
    h and one transform of all features.
    """

    def __init__(
        self, num_features: int, num_context: int, hidden: int, transform: Transform
    ) -> None:
        super().__init__()
        self.transform = transform
        self.conditioner = MADE(
            num_features, num_context, hidden, transform.num_parameters, output_gain=OUTPUT_GAIN
        )

    def forward(self, eps: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        parameters = self.conditioner.given(context)

        def update(z: Tensor) -> tuple[Tensor, Tensor]:
            return self.transform.forward(eps, parameters(z).to(z.dtype))

        z, ladj = solve_triangular(update, eps)
        return z, ladj.sum(-1)

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        eps, ladj = self.transform.inverse(z, self.conditioner(z, context).to(z.dtype))
        return eps, ladj.sum(-1)


class FeatureStack(FeatureFlow):
    """Layers listed from z to eps, with the order of the features reversed after each.

    The costs of the layers add up.
    """

    def __init__(self, layers: Sequence[FeatureFlow]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, eps: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        total = eps.new_zeros(eps.shape[:-1])
        for layer in reversed(self.layers):
            eps, ladj = layer(eps.flip(-1), context)
            total = total + ladj
        return eps, total

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(z.shape[:-1])
        for layer in self.layers:
            z, ladj = layer.inverse(z, context)  # type: ignore[operator]
            z = z.flip(-1)
            total = total + ladj
        return z, total


FEATURE_FLOWS: dict[
    str, type[ContextTransform] | type[SplitCoupling] | type[MaskedAutoregressive]
] = {
    "af": MaskedAutoregressive,
    "scf": SplitCoupling,
    "none": ContextTransform,
}


# The sizes come from the configuration, which knows nothing of layers.
def build_feature_flow(  # noqa: PLR0913
    kind: str,
    num_features: int,
    num_context: int,
    hidden: int,
    num_layers: int,
    transform: Transform,
) -> FeatureStack:
    """A stack of `num_layers` layers of a kind of `FEATURE_FLOWS`, all with the same transform."""
    layer = FEATURE_FLOWS[kind]
    layers = [layer(num_features, num_context, hidden, transform) for _ in range(num_layers)]
    return FeatureStack(layers)
