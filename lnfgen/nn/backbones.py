"""The networks through time that a model can be built on. To add one: name it here, and in `ModelConfig`'s check."""

from typing import NamedTuple

from torch import nn

from lnfgen.nn.lstm import BidirectionalLSTM, CausalLSTM
from lnfgen.nn.scan import BidirectionalScan, CausalScan


class Backbone(NamedTuple):
    """Both take `(num_inputs, hidden, num_layers, dropout)`, `bidirectional` also `exclusive`.

    `causal(x, state=None) -> (out, state)`: x `[B, T, num_inputs]`, out `[B, T, hidden]`, the state a tuple of tensors
    `[..., B, hidden]` for each layer, in a list. `bidirectional(x, lengths) -> out`: `[B, T, 2 * hidden]`.
    """

    causal: type[nn.Module]
    bidirectional: type[nn.Module]
    halved: bool  # the emission's network, which sampling waits for, has half of `hidden` in each direction


BACKBONES: dict[str, Backbone] = {
    "lstm": Backbone(CausalLSTM, BidirectionalLSTM, halved=False),
    "scan": Backbone(CausalScan, BidirectionalScan, halved=True),
}
