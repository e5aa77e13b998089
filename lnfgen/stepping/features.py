"""Fast steps of a stack of feature flows: of split couplings, or of masked autoregressive layers."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import gelu

from lnfgen.flows.features import FeatureStack, MaskedAutoregressive, SplitCoupling
from lnfgen.flows.fixed_point import solve_triangular
from lnfgen.nn.stepper import Step
from lnfgen.stepping.made import StackedMADE
from lnfgen.stepping.products import Product, by_parameter, product


def features_stepper(stack: FeatureStack, direction: str, x: Tensor) -> Step | None:
    """`(t, context) -> stack.<direction>(x[:, t], context)`. It is None where there is no fast step."""
    layers = list(stack.layers)
    if all(isinstance(layer, SplitCoupling) for layer in layers):
        move: Callable[..., Any] = getattr(Couplings(cast(list[SplitCoupling], layers)), direction)
    elif all(isinstance(layer, MaskedAutoregressive) for layer in layers) and direction == "forward":
        move = MaskedLayers(cast(list[MaskedAutoregressive], layers)).forward
    else:
        return None
    steps = x.unbind(1)
    return lambda t, context: move(steps[t], context)


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
        self._others: list[tuple[Product, Product]] = [
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

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        added, ladjs = self._context(context).chunk(len(self._first), -1), []
        for layer in range(len(self._first)):
            z, ladj = self._couple(layer, self._transform.inverse, z, added[layer])
            z = z.flip(-1)
            ladjs.append(ladj)
        return z, torch.cat(ladjs, -1).sum(-1)

    def _couple(
        self, layer: int, direction: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], x: Tensor, added: Tensor
    ) -> tuple[Tensor, Tensor]:
        kept, moved = x[:, : self._num_kept], x[:, self._num_kept :]
        second, last = self._others[layer]
        raw = last(gelu(second(gelu(torch.addmm(added, kept, self._first[layer])))))
        parameters = raw.view(len(raw), self._num_parameters, moved.shape[1]).transpose(-1, -2)  # also of no rows
        moved, ladj = direction(moved, parameters)
        return torch.cat([kept, moved], -1), ladj


class MaskedLayers:
    """The forward direction of a stack of masked autoregressive layers, solved as one triangular system.

    The system is `u_l = f_l(flip(u_{l+1}); h_l(u_l, context))` for each layer l, where u_0 is z and u_L is eps. Feature
    i of u_l depends only on earlier features of u_l and on u_{l+1}. So a Jacobi sweep (see `flows.fixed_point`) can
    update all features of all layers together, with one batched product for each kind of weights. It takes about as
    many sweeps as one layer alone and one more per layer, instead of separate sweeps for each layer.
    """

    def __init__(self, layers: list[MaskedAutoregressive]) -> None:
        """`layers` are in order from z to eps."""
        self._transform = layers[0].transform
        self._num_layers = len(layers)
        # They are stacked from eps to z, the order in which the system is triangular.
        self._conditioners = StackedMADE([layer.conditioner for layer in reversed(layers)])

    def forward(self, eps: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """eps `[N, D]`, context `[N, C]` -> z `[N, D]` and log-determinants `[N]`."""
        parameters, num_layers = self._conditioners.given(context), self._num_layers

        def update(flat: Tensor) -> tuple[Tensor, Tensor]:
            u = flat.unflatten(-1, (num_layers, -1)).transpose(0, 1)  # [L, N, D]
            inputs = torch.cat([eps[None], u[:-1]]).flip(-1)
            moved, ladj = self._transform.forward(inputs, parameters(u))
            return moved.transpose(0, 1).flatten(1), ladj.transpose(0, 1).flatten(1)

        start = torch.cat([eps if layer % 2 else eps.flip(-1) for layer in range(num_layers)], -1)
        u, ladj, _ = solve_triangular(update, start)
        return u[:, -eps.shape[-1] :], ladj.sum(-1)
