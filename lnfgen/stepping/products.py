"""Matrix products whose weights are arranged once for many steps."""

from collections.abc import Callable

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]
"""A function from x `[rows, in]` to `[rows, out]`."""


def product(weight: Tensor, bias: Tensor) -> Product:
    """`x -> x weight^T + bias`, with weight `[out, in]`.

    The weights are transposed in memory, because products with few rows then take three quarters of the time.
    """
    transposed, bias = weight.detach().t().contiguous(), bias.detach()
    return lambda x: torch.addmm(bias, x, transposed)


def by_parameter(rows: Tensor, num_parameters: int) -> Tensor:
    """Reorder rows `[features * parameters, ...]` to `[parameters * features, ...]`.

    Then the first parameters of all features are neighbours in memory, which makes the transforms faster.
    """
    return rows.unflatten(0, (-1, num_parameters)).transpose(0, 1).flatten(0, 1)
