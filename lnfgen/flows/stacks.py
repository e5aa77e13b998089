"""Stacks of feature flows as a loop over time wants them: few calls on few rows, all without gradients."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lnfgen.nn.layout import product
from lnfgen.nn.made import MADE
from lnfgen.nn.mlp import MLP
from lnfgen.transforms import Transform
from lnfgen.transforms.core import CoreTransform

TOLERANCE = 8
"""Units of round-off, of a row's largest number, that its last sweep may still move a number by."""

UNCHECKED = 2
"""Sweeps before the first look, beyond one a layer: fewer hardly ever settle."""

PATIENCE = 40
"""Sweeps after those, by when Newton has lost its way where it has not settled: a trained model of four layers takes 3
to 8."""


class MaskedStack:
    """`z_l = f_l(reversed z_{l+1}; h_l(z_l, context))` for every layer l of a stack at once: few calls, for few rows.

    Layer after layer, each takes some sweeps over the features (`MaskedAutoregressive.forward`), and every sweep solves
    f anew. But all of it is one triangular system, in layers and features, so a sweep may as well move every feature of
    every layer, by one Newton step from where the last sweep left it. It settles in about as many sweeps as one layer
    needs and one more a layer, each of them one batched product of a kind (Jacobi and Newton sweeps in one; for the
    former see Song et al., 2021, arXiv 2002.03629). A row that has settled is left alone. Without gradients.
    """

    @torch.no_grad()
    def __init__(self, conditioners: Sequence[MADE], transform: CoreTransform, rows: int) -> None:
        """`conditioners` in order from z to eps, all of a size."""
        self._transform = transform
        self._shape = (len(conditioners), conditioners[0].num_parameters)
        shape, half = (-1, self._shape[1]), conditioners[0].hidden_context.out_features // 2
        # tanh(x) = 2 sigmoid(2 x) - 1, of which the doubling goes into the products around it, as does what `_gelu`
        # leaves to them.
        root = 0.5**0.5
        self._first = torch.stack([root * each.first.masked().t() for each in conditioners])
        self._second = torch.stack([2 * root * each.second.masked().t() for each in conditioners])
        last = torch.stack([planes(each.last.masked().unflatten(0, shape)) for each in conditioners])
        self._last = 2 * last.transpose(1, 2).contiguous()
        scale = torch.cat([last.new_full((half,), root), last.new_full((half,), 2)])
        self._hidden_context = product(
            torch.cat([scale[:, None] * each.hidden_context.weight for each in conditioners]),
            torch.cat([scale * each.hidden_context.bias for each in conditioners]),
            rows,
        )
        self._output_context = product(
            torch.cat([planes(each.output_context.weight.unflatten(0, shape)) for each in conditioners]),
            torch.cat([planes(each.output_context.bias.unflatten(0, shape)) for each in conditioners])
            - last.sum(-1).flatten(),
            rows,
        )

    def solve(self, eps: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z `[N, D]`, log-determinants `[N]`, and which rows of them are a solution, bool `[N]`.

        Of eps `[N, D]` and context `[N, C]`.
        """
        num_layers, num_parameters = self._shape
        hidden = self._hidden_context(context).unflatten(-1, (num_layers, 2, -1)).permute(2, 1, 0, 3)
        context_1, context_2 = hidden.contiguous()
        context_3 = self._output_context(context).unflatten(-1, (num_layers, -1)).transpose(0, 1).contiguous()

        def sweep(latents: Tensor) -> tuple[Tensor, Tensor]:
            h = _gelu(torch.baddbmm(context_1, latents, self._first))
            h = torch.baddbmm(context_2, h, self._second).sigmoid_()
            parameters = torch.baddbmm(context_3, h, self._last).unflatten(-1, (num_parameters, -1)).transpose(-1, -2)
            noise = torch.cat([latents[1:], eps[None]]).flip(-1)
            return self._transform.approach(latents, noise, parameters)

        latents = torch.stack([eps if (num_layers - layer) % 2 == 0 else eps.flip(-1) for layer in range(num_layers)])
        for _ in range(num_layers + UNCHECKED):
            latents, _ = sweep(latents)
        unit = TOLERANCE * torch.finfo(eps.dtype).eps
        final, ladj = torch.zeros_like(eps[:, 0], dtype=torch.bool), torch.zeros_like(latents)
        for _ in range(PATIENCE):
            moved, moved_ladj = sweep(latents)
            settled = (moved - latents).abs().amax((0, -1)) <= unit * moved.abs().amax((0, -1))
            kept = final[:, None]
            latents, ladj = torch.where(kept, latents, moved), torch.where(kept, ladj, moved_ladj)
            final = final | settled
            if bool(final.all()):
                break
        return latents[0], ladj.sum((0, -1)), final


class _Coupling(NamedTuple):
    """Which half it keeps, and its weights, but for those of its context, which all have in one: H hidden units, P
    parameters."""

    kept: int  # 0 the first, and the other one is moved
    first: Tensor  # [D / 2, H]
    second_bias: Tensor  # [H]
    second: Tensor  # [H, H]
    last_bias: Tensor  # [P D / 2]
    last: Tensor  # [H, P D / 2]

    def raw(self, kept: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What enters either layer of hidden units, `[N, H]`, and the raw parameters of what is moved, `[N, P D / 2]`;
        of what is kept, `[N, D / 2]`, and the context's share of the first, `[N, H]`."""
        first = torch.addmm(context, kept, self.first)
        second = torch.addmm(self.second_bias, _gelu(first), self.second)
        return first, second, torch.addmm(self.last_bias, _gelu(second), self.last)


class CouplingStack:
    """Split couplings in turn, in either direction: their contexts come of one product, their parameters in planes.

    The number of features is even. Reversing them after each coupling comes to keeping one half and moving the other in
    turn, if every other conditioner is a reversed one. GELU(x) is `(v + v erf(v)) / sqrt 2` with `v = x / sqrt 2`, the
    factors being those of the products around it: two calls, which for one row take a third of the time of torch's, for
    40 as long. The weights are those that it was made with.
    Rows `[N, D]`, context `[N, C]`, log-determinants `[N]`.
    """

    @torch.no_grad()
    def __init__(self, conditioners: Sequence[MLP], transform: Transform, rows: int) -> None:
        """`conditioners` in order from z to eps, all of a size: of the kept features, then the context."""
        self._transform = transform
        firsts, seconds, lasts = zip(*(each.linear for each in conditioners), strict=True)
        num_kept, scale = lasts[0].out_features // transform.num_parameters, 0.5**0.5
        weight = scale * torch.cat([layer.weight[:, num_kept:] for layer in firsts])
        self._context = product(weight, scale * torch.cat([layer.bias for layer in firsts]), rows)
        self.to_context = product(weight.t(), None, rows)
        self.couplings: list[_Coupling] = []
        for layer, (first, second, last) in enumerate(zip(firsts, seconds, lasts, strict=True)):
            kept = first.weight[:, :num_kept]
            bias, weight = (each.unflatten(0, (num_kept, -1)) for each in (last.bias, last.weight))
            if layer % 2:
                kept, bias, weight = kept.flip(1), bias.flip(0), weight.flip(0)
            self.couplings.append(
                _Coupling(
                    layer % 2,
                    (scale * kept).t().contiguous(),
                    scale * second.bias,
                    (scale * scale * second.weight).t().contiguous(),
                    planes(bias),
                    (scale * planes(weight)).t().contiguous(),
                )
            )

    def forward(self, eps: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        halves, forward = self.halves(eps), self._transform.forward
        layers = reversed(list(zip(self.couplings, self._contexts(context), strict=True)))
        ladjs = [self._move(forward, coupling, halves, added) for coupling, added in layers]
        return torch.cat(halves, -1), torch.cat(ladjs, -1).sum(-1)

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        halves, inverse = list(z.chunk(2, -1)), self._transform.inverse
        layers = zip(self.couplings, self._contexts(context), strict=True)
        ladjs = [self._move(inverse, coupling, halves, added) for coupling, added in layers]
        return self._reversed(torch.cat(halves, -1)), torch.cat(ladjs, -1).sum(-1)

    def halves(self, eps: Tensor) -> list[Tensor]:
        """The features of eps in the order of z's."""
        return list(self._reversed(eps).chunk(2, -1))

    def _reversed(self, x: Tensor) -> Tensor:
        return x.flip(-1) if len(self.couplings) % 2 else x

    def _contexts(self, context: Tensor) -> tuple[Tensor, ...]:
        return self._context(context).chunk(len(self.couplings), -1)

    def _move(
        self,
        direction: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
        coupling: _Coupling,
        halves: list[Tensor],
        context: Tensor,
    ) -> Tensor:
        """Put what a coupling makes of one half, given the other, in its place; the log-determinants `[N, D / 2]`."""
        kept, moved = coupling.kept, 1 - coupling.kept
        _, _, raw = coupling.raw(halves[kept], context)
        parameters = raw.view(len(raw), self._transform.num_parameters, -1).transpose(-1, -2)
        halves[moved], ladj = direction(halves[moved], parameters)
        return ladj

    def linearised(self, z: Tensor, context: Tensor) -> "Linearised":
        """What `inverse` does to gradients at the steps of z `[T, N, D]` and context `[T, N, C]`."""
        num_steps, halves, slopes = len(z), list(z.flatten(0, 1).chunk(2, -1)), []
        for coupling, added in zip(self.couplings, self._contexts(context.flatten(0, 1)), strict=True):
            kept, moved = coupling.kept, 1 - coupling.kept
            first, second, raw = coupling.raw(halves[kept], added)
            with torch.enable_grad():
                numbers = torch.cat([halves[moved], raw], -1).view(len(raw), 1 + self._transform.num_parameters, -1)
                numbers.requires_grad_()
                outputs = self._transform.inverse(numbers[:, 0], numbers[:, 1:].transpose(-1, -2))
                of_moved, of_ladj = (
                    torch.autograd.grad(output.sum(), numbers, retain_graph=True)[0] for output in outputs
                )
            halves[moved] = outputs[0].detach()
            found = (of_moved, of_ladj, _gelu_slope(first), _gelu_slope(second))
            slopes.append([each.unflatten(0, (num_steps, -1)).unbind() for each in found])
        return Linearised(self, slopes)


class Linearised:
    """The backward pass of `CouplingStack.inverse` at many steps, one at a time, as far as the context: ten calls a
    coupling, where autograd makes some hundred."""

    def __init__(self, stack: CouplingStack, slopes: list[list[tuple[Tensor, ...]]]) -> None:
        """`slopes` of each coupling, step by step: of what it moves and of its log-determinants by the number moved and
        its parameters, `[N, 1 + P, D / 2]`, and of the hidden units, `[N, H]`."""
        self._stack, self._slopes = stack, slopes

    def pull(self, step: int, eps: Tensor, ladj: Tensor) -> Tensor:
        """The gradient at a step's context `[N, C]`, of those at its eps `[N, D]` and its log-determinants `[N]`."""
        halves, ladj, hidden = self._stack.halves(eps), ladj[:, None, None], []
        for coupling, slopes in reversed(list(zip(self._stack.couplings, self._slopes, strict=True))):
            of_moved, of_ladj, of_first, of_second = (each[step] for each in slopes)
            kept, moved = coupling.kept, 1 - coupling.kept
            numbers = torch.addcmul(ladj * of_ladj, halves[moved][:, None], of_moved)
            h = (numbers[:, 1:].flatten(1) @ coupling.last.t()).mul_(of_second)
            h = (h @ coupling.second.t()).mul_(of_first)
            hidden.append(h)
            halves[kept], halves[moved] = torch.addmm(halves[kept], h, coupling.first.t()), numbers[:, 0]
        return self._stack.to_context(torch.cat(hidden[::-1], -1))


def _gelu(v: Tensor) -> Tensor:
    """sqrt 2 GELU(sqrt 2 v)."""
    return torch.addcmul(v, v, torch.erf(v))


def _gelu_slope(v: Tensor) -> Tensor:
    with torch.enable_grad():
        v = v.detach().requires_grad_()
        return torch.autograd.grad(_gelu(v).sum(), v)[0]


def planes(by_feature: Tensor) -> Tensor:
    """Rows of weights, or biases, `[features, parameters, ...]` as `[parameters * features, ...]`: all features' first
    parameters come first, in one place; what follows is elementwise, parameter by parameter."""
    return by_feature.transpose(0, 1).flatten(0, 1)
