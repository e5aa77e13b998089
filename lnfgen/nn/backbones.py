"""The backbones, networks over time that a model can be built on, and a bidirectional network.

To add one, write a causal class and name it in `BACKBONES` here and in `lnfgen.config`.
"""

import torch
from torch import Tensor, nn

from lnfgen.nn.causal_lstm import CausalLSTM
from lnfgen.nn.masking import flip, shift
from lnfgen.nn.scans import CausalConvScan, CausalScan

BACKBONES: dict[str, type[nn.Module]] = {
    "lstm": CausalLSTM,
    "scan": CausalScan,
    "conv-scan": CausalConvScan,
}
"""Causal networks by name.

A class is called as `causal(num_inputs, hidden, num_layers, dropout)`. Its `forward(x, state=None)`
takes x `[B, T, num_inputs]` and returns the output `[B, T, hidden]` and the state after the last
step: a list with one tuple of tensors `[..., B, features]` for each layer.
"""


class Bidirectional(nn.Module):
    """Two networks of a backbone, one in each direction.

    x `[B, T, F]`, lengths `[B]` -> `[B, T, 2 * hidden]`. With `exclusive`, step t sees x_<t through
    the forward network and x_>t through the backward one, but never x_t. The backward network reads
    a sequence that `flip` reversed, so the padding comes last and no real step sees it. Packed
    sequences would give the same values, but their backward pass on a CPU takes time that grows as
    T^2.
    """

    # Its sizes are those of the causal networks, and come from the configuration.
    def __init__(  # noqa: PLR0913
        self,
        backbone: str,
        num_inputs: int,
        hidden: int,
        num_layers: int,
        dropout: float,
        *,
        exclusive: bool = False,
    ) -> None:
        super().__init__()
        causal = BACKBONES[backbone]
        self.forwards = causal(num_inputs, hidden, num_layers, dropout)
        self.backwards = causal(num_inputs, hidden, num_layers, dropout)
        self.exclusive = exclusive

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        past, _ = self.forwards(x)
        future, _ = self.backwards(flip(x, lengths))
        if self.exclusive:
            past = shift(past)
            future = shift(future)
        return torch.cat([past, flip(future, lengths)], -1)
