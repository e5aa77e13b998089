"""Two causal networks, one from each end of a padded sequence."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lnfgen.nn.masking import flip, shift


class Bidirectional(nn.Module):
    """Two networks of a causal class, one from each end: x `[B, T, F]`, lengths `[B]` -> `[B, T, 2 * hidden]`.

    With `exclusive`, step t sees x_<t through the forward network and x_>t through the backward one, never x_t. Packed
    sequences have a CPU backward pass that grows as T^2. Padded ones with a flip that knows the lengths give the same
    values at the real steps: a causal network cannot see the padding behind them.
    """

    def __init__(
        self,
        causal: Callable[[int, int, int, float], nn.Module],
        num_inputs: int,
        hidden: int,
        num_layers: int,
        dropout: float,
        *,
        exclusive: bool = False,
    ) -> None:
        super().__init__()
        self.forwards = causal(num_inputs, hidden, num_layers, dropout)
        self.backwards = causal(num_inputs, hidden, num_layers, dropout)
        self.exclusive = exclusive

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        past, future = self.forwards(x)[0], self.backwards(flip(x, lengths))[0]
        if self.exclusive:
            past, future = shift(past), shift(future)
        return torch.cat([past, flip(future, lengths)], -1)
