"""Multi-layer perceptron."""

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from lnfgen.nn import deferred
from lnfgen.nn.dropout import Dropout


class Linear(nn.Linear):
    """As nn.Linear; in a loop that defers it, its weights' gradients are taken once for all steps."""

    def forward(self, input: Tensor) -> Tensor:
        return deferred.linear(self, lambda: (self.weight, self.bias))(input)


class MLP(nn.Module):
    """Linear layers with GELU between them: `[..., num_inputs]` -> `[..., num_outputs]`.

    `output_gain` scales the last layer's initial weights: near 0, the network starts as a constant 0.
    """

    def __init__(
        self,
        num_inputs: int,
        hidden: Sequence[int],
        num_outputs: int,
        *,
        dropout: float = 0.0,
        output_gain: float = 1.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise([num_inputs, *hidden]):
            layers += [Linear(before, after), nn.GELU(), Dropout(dropout)]
        last = Linear(hidden[-1] if hidden else num_inputs, num_outputs)
        nn.init.xavier_uniform_(last.weight, gain=output_gain)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def linear_steps(layer: nn.Linear, known: Tensor) -> Callable[[int, Tensor], Tensor]:
    """`(t, x) -> layer(cat([x, known[:, t]], -1))`: x `[B, F]`, known `[B, T, G]`, F + G inputs.

    What is known enters as one product for all steps, and the weights of x are laid out once, input after input.
    """
    size = layer.in_features - known.shape[-1]
    weight = layer.weight[:, :size].t().contiguous()
    added = linear(known, layer.weight[:, size:], layer.bias).transpose(0, 1).contiguous().unbind()
    return lambda t, x: torch.addmm(added[t], x, weight)
