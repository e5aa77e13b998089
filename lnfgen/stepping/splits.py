"""A stack of split couplings, for many calls with few rows."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import gelu

from lnfgen.flows.features import Direction, FeatureStack, SplitCoupling


def couplings_of(stack: FeatureStack) -> "Couplings | None":
    """`Couplings` of a stack, or None if its layers are of another kind."""
    layers = list(stack.layers)
    if not all(isinstance(layer, SplitCoupling) for layer in layers):
        return None
    return Couplings(cast(list[SplitCoupling], layers))


class Couplings:
    """A stack of split couplings that multiplies the context by the weights of all layers in one product.

    eps and z are `[N, D]`, the context is `[N, C]`, log-determinants are `[N]`.
    """

    @torch.no_grad()
    def __init__(self, layers: list[SplitCoupling]) -> None:
        """`layers` are in order from z to eps."""
        self._transform = layers[0].inner.transform
        self._num_kept = num_kept = layers[0].num_kept
        self._num_parameters = num_parameters = self._transform.num_parameters
        firsts, seconds, lasts = zip(*(layer.inner.conditioner.linear for layer in layers), strict=True)
        self._context = product(
            torch.cat([first.weight[:, num_kept:] for first in firsts]), torch.cat([first.bias for first in firsts])
        )
        self._first = [first.weight[:, :num_kept].t().contiguous() for first in firsts]
        self._others = [
            (
                product(second.weight, second.bias),
                product(by_parameter(last.weight, num_parameters), by_parameter(last.bias, num_parameters)),
            )
            for second, last in zip(seconds, lasts, strict=True)
        ]

    def forward(self, eps: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        added, ladjs = self._context(context).chunk(len(self._first), -1), []
        for layer in reversed(range(len(self._first))):
            eps, ladj = self._couple(layer, self._transform.forward, eps.flip(-1), added[layer])
            ladjs.append(ladj)
        return eps, torch.cat(ladjs, -1).sum(-1)

    def draw(self, noise: Tensor, context: Tensor, temperature: float = 1.0) -> Tensor:
        """As `FeatureFlow.draw`."""
        return self.forward(temperature * noise, context)[0]

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        added, ladjs = self._context(context).chunk(len(self._first), -1), []
        for layer in range(len(self._first)):
            z, ladj = self._couple(layer, self._transform.inverse, z, added[layer])
            z = z.flip(-1)
            ladjs.append(ladj)
        return z, torch.cat(ladjs, -1).sum(-1)

    def _couple(self, layer: int, direction: Direction, x: Tensor, added: Tensor) -> tuple[Tensor, Tensor]:
        kept, moved = x[:, : self._num_kept], x[:, self._num_kept :]
        second, last = self._others[layer]
        raw = last(gelu(second(gelu(torch.addmm(added, kept, self._first[layer])))))
        parameters = raw.view(len(raw), self._num_parameters, moved.shape[1]).transpose(-1, -2)  # also of no rows
        moved, ladj = direction(moved, parameters)
        return torch.cat([kept, moved], -1), ladj


def product(weight: Tensor, bias: Tensor) -> Callable[[Tensor], Tensor]:
    """`x -> x weight^T + bias`, weight `[out, in]`: it is transposed in memory, because few rows are then faster."""
    transposed, bias = weight.detach().t().contiguous(), bias.detach()
    return lambda x: torch.addmm(bias, x, transposed)


def by_parameter(rows: Tensor, num_parameters: int) -> Tensor:
    """Reorder rows `[features * parameters, ...]` to `[parameters * features, ...]`, for faster transforms."""
    return rows.unflatten(0, (-1, num_parameters)).transpose(0, 1).flatten(0, 1)
