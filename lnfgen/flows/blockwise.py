"""A flow across time in 32 passes: each draws one step of every block of 32 steps."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lnfgen.device import Dropout
from lnfgen.flows.features import FeaturePrior
from lnfgen.flows.temporal import ContextFlow
from lnfgen.nn.backbones import Bidirectional
from lnfgen.nn.stepper import looping, steps_of

BLOCK = 32
"""Steps of a block, and passes of `forward`. Shorter blocks take fewer passes and fit worse."""


class BlockwiseFlow(ContextFlow):
    """`eps_t = g(z_t; c_t)`, where c_t is computed from the earlier steps of every block; `blocks` in `time`.

    Blocks are of `block` steps, the last one as long as what is left. Pass p of `forward` draws step p of all of them:
    `within` reads the earlier steps of each block, and `across` joins what it made of them, in both directions. So
    `forward` takes at most `block` passes, for any T, and `inverse` is parallel over T. The Jacobian is triangular if
    the steps are put in the order of the passes.

    Limits: given the earlier passes, the steps of one pass are independent; they lie `block` steps apart. And the last
    steps of a block hardly learn to fit to the next block, although its first steps are known by then.
    """

    def __init__(
        self,
        num_features: int,
        features: FeaturePrior,
        within: nn.Module,
        across: Bidirectional,
        input_dropout: float,
        reading: nn.Module,
    ) -> None:
        """`within` is causal and reads `reading` of z. Its output, that of `across` and positions are the context."""
        super().__init__(num_features, features)
        self.within = within
        self.across = across
        self.reading = reading
        self.input_dropout = Dropout(input_dropout)
        self.block = BLOCK

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        z, ladj = self._in_passes(eps, positions, lengths, self.features)
        return z, ladj

    def draw(self, positions: Tensor, lengths: Tensor, noise: Tensor, temperature: float = 1.0) -> Tensor:
        def move(noise_p: Tensor, context: Tensor) -> tuple[Tensor]:
            return (self.features.draw(noise_p, context, temperature),)

        return self._in_passes(noise, positions, lengths, move)[0]

    def _in_passes(
        self, x: Tensor, positions: Tensor, lengths: Tensor, move: Callable[[Tensor, Tensor], tuple[Tensor, ...]]
    ) -> list[Tensor]:
        """Move eps or noise x `[N, T, ...]`, in each pass its steps with their contexts: first z, then what else.

        `move` returns z and any other results of these steps, `[N, B, ...]` each.
        """
        x_of, positions_of, counts = self._folded(x), self._folded(positions), self._counts(x, lengths)
        steps = steps_of(self.within, positions_of.flatten(0, 1))
        value, passes = x.new_zeros(*x_of.shape[:2], self.num_features), []
        with looping(x):
            for p in range(x_of.shape[2]):
                own = steps.step(p, self._read(value).flatten(0, 1)).unflatten(0, value.shape[:2])
                row = slice(p, p + 1)
                context = self._contexts(own.unsqueeze(2), positions_of[:, :, row], counts[:, row])
                passes.append(move(x_of[:, :, p], context.squeeze(2)))
                value = passes[-1][0]
        return [torch.stack(part, 2).flatten(1, 2)[:, : x.shape[1]] for part in zip(*passes, strict=True)]

    def contexts(self, z: Tensor, positions: Tensor, lengths: Tensor) -> Tensor:
        earlier, positions = pad(self._folded(z)[:, :, :-1], (0, 0, 1, 0)), self._folded(positions)
        own, _ = self.within(torch.cat([self._read(earlier), positions], -1).flatten(0, 1))
        own = own.unflatten(0, earlier.shape[:2])
        return self._contexts(own, positions, self._counts(z, lengths)).flatten(1, 2)[:, : z.shape[1]]

    def _read(self, earlier: Tensor) -> Tensor:
        return self.input_dropout(self.reading(earlier))

    def _folded(self, x: Tensor) -> Tensor:
        """`[N, T, F]` -> `[N, B, P, F]`: B blocks of P steps, P being T or `block`, whichever is less."""
        size = min(self.block, x.shape[1])
        return pad(x, (0, 0, 0, -x.shape[1] % size)).unflatten(1, (-1, size))

    def _counts(self, x: Tensor, lengths: Tensor) -> Tensor:
        """In how many blocks each step is real, `[N, P]`."""
        size = min(self.block, x.shape[1])
        return (lengths[:, None] + torch.arange(size - 1, -1, -1, device=x.device)) // size

    def _contexts(self, own: Tensor, positions: Tensor, counts: Tensor) -> Tensor:
        """The contexts `[N, B, P, C]` of P steps from the outputs of `within` there, `[N, B, P, hidden]`."""
        others = self.across(own.transpose(1, 2).flatten(0, 1), counts.flatten())  # [N * P, B, ...]
        others = others.unflatten(0, counts.shape).transpose(1, 2)
        return torch.cat([own, others, positions], -1)
