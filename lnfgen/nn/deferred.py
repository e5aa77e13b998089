"""Linear maps that a recorded loop takes at every step, whose weights' gradients are taken once for all steps.

Plain autograd adds up a gradient the size of the weights at every step, each a product over one step's few rows. Here a
step's backward pass gives the gradient of its input alone and keeps both factors; a node before a step, whose
turn comes after those of some hundred steps, makes one product over the rows of all of them: the same sum in another
order. As the weights do not change within the loop, they are cast and laid out for their products once as well.

Gradients of gradients are refused. Limit: after a backward pass that asks for the inputs' gradients alone, one of the
same graph has to come through the same steps at least, as in a loop it does: it overwrites what that one has kept.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear as plain_linear

from lnfgen.nn.layout import product

Weights = tuple[Tensor, Tensor | None]
"""Of a linear map: `[out, in]`, and the bias `[out]`."""

Linear = Callable[[Tensor], Tensor]
"""x `[..., in]` -> `[..., out]`."""

TOGETHER = 1024
"""Rows of calls whose pairs are kept for one product: it is at full rate then, and memory does not grow further."""

FEWEST_WEIGHTS = 200_000
"""Of a smaller matrix, the gradient is as soon taken step by step: keeping its pairs costs more calls."""

_Pairs = dict[int, tuple[Tensor, Tensor] | None]
"""Input and the output's gradient of each call; one that a backward pass comes through again has its last."""

_maps: ContextVar[dict[Any, Linear] | None] = ContextVar("maps", default=None)


@contextmanager
def deferring() -> Iterator[None]:
    """Within it, `linear` takes each map's weights once, and defers their gradients."""
    token = _maps.set({})
    try:
        yield
    finally:
        _maps.reset(token)


def linear(owner: Any, weights: Callable[[], Weights]) -> Linear:
    """`x -> x weight^T + bias` of what `weights()` gives: within `deferring`, where gradients are recorded, it is asked
    once for each owner."""
    maps = _maps.get()
    if maps is None or not torch.is_grad_enabled():
        return lambda x: plain_linear(x, *weights())

    def deferred(x: Tensor) -> Tensor:
        if owner not in maps:
            weight, bias = weights()
            if weight.numel() < FEWEST_WEIGHTS:
                maps[owner] = lambda x: plain_linear(x, weight, bias)
            else:
                maps[owner] = _Map(weight, bias, rows=x[..., 0].numel())
        return maps[owner](x)

    return deferred


class _Map:
    """The linear map of an owner. Its roots do not know it, so that it goes when its last graph does."""

    def __init__(self, weight: Tensor, bias: Tensor | None, rows: int) -> None:
        device = weight.device.type
        cast = torch.is_autocast_enabled(device)
        self.dtype = torch.get_autocast_dtype(device) if cast else weight.dtype
        self.weights = weight, bias
        self.dtypes = weight.dtype, None if bias is None else bias.dtype
        cast_weight, cast_bias = weight.to(self.dtype), None if bias is None else bias.to(self.dtype)
        self.forward = product(cast_weight, cast_bias, rows)
        self.backward = product(cast_weight.t().contiguous(), None, rows)
        self.root: Tensor
        self.pairs: _Pairs
        self.rows = TOGETHER

    def __call__(self, x: Tensor) -> Tensor:
        shape, x = x.shape[:-1], x.flatten(0, -2)
        if self.rows >= TOGETHER:
            self.rows, self.pairs = 0, {}
            self.root = StandIn.apply(partial(_gradients, self.pairs, *self.dtypes), *self.weights)
        self.rows += len(x)
        return _Call.apply(x.to(self.dtype), self.root, self.backward, self.forward, self.pairs).unflatten(0, shape)


def _gradients(pairs: _Pairs, weight: torch.dtype, bias: torch.dtype | None) -> tuple[Tensor | None, Tensor | None]:
    """Those of weights and bias of these dtypes from the pairs of calls, which are used up."""
    found = [pair for pair in pairs.values() if pair]
    if not found:
        return None, None
    pairs.update(dict.fromkeys(pairs))
    inputs, gradients = map(torch.cat, zip(*found, strict=True))
    return (gradients.t() @ inputs).to(weight), None if bias is None else gradients.sum(0, dtype=bias)


class StandIn(torch.autograd.Function):
    """An empty tensor that stands for what calls that follow share: once they all have been gone back through, and
    autograd knows when, the `gradients()` of what they share go on to it."""

    @staticmethod
    def forward(
        ctx: Any, gradients: Callable[[], tuple[Tensor | None, ...]], shared: Tensor, *others: Tensor | None
    ) -> Tensor:
        ctx.set_materialize_grads(False)
        ctx.gradients = gradients
        return shared.new_empty(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor | None) -> tuple[Tensor | None, ...]:
        return None, *ctx.gradients()


class _Call(torch.autograd.Function):
    """`forward(x)`, of a linear map whose transpose is `backward`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, root: Tensor, backward: Linear, forward: Linear, pairs: _Pairs) -> Tensor:
        ctx.save_for_backward(x)
        ctx.to_input, ctx.pairs, ctx.call = backward, pairs, len(pairs)
        pairs[ctx.call] = None
        return forward(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        (x,) = ctx.saved_tensors
        ctx.pairs[ctx.call] = x, gradient
        return ctx.to_input(gradient) if ctx.needs_input_grad[0] else None, None, None, None, None
