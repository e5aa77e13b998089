"""Steps of a stack of feature flows: split couplings, and masked autoregressive layers."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import gelu

from lnfgen.flows.features import FeatureStack, MaskedAutoregressive, SplitCoupling
from lnfgen.flows.fixed_point import sweep
from lnfgen.nn.stepper import Step
from lnfgen.stepping.made import StackedMADE
from lnfgen.stepping.products import Product, product


def features_stepper(stack: FeatureStack, direction: str, x: Tensor) -> Step | None:
    """`(t, context) -> stack.<direction>(x[:, t], context)`, for split couplings, and for MADEs that generate."""
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
    """A stack of split couplings. What the context adds to all conditioners is one product.

    Rows `[N, D]`, context `[N, C]`, log-determinants `[N]`.
    """

    @torch.no_grad()
    def __init__(self, layers: list[SplitCoupling]) -> None:
        """`layers` in order from z to eps."""
        self._transform = layers[0].inner.transform
        self._num_kept = num_kept = layers[0].num_kept
        firsts, seconds, lasts = zip(*(layer.inner.conditioner.linear for layer in layers), strict=True)
        self._context = product(
            torch.cat([first.weight[:, num_kept:] for first in firsts]), torch.cat([first.bias for first in firsts])
        )
        self._first = [first.weight[:, :num_kept].t().contiguous() for first in firsts]
        self._others: list[tuple[Product, Product]] = [
            (product(second.weight, second.bias), product(self._planes(last.weight), self._planes(last.bias)))
            for second, last in zip(seconds, lasts, strict=True)
        ]

    def _planes(self, by_feature: Tensor) -> Tensor:
        """Rows `[features * parameters, ...]` as `[parameters * features, ...]`.

        All features' first parameters then lie together, then all second ones: what follows works parameter by
        parameter.
        """
        return by_feature.unflatten(0, (-1, self._transform.num_parameters)).transpose(0, 1).flatten(0, 1)

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
        parameters = raw.view(len(raw), self._transform.num_parameters, -1).transpose(-1, -2)
        moved, ladj = direction(moved, parameters)
        return torch.cat([kept, moved], -1), ladj


class MaskedLayers:
    """A stack of masked autoregressive layers, generating: all layers and all features in one triangular system.

    `u_l = f_l(flip(u_{l+1}); h_l(u_l, context))` for every layer l, where u_0 is z and u_L is eps. Taken in turn, every
    layer would need its own sweeps over the features. But feature i of u_l depends on earlier features of u_l and on
    u_{l+1} alone, so a sweep may move every feature of every layer at once. That settles after about as many sweeps as
    one layer needs and one more a layer, and each sweep is one batched product of a kind (Song et al., 2021, arXiv
    2002.03629, on Jacobi sweeps).
    """

    def __init__(self, layers: list[MaskedAutoregressive]) -> None:
        """`layers` in order from z to eps."""
        self._transform = layers[0].transform
        self._num_layers = len(layers)
        # From eps to z, the order in which the sweeps become final.
        self._conditioners = StackedMADE([layer.conditioner for layer in reversed(layers)])

    def forward(self, eps: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """z `[N, D]` and log-determinants `[N]` of eps `[N, D]` and context `[N, C]`."""
        given, num_layers = self._conditioners.given(context), self._num_layers

        def update(flat: Tensor) -> tuple[Tensor, Tensor]:
            u = flat.unflatten(-1, (num_layers, -1)).transpose(0, 1)  # [L, N, D]
            above = torch.cat([eps[None], u[:-1]]).flip(-1)
            moved, ladj = self._transform.forward(above, given(u))
            return moved.transpose(0, 1).flatten(1), ladj.transpose(0, 1).flatten(1)

        start = torch.cat([eps if layer % 2 else eps.flip(-1) for layer in range(num_layers)], -1)
        solution = sweep(update, start)
        return solution.value[:, -eps.shape[-1] :], solution.log_abs_det_jacobian.sum(-1)
