"""Matrix products whose weights are arranged once for many steps."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import linear

Product = Callable[[Tensor], Tensor]
"""A function from x `[rows, in]` to `[rows, out]`."""


def product(weight: Tensor, bias: Tensor) -> Product:
    """`x -> x weight^T + bias`, with weight `[out, in]`.

    The weights are transposed in memory, because products with few rows then take three quarters of the time.
    """
    transposed, bias = weight.detach().t().contiguous(), bias.detach()
    return lambda x: torch.addmm(bias, x, transposed)


def product_with_known(weight: Tensor, bias: Tensor, known: Tensor) -> Callable[[int, Tensor], Tensor]:
    """`(t, x) -> cat([x, known[:, t]], -1) weight^T + bias`, where one product multiplies `known` for all steps.

    The shapes are x `[rows, F]`, known `[rows, T, G]`, weight `[out, F + G]`.
    """
    size = weight.shape[1] - known.shape[-1]
    added = linear(known, weight[:, size:], bias).transpose(0, 1).contiguous().unbind()
    transposed = weight[:, :size].detach().t().contiguous()
    return lambda t, x: torch.addmm(added[t], x, transposed)


def by_parameter(rows: Tensor, num_parameters: int) -> Tensor:
    """Reorder rows `[features * parameters, ...]` to `[parameters * features, ...]`.

    Then the first parameters of all features are neighbours in memory, which makes the transforms faster.
    """
    return rows.unflatten(0, (-1, num_parameters)).transpose(0, 1).flatten(0, 1)
