"""A bidirectional network: one causal network reads a sequence from its start, another one from its end."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lnfgen.nn.masking import flip, shift


class Bidirectional(nn.Module):
    """Two networks of a causal class, one in each direction: x `[B, T, F]`, lengths `[B]` -> `[B, T, 2 * hidden]`.

    With `exclusive`, step t sees x_<t through the forward network and x_>t through the backward one, but never x_t.
    The backward network reads a sequence that `flip` reversed, so the padding comes last and no real step sees it.
    Packed sequences would give the same values, but their backward pass on a CPU takes time that grows as T^2.
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
