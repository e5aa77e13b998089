"""The registry of backbones: the networks over time that a model can be built on.

To add one, write a causal class and name it in `BACKBONES`. The configuration and the tests take every registered name.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import nn

    from lnfgen.nn.bidirectional import Bidirectional


class Backbone(NamedTuple):
    """A causal network, and a bidirectional one made of two of them.

    The class is loaded only when it is used, because the configuration reads the names alone and must not load torch.
    """

    module: str  # the module of the causal class
    class_name: str
    halved: bool  # whether the emission's network has half of `hidden` in each direction, which makes sampling faster

    @property
    def causal(self) -> type[nn.Module]:
        """A class that is called as `causal(num_inputs, hidden, num_layers, dropout)`.

        Its `forward(x, state=None)` takes x `[B, T, num_inputs]` and returns the output `[B, T, hidden]` and the state
        after the last step: a list with one tuple of tensors `[..., B, features]` for each layer.
        """
        return getattr(importlib.import_module(self.module), self.class_name)

    def bidirectional(
        self, num_inputs: int, hidden: int, num_layers: int, dropout: float, *, exclusive: bool = False
    ) -> Bidirectional:
        from lnfgen.nn.bidirectional import Bidirectional

        return Bidirectional(self.causal, num_inputs, hidden, num_layers, dropout, exclusive=exclusive)


BACKBONES = {
    "lstm": Backbone("lnfgen.nn.causal_lstm", "CausalLSTM", halved=False),
    "scan": Backbone("lnfgen.nn.scans", "CausalScan", halved=True),
    "conv-scan": Backbone("lnfgen.nn.scans", "CausalConvScan", halved=True),
}
