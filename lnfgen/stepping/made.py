"""Several MADEs of the same sizes, side by side, for many calls at few rows."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import gelu

from lnfgen.nn.made import MADE
from lnfgen.stepping.products import product


class StackedMADE:
    """The parameters of L MADEs at once, each step one batched product; the masks are applied once."""

    @torch.no_grad()
    def __init__(self, mades: Sequence[MADE]) -> None:
        self._shape = (len(mades), -1, mades[0].num_parameters)  # [L, features, parameters]
        self._first, self._second = (
            torch.stack([layer.masked_weight.t() for layer in layers]).contiguous()
            for layers in ([made.first for made in mades], [made.second for made in mades])
        )
        self._last = torch.stack([self._planes(made.last.masked_weight).t() for made in mades]).contiguous()
        hidden, output = ([made.hidden_context for made in mades], [made.output_context for made in mades])
        self._hidden_context = product(
            torch.cat([layer.weight for layer in hidden]), torch.cat([layer.bias for layer in hidden])
        )
        self._output_context = product(
            torch.cat([self._planes(layer.weight) for layer in output]),
            torch.cat([self._planes(layer.bias) for layer in output]),
        )

    def _planes(self, by_feature: Tensor) -> Tensor:
        """Rows `[features * parameters, ...]` as `[parameters * features, ...]`, as what follows reads them."""
        return by_feature.unflatten(0, self._shape[1:]).transpose(0, 1).flatten(0, 1)

    def given(self, context: Tensor) -> Callable[[Tensor], Tensor]:
        """The map from x `[L, N, D]` to parameters `[L, N, D, num_parameters]` at this context `[N, C]`."""
        num_layers, _, num_parameters = self._shape
        hidden = self._hidden_context(context).unflatten(-1, (num_layers, 2, -1)).permute(2, 1, 0, 3)
        context_1, context_2 = hidden.contiguous()
        context_3 = self._output_context(context).unflatten(-1, (num_layers, -1)).transpose(0, 1).contiguous()

        def parameters(x: Tensor) -> Tensor:
            h = gelu(torch.baddbmm(context_1, x, self._first))
            h = torch.tanh(torch.baddbmm(context_2, h, self._second))
            planes = torch.baddbmm(context_3, h, self._last).unflatten(-1, (num_parameters, -1))
            return planes.transpose(-1, -2)

        return parameters
