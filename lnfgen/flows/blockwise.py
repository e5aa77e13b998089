"""A flow across time in any number of passes, each of which draws one step of every block."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lnfgen.conventions import MAX_LENGTH, PASSES
from lnfgen.device import Dropout
from lnfgen.flows.blocks import Blocks
from lnfgen.flows.features import FeaturePrior
from lnfgen.flows.temporal import ContextFlow
from lnfgen.nn.backbones import Bidirectional
from lnfgen.nn.stepper import looping, steps_of

# each call in training has blocks of one of these sizes
IN_TRAINING = (4, 8, 16, 32, 64, MAX_LENGTH)
AHEAD = 8  # a step reads which of so many steps after it are known
AHEAD_SIZE = 32  # features of each of them


Move = Callable[[int, Tensor, Tensor, Tensor], tuple[Tensor, ...]]
"""From a pass, the values of its steps, their contexts, and whether their blocks may be cut within
a word, `[N, B]`,
the results of these steps: first z, then what else."""


class BlockwiseFlow(ContextFlow):
    """`eps_t = g(z_t; c_t)`, where c_t is computed from the earlier steps of every block; `blocks`
    in `time`.

    Blocks have as many steps as there are `passes`, the last one what is left. Pass p of `forward`
    draws step p of all
    of them: `within` reads the earlier steps of each block, `across` joins what it made of them, in
    both directions, and `ahead` reads the first steps of the next block, so that a block ends as
    the next one begins. `forward` takes at most `passes` passes; `inverse` is parallel over T. In
    the order of the passes, the Jacobian is triangular.

    More passes fit better: the first steps of a block follow nothing. One model draws in any number
    of passes, because each call in training has blocks of another size.

    Limit: given the earlier passes, the steps of one pass are independent; they lie about `passes`
    steps apart.
    """

    def __init__(
        self,
        num_features: int,
        features: FeaturePrior,
        within: nn.Module,
        narrow: nn.Linear,
        across: Bidirectional,
        ahead: "Ahead",
        input_dropout: float,
        reading: nn.Module,
    ) -> None:
        """`within` is causal, and reads positions and the `reading` of z; `ahead` reads the latter,
        and `across` what `narrow` leaves of the outputs of `within`. The outputs of the three and
        positions are the context.
        """
        super().__init__(num_features, features)
        self.within = within
        self.narrow = narrow
        self.across = across
        self.ahead = ahead
        self.reading = reading
        self.input_dropout = Dropout(input_dropout)
        self.passes = PASSES

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        z, ladj = self._in_passes(
            eps, positions, self._blocks(eps, lengths), lambda p, x, c, _: self.features(x, c)
        )
        return z, ladj

    def draw(
        self, positions: Tensor, lengths: Tensor, noise: Tensor, temperature: float = 1.0
    ) -> Tensor:
        def move(p: int, noise_p: Tensor, context: Tensor, may_be_cut: Tensor) -> tuple[Tensor]:
            return (self.features.draw(noise_p, context, temperature),)

        return self._in_passes(noise, positions, self._blocks(noise, lengths), move)[0]

    def contexts(self, z: Tensor, positions: Tensor, lengths: Tensor) -> Tensor:
        blocks = self._blocks(z, lengths)
        return self._contexts_in(blocks, z, positions, self._may_be_cut(blocks, z))

    def _passes(self, num_steps: int) -> int:
        return min(
            IN_TRAINING[int(torch.randint(len(IN_TRAINING), ()))] if self.training else self.passes,
            num_steps,
        )

    def _blocks(self, z: Tensor, lengths: Tensor) -> Blocks:
        """The blocks of sequences z."""
        passes = self._passes(z.shape[1])
        return Blocks.chained(lambda row, start, before: passes, lengths, z.shape[1], passes)

    def _ends(self, blocks: Blocks, places: Tensor, z: Tensor) -> Tensor:
        """Whether a block ends with a word because of z `[N, B, Q, D]` at places `[Q]` of it: `[N,
        B, Q]`."""
        return torch.zeros_like(z[..., 0], dtype=torch.bool)

    def _in_passes(self, x: Tensor, positions: Tensor, blocks: Blocks, move: Move) -> list[Tensor]:
        """Move eps or noise x `[N, T, ...]`, pass by pass, and unfold each result."""
        num_steps, rows = x.shape[1], torch.arange(len(x), device=x.device)[:, None]
        x_of, positions = blocks.folded(x), blocks.folded(positions)
        steps = steps_of(self.within, positions.flatten(0, 1))
        # nothing is known of the last two, after the end
        known = x.new_zeros(len(x), num_steps + 2, AHEAD_SIZE)
        after = torch.arange(1, AHEAD + 1, device=x.device)
        read, passes = self._read(x.new_zeros(*x_of.shape[:2], self.num_features)), []
        may_be_cut, places = blocks.is_full, torch.arange(blocks.passes, device=x.device)
        with looping(x):
            for p in range(blocks.passes):
                own = steps.step(p, read.flatten(0, 1)).unflatten(0, read.shape[:2])
                step, is_real = blocks.starts + p, blocks.is_real[:, :, p]
                at = torch.where(may_be_cut, step, num_steps)[..., None] + after
                window = known[rows[..., None], at.clamp(max=num_steps)]
                ahead = self.ahead.joined(window.transpose(-1, -2))
                context = self._contexts(
                    own[:, :, None], ahead[:, :, None], positions.narrow(2, p, 1), blocks.counts
                )
                passes.append(move(p, x_of[:, :, p], context.squeeze(2), may_be_cut))
                z = passes[-1][0]
                may_be_cut = (
                    may_be_cut & ~self._ends(blocks, places[p : p + 1], z[:, :, None])[:, :, 0]
                )
                read = self._read(z) * is_real[..., None]
                known[rows, torch.where(is_real, step, num_steps + 1)] = self.ahead.of_each(read)
        return [blocks.unfolded(torch.stack(part, 2)) for part in zip(*passes, strict=True)]

    def _may_be_cut(self, blocks: Blocks, z: Tensor) -> Tensor:
        """Whether the earlier steps of a block allow that it is cut within a word, of each place:
        `[N, B, P]`."""
        ends = self._ends(blocks, torch.arange(blocks.passes, device=z.device), blocks.folded(z))
        return blocks.is_full[..., None] & (pad(ends, (1, 0))[..., :-1].cumsum(2) == 0)

    def _contexts_in(
        self, blocks: Blocks, z: Tensor, positions: Tensor, may_be_cut: Tensor
    ) -> Tensor:
        """The context of each step, `[N, T, C]`."""
        read = self._read(z)
        ahead, folded = (
            blocks.folded(self.ahead(read, blocks, blocks.unfolded(may_be_cut))),
            blocks.folded(read),
        )
        first = self._read(z.new_zeros(self.num_features)).expand(*folded.shape[:2], 1, -1)
        earlier, positions = torch.cat([first, folded[:, :, :-1]], 2), blocks.folded(positions)
        own, _ = self.within(torch.cat([earlier, positions], -1).flatten(0, 1))
        own = own.unflatten(0, earlier.shape[:2])
        return blocks.unfolded(self._contexts(own, ahead, positions, blocks.counts))

    def _read(self, z: Tensor) -> Tensor:
        return self.input_dropout(self.reading(z))

    def _contexts(self, own: Tensor, ahead: Tensor, positions: Tensor, counts: Tensor) -> Tensor:
        """The contexts `[N, B, P, C]` of P steps from the outputs of `within` and `ahead`, and the
        counts of blocks."""
        num_passes = own.shape[2]
        others = self.narrow(own).transpose(1, 2).flatten(0, 1)  # [N * P, B, ...]
        others = self.across(others, counts.repeat_interleave(num_passes)).unflatten(
            0, (-1, num_passes)
        )
        return torch.cat([own, others.transpose(1, 2), ahead, positions], -1)


class Ahead(nn.Module):
    """Features of the `AHEAD` steps after each step, as far as they lie in the next block and
    earlier passes drew them.

    Each place has its own weights, counted from the step itself, so that what lies next to a gap is
    read as that. It is for blocks that may be cut within a word. Others may not know where they end
    (`lnfgen.flows.wordwise.Foresight`).
    """

    def __init__(self, num_read: int, size: int) -> None:
        super().__init__()
        self.of_each = nn.Linear(num_read, AHEAD_SIZE, bias=False)
        self.join = nn.Linear(AHEAD_SIZE * AHEAD, size)

    def forward(self, read: Tensor, blocks: Blocks, may_be_cut: Tensor) -> Tensor:
        """From the reading of z `[N, T, E]`, where `may_be_cut` `[N, T]`: `[N, T, size of the
        features]`."""
        place = blocks.places
        known = (
            pad(place, (0, AHEAD), value=blocks.passes)[:, 1:].unfold(1, AHEAD, 1)
            < place[..., None]
        )
        known = known & may_be_cut[..., None]
        return self.joined(
            pad(self.of_each(read), (0, 0, 0, AHEAD))[:, 1:].unfold(1, AHEAD, 1) * known[:, :, None]
        )

    def joined(self, steps: Tensor) -> Tensor:
        """From the features of each step, 0 where it is not known, `[..., AHEAD_SIZE, AHEAD]`."""
        return torch.tanh(self.join(steps.flatten(-2)))
