"""Products with weights that stay the same, laid out once for many steps."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import linear

Product = Callable[[Tensor], Tensor]
"""x `[rows, in]` -> `[rows, out]`."""


def product(weight: Tensor, bias: Tensor | None = None) -> Product:
    """`x -> x weight^T + bias`, weight `[out, in]`.

    The weights lie input after input. Products with few rows read them in three quarters of the time that they need
    with the layout of nn.Linear.
    """
    across = weight.detach().t().contiguous()
    if bias is None:
        return lambda x: x @ across
    kept = bias.detach()
    return lambda x: torch.addmm(kept, x, across)


def product_with_known(weight: Tensor, bias: Tensor, known: Tensor) -> Callable[[int, Tensor], Tensor]:
    """`(t, x) -> cat([x, known[:, t]], -1) weight^T + bias`, with one product for what is known of all steps.

    x `[rows, F]`, known `[rows, T, G]`, weight `[out, F + G]`.
    """
    size = weight.shape[1] - known.shape[-1]
    added = linear(known, weight[:, size:], bias).transpose(0, 1).contiguous().unbind()
    across = weight[:, :size].detach().t().contiguous()
    return lambda t, x: torch.addmm(added[t], x, across)
