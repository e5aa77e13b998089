"""The networks through time that a model can be built on. To add one: name it here, and in `ModelConfig`'s check."""

from typing import NamedTuple

from torch import nn

from lnfgen.nn.bidirectional import Bidirectional
from lnfgen.nn.lstm import CausalLSTM
from lnfgen.nn.scan import CausalScan


class Backbone(NamedTuple):
    """`causal(num_inputs, hidden, num_layers, dropout)`, and such a network from each end.

    `causal(...)(x, state=None) -> (out, state)`: x `[B, T, num_inputs]`, out `[B, T, hidden]`, the state a tuple of
    tensors `[..., B, hidden]` for each layer, in a list.
    """

    causal: type[nn.Module]
    shared: bool  # the two directions of a model's networks share `hidden` between them, rather than have it each

    def bidirectional(
        self, num_inputs: int, hidden: int, num_layers: int, dropout: float, *, exclusive: bool = False
    ) -> Bidirectional:
        return Bidirectional(self.causal, num_inputs, hidden, num_layers, dropout, exclusive=exclusive)


BACKBONES: dict[str, Backbone] = {
    "lstm": Backbone(CausalLSTM, shared=False),
    "scan": Backbone(CausalScan, shared=True),
}
