"""Weights laid out once for the many calls of a loop, all without gradients."""

import copy
from collections.abc import Callable
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from lnfgen.nn.made import MaskedLinear

PACKING_PAYS = 1_000_000
"""Multiplications of a product from which weights that oneDNN packs are faster on a CPU. With two threads, a product
with 500 x 2000 of them takes 48 us for one row and 191 for 16, a plain one 70 and 319; but a call costs 10 us more."""

Module = TypeVar("Module", bound=nn.Module)


def product(weight: Tensor, bias: Tensor | None, rows: int) -> Callable[[Tensor], Tensor]:
    """`x -> x weight^T + bias`: x `[rows, F]`, weight `[out, F]`.

    Large float32 weights on a CPU are packed as oneDNN reads them fastest. Others lie input after input, which products
    of few rows read in three quarters of the time that they take with nn.Linear's own layout.
    """
    weight, bias = weight.detach(), None if bias is None else bias.detach()
    if _packs(weight, rows):
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
        return lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    across = weight.t().contiguous()
    if bias is None:
        return lambda x: x @ across
    return lambda x: torch.addmm(bias, x, across)


def inputs_with_known(weight: Tensor, bias: Tensor, known: Tensor) -> Callable[[int, Tensor], Tensor]:
    """`(t, x) -> cat([x, known[:, t]], -1) weight^T + bias`: x `[rows, F]`, known `[rows, T, G]`, weight `[out, F + G]`

    What is known enters as one product for all steps.
    """
    size = weight.shape[1] - known.shape[-1]
    added = linear(known, weight[:, size:], bias).transpose(0, 1).contiguous().unbind()
    times = product(weight[:, :size], None, len(known))
    return lambda t, x: times(x).add_(added[t])


def _packs(weight: Tensor, rows: int) -> bool:
    # The operations are torch's own compiler's: where a build or a version lacks them, plain products do.
    possible = weight.device.type == "cpu" and weight.dtype == torch.float32 and _PACKED_PRODUCTS
    return possible and rows * weight.numel() >= PACKING_PAYS


_PACKED_PRODUCTS = torch.backends.mkldnn.is_available() and all(
    hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise")
)


def laid_out(module: Module, rows: int) -> Module:
    """A copy for calls with inputs of `[rows, ...]`, its linear layers as `product` has them, its masks applied and
    without dropout; all else is shared."""
    memo: dict[int, object] = {id(kept): kept for kept in chain(module.parameters(), module.buffers())}
    for part in module.modules():
        if isinstance(part, nn.Linear):
            weight = part.masked() if isinstance(part, MaskedLinear) else part.weight
            memo[id(part)] = _LaidOut(product(weight, part.bias, rows))
        elif isinstance(part, nn.Dropout):
            memo[id(part)] = nn.Identity()
    return copy.deepcopy(module, memo)


class _LaidOut(nn.Module):
    def __init__(self, times: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        return self.times(x)
