"""Products with weights that stay, laid out once for many calls; all without gradients."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import linear

PACKING_PAYS = 1_000_000
"""Multiplications of a product from which weights that oneDNN packs are faster on a CPU. With two threads, a product
with 500 x 2000 of them takes 48 us for one row and 191 for 16, a plain one 70 and 319; but a call costs 10 us more."""


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
