"""Several MADEs of the same sizes that run together, for many calls with few rows."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import gelu

from lnfgen.nn.made import MADE
from lnfgen.stepping.products import by_parameter, product


class StackedMADE:
    """Computes the parameters of L MADEs by batched products. The masks are applied only once."""

    @torch.no_grad()
    def __init__(self, mades: Sequence[MADE]) -> None:
        self._num_layers = len(mades)
        self._num_parameters = num_parameters = mades[0].num_parameters
        self._first = torch.stack([made.first.masked_weight.t() for made in mades])
        self._second = torch.stack([made.second.masked_weight.t() for made in mades])
        self._last = torch.stack([by_parameter(made.last.masked_weight, num_parameters).t() for made in mades])
        self._hidden_context = product(
            torch.cat([made.hidden_context.weight for made in mades]),
            torch.cat([made.hidden_context.bias for made in mades]),
        )
        self._output_context = product(
            torch.cat([by_parameter(made.output_context.weight, num_parameters) for made in mades]),
            torch.cat([by_parameter(made.output_context.bias, num_parameters) for made in mades]),
        )

    def given(self, context: Tensor) -> Callable[[Tensor], Tensor]:
        """The function from x `[L, N, D]` to parameters `[L, N, D, num_parameters]` for this context `[N, C]`."""
        hidden = self._hidden_context(context).unflatten(-1, (self._num_layers, 2, -1)).permute(2, 1, 0, 3)
        context_1, context_2 = hidden.contiguous()
        context_3 = self._output_context(context).unflatten(-1, (self._num_layers, -1)).transpose(0, 1).contiguous()

        def parameters(x: Tensor) -> Tensor:
            h = gelu(torch.baddbmm(context_1, x, self._first))
            h = torch.tanh(torch.baddbmm(context_2, h, self._second))
            return torch.baddbmm(context_3, h, self._last).unflatten(-1, (self._num_parameters, -1)).transpose(-1, -2)

        return parameters
