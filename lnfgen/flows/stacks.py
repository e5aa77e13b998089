"""Stacks of feature flows as a loop over time wants them: few calls on few rows, all without gradients."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import gelu

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

    def __init__(self, conditioners: Sequence[MADE], transform: CoreTransform, rows: int) -> None:
        """`conditioners` in order from z to eps, all of a size."""
        self._transform = transform
        self._shape = (len(conditioners), conditioners[0].num_parameters)
        # tanh(x) = 2 sigmoid(2 x) - 1, of which the doubling goes into the products around it.
        self._first = torch.stack([each.first.masked().t() for each in conditioners])
        self._second = torch.stack([2 * each.second.masked().t() for each in conditioners])
        last = torch.stack([planes(each.last.masked(), self._shape[1]) for each in conditioners])
        self._last = 2 * last.transpose(1, 2).contiguous()
        half = conditioners[0].hidden_context.out_features // 2
        scale = torch.cat([last.new_ones(half), last.new_full((half,), 2)])
        self._hidden_context = product(
            torch.cat([scale[:, None] * each.hidden_context.weight for each in conditioners]),
            torch.cat([scale * each.hidden_context.bias for each in conditioners]),
            rows,
        )
        self._output_context = product(
            torch.cat([planes(each.output_context.weight, self._shape[1]) for each in conditioners]),
            torch.cat([planes(each.output_context.bias, self._shape[1]) for each in conditioners])
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
            h = gelu(torch.baddbmm(context_1, latents, self._first))
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


class CouplingStack:
    """Split couplings in turn, in either direction: their contexts come of one product, and their parameters in planes.

    Rows `[N, D]`, context `[N, C]`, log-determinants `[N]`.
    """

    def __init__(self, conditioners: Sequence[MLP], transform: Transform, num_kept: int, rows: int) -> None:
        """`conditioners` in order from z to eps, all of a size: of the kept features, then the context."""
        self._transform, self._num_kept = transform, num_kept
        firsts, *others = zip(*(each.linear for each in conditioners), strict=True)
        self._context = product(
            torch.cat([layer.weight[:, num_kept:] for layer in firsts]),
            torch.cat([layer.bias for layer in firsts]),
            rows,
        )
        self._kept = [layer.weight[:, :num_kept].t().contiguous() for layer in firsts]
        seconds, lasts = others
        self._second = [(layer.bias, layer.weight.t().contiguous()) for layer in seconds]
        num = transform.num_parameters
        self._last = [(planes(layer.bias, num), planes(layer.weight, num).t().contiguous()) for layer in lasts]

    def forward(self, eps: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        contexts, ladjs = self._contexts(context), []
        for layer in reversed(range(len(contexts))):
            eps, ladj = self._couple(self._transform.forward, layer, eps.flip(-1), contexts[layer])
            ladjs.append(ladj)
        return eps, torch.cat(ladjs, -1).sum(-1)

    def inverse(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        contexts, ladjs = self._contexts(context), []
        for layer, added in enumerate(contexts):
            z, ladj = self._couple(self._transform.inverse, layer, z, added)
            z = z.flip(-1)
            ladjs.append(ladj)
        return z, torch.cat(ladjs, -1).sum(-1)

    def _contexts(self, context: Tensor) -> tuple[Tensor, ...]:
        return self._context(context).chunk(len(self._kept), -1)

    def _couple(
        self, direction: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], layer: int, x: Tensor, context: Tensor
    ) -> tuple[Tensor, Tensor]:
        kept, moved = x[:, : self._num_kept], x[:, self._num_kept :]
        bias, second = self._second[layer]
        h = gelu(torch.addmm(bias, gelu(torch.addmm(context, kept, self._kept[layer])), second))
        raw = torch.addmm(self._last[layer][0], h, self._last[layer][1])
        moved, ladj = direction(moved, raw.view(len(x), self._transform.num_parameters, -1).transpose(-1, -2))
        return torch.cat([kept, moved], -1), ladj


def planes(rows: Tensor, num_parameters: int) -> Tensor:
    """Weights or biases whose rows are in order of features, then parameters, so that all features' first parameters
    come first, in one place: what follows is elementwise, parameter by parameter."""
    return rows.unflatten(0, (-1, num_parameters)).transpose(0, 1).flatten(0, 1)
