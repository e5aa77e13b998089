"""The networks through time that a model can be built on. To add one: write its causal class, and name it in
`BACKBONES`; configurations and the tests of networks take whatever is registered."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import nn

    from lnfgen.nn.bidirectional import Bidirectional


class Backbone(NamedTuple):
    """A causal network and its like from each end, loaded with torch only when asked for: names serve configurations.

    `causal(num_inputs, hidden, num_layers, dropout)` makes a network `(x, state=None) -> (out, state)`: x
    `[B, T, num_inputs]`, out `[B, T, hidden]`, the state a tuple of tensors `[..., B, hidden]` for each layer, listed.
    """

    module: str  # of the causal class
    class_name: str
    halved: bool  # the emission's network, which sampling waits for, has half of `hidden` in each direction
    # The presets suit an LSTM: of their learning rate and of their dropout, the multiples that suit this one.
    pace: float
    dropout: float

    @property
    def causal(self) -> type[nn.Module]:
        return getattr(importlib.import_module(self.module), self.class_name)

    def bidirectional(
        self, num_inputs: int, hidden: int, num_layers: int, dropout: float, *, exclusive: bool = False
    ) -> Bidirectional:
        from lnfgen.nn.bidirectional import Bidirectional

        return Bidirectional(self.causal, num_inputs, hidden, num_layers, dropout, exclusive=exclusive)


BACKBONES = {
    "lstm": Backbone("lnfgen.nn.lstm", "CausalLSTM", halved=False, pace=1.0, dropout=1.0),
    "scan": Backbone("lnfgen.nn.scan", "CausalScan", halved=True, pace=1.75, dropout=0.5),
}
