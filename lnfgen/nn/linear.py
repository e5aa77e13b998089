"""Linear layers whose weights a loop over time takes once for all its calls."""

import copy
from collections.abc import Callable
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor, nn

from lnfgen.nn import deferred
from lnfgen.nn.layout import product

Module = TypeVar("Module", bound=nn.Module)


class Linear(nn.Linear):
    """As nn.Linear; in a loop that is `deferring`, gradients of its weights are taken once for all steps."""

    def in_use(self) -> deferred.Weights:
        """The weights `[out, in]` and the bias that inputs meet."""
        return self.weight, self.bias

    def forward(self, input: Tensor) -> Tensor:
        return deferred.linear(self, self.in_use)(input)


class MaskedLinear(Linear):
    """A linear layer without bias whose weights are 0 where mask, bool `[out, in]`, is False."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        num_outputs, num_inputs = mask.shape
        super().__init__(num_inputs, num_outputs, bias=False)
        self.register_buffer("mask", mask, persistent=False)  # follows from the sizes

    def in_use(self) -> deferred.Weights:
        return self.masked(), None

    def masked(self) -> Tensor:
        """The weights in use, `[out, in]`."""
        return torch.where(self.mask, self.weight, torch.zeros_like(self.weight))


def laid_out(module: Module, rows: int) -> Module:
    """A copy for calls with inputs of `[rows, ...]`, its linear layers as `product` has them, its masks applied and
    without dropout; all else is shared."""
    memo: dict[int, object] = {id(kept): kept for kept in chain(module.parameters(), module.buffers())}
    for part in module.modules():
        if isinstance(part, Linear):
            memo[id(part)] = _LaidOut(product(*part.in_use(), rows))
        elif isinstance(part, nn.Linear):
            memo[id(part)] = _LaidOut(product(part.weight, part.bias, rows))
        elif isinstance(part, nn.Dropout):
            memo[id(part)] = nn.Identity()
    return copy.deepcopy(module, memo)


class _LaidOut(nn.Module):
    def __init__(self, times: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        return self.times(x)
