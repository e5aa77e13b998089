"""All layers of a stack that are autoregressive over the features, solved together by Newton sweeps."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import gelu

from lnfgen.nn.layout import product
from lnfgen.nn.made import MADE
from lnfgen.transforms.core import CoreTransform

TOLERANCE = 8
"""Units of round-off, of a row's largest number, that its last sweep may still move a number by."""

UNCHECKED = 4
"""Sweeps before the first look, beyond one a layer: fewer hardly ever settle."""

PATIENCE = 40
"""Sweeps, beyond one a layer, after which Newton has lost its way: three times as many as trained models take."""


class JointSolver:
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
        last = torch.stack([self._planes(each.last.masked()) for each in conditioners])
        self._last = 2 * last.transpose(1, 2).contiguous()
        half = conditioners[0].hidden_context.out_features // 2
        scale = torch.cat([last.new_ones(half), last.new_full((half,), 2)])
        self._hidden_context = product(
            torch.cat([scale[:, None] * each.hidden_context.weight for each in conditioners]),
            torch.cat([scale * each.hidden_context.bias for each in conditioners]),
            rows,
        )
        self._output_context = product(
            torch.cat([self._planes(each.output_context.weight) for each in conditioners]),
            torch.cat([self._planes(each.output_context.bias) for each in conditioners]) - last.sum(-1).flatten(),
            rows,
        )

    def _planes(self, weight: Tensor) -> Tensor:
        """Rows in order of parameters, then features, so that each parameter of all features is in one place."""
        return weight.detach().unflatten(0, (-1, self._shape[1])).transpose(0, 1).flatten(0, 1)

    def solve(self, eps: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z `[N, D]`, log-determinants `[N]`, and where they are a solution, bool `[N]`: eps `[N, D]`, context `[N, C]`."""
        num_layers, num_parameters = self._shape
        hidden = self._hidden_context(context).unflatten(-1, (num_layers, 2, -1)).permute(2, 1, 0, 3)
        context_1, context_2 = hidden.contiguous()
        context_3 = self._output_context(context).unflatten(-1, (num_layers, -1)).transpose(0, 1).contiguous()
        latents = torch.stack([eps if (num_layers - layer) % 2 == 0 else eps.flip(-1) for layer in range(num_layers)])
        final, ladj, after = None, None, eps[None]
        for sweep in range(num_layers + PATIENCE):
            h = gelu(torch.baddbmm(context_1, latents, self._first))
            h = torch.baddbmm(context_2, h, self._second).sigmoid_()
            parameters = torch.baddbmm(context_3, h, self._last).unflatten(-1, (num_parameters, -1)).transpose(-1, -2)
            noise = torch.cat([latents[1:], after]).flip(-1)
            moved, moved_ladj = self._transform.newton_step(latents, noise, parameters)
            if sweep < num_layers + UNCHECKED:
                latents, ladj = moved, moved_ladj
                continue
            unit = TOLERANCE * torch.finfo(eps.dtype).eps
            settled = (moved - latents).abs().amax((0, -1)) <= unit * moved.abs().amax((0, -1))
            if final is None:
                latents, ladj, final = moved, moved_ladj, settled
            else:
                latents = torch.where(final[:, None], latents, moved)
                ladj = torch.where(final[:, None], ladj, moved_ladj)
                final = final | settled
            if bool(final.all()):
                break
        assert final is not None
        assert ladj is not None
        return latents[0], ladj.sum((0, -1)), final
