"""A multi-layer perceptron."""

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from lnfgen.device import Dropout


class MLP(nn.Module):
    """Linear layers with GELU and dropout between them: `[..., num_inputs]` -> `[..., num_outputs]`.

    `output_gain` scales the initial weights of the last layer. With 0 the output is 0 at the start.
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
        sizes = [num_inputs, *hidden]
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.GELU(), Dropout(dropout)]
        last = nn.Linear(sizes[-1], num_outputs)
        nn.init.xavier_uniform_(last.weight, gain=output_gain)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)

    @property
    def linear(self) -> list[nn.Linear]:
        """The linear layers, from input to output."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]
