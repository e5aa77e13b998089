"""A flow across time in any number of passes, each of which draws one step of every block."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lnfgen.conventions import MAX_LENGTH, PASSES
from lnfgen.device.replacements import Dropout
from lnfgen.flows.blocks import Blocks
from lnfgen.flows.features import FeaturePrior
from lnfgen.flows.temporal import ContextFlow
from lnfgen.nn.backbones import Bidirectional
from lnfgen.nn.stepper import looping, steps_of

# Each call in training has blocks of one of these sizes.
IN_TRAINING = (4, 8, 16, 32, 64, MAX_LENGTH)
AHEAD = 8  # a step reads which of so many steps after it are known
AHEAD_SIZE = 32  # features of each of them


BlockMove = Callable[[int, Tensor, Tensor, Tensor], tuple[Tensor, ...]]
"""A function that draws or moves the steps of one pass.

It takes the number of the pass, the eps or noise of its steps `[N, B, ...]`, their contexts
`[N, B, C]`, and whether their blocks may be cut within a word, `[N, B]`. It returns the results of
these steps: first z `[N, B, D]`, then what else there is.
"""


class BlockwiseFlow(ContextFlow):
    """`eps_t = g(z_t; c_t)`, where c_t is computed from the earlier steps of every block.

    It is named `blocks` in the configuration's `time`. Blocks have as many steps as there are
    `passes`, the last one what is left. Pass p of `forward` draws step p of all of them: `within`
    reads the earlier steps of each block, `across` joins what it made of them, in both directions,
    and `ahead` reads the first steps of the next block, so that a block ends as the next one
    begins. `forward` takes at most `passes` passes; `inverse` is parallel over T. In the order of
    the passes, the Jacobian is triangular.

    More passes fit better: the first steps of a block follow nothing. One model draws in any number
    of passes, because each call in training has blocks of another size.

    Limit: given the earlier passes, the steps of one pass are independent; they lie about `passes`
    steps apart.
    """

    # It takes its networks, each of which the configuration gives another size.
    def __init__(  # noqa: PLR0913
        self,
        num_features: int,
        features: FeaturePrior,
        within: nn.Module,
        narrow: nn.Linear,
        across: Bidirectional,
        ahead: "Ahead",
        input_dropout: float,
        embedding: nn.Module,
    ) -> None:
        """`embedding` maps z `[..., D]` to what the networks read of it, `[..., E]`.

        `within` is causal, and reads the embedding and positions. `ahead` reads the embedding, and
        `across` what `narrow` leaves of the outputs of `within`. The outputs of the three and
        positions are the context.
        """
        super().__init__(num_features, features)
        self.within = within
        self.narrow = narrow
        self.across = across
        self.ahead = ahead
        self.embedding = embedding
        self.input_dropout = Dropout(input_dropout)
        self.passes = PASSES

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        def move(p: int, eps_p: Tensor, context: Tensor, may_be_cut: Tensor) -> tuple[Tensor, ...]:
            return self.features(eps_p, context)

        z, ladj = self._in_passes(eps, positions, self._blocks(eps, lengths), move)
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
        """The number of passes of this call, which in training is drawn."""
        passes = self.passes
        if self.training:
            passes = IN_TRAINING[int(torch.randint(len(IN_TRAINING), ()))]
        return min(passes, num_steps)

    def _blocks(self, z: Tensor, lengths: Tensor) -> Blocks:
        """The blocks of sequences z `[N, T, ...]`."""
        passes = self._passes(z.shape[1])
        return Blocks.chained(lambda row, start, before: passes, lengths, z.shape[1], passes)

    def _ends(self, blocks: Blocks, places: Tensor, z: Tensor) -> Tensor:
        """Whether a block ends with a word because of z at some places of it.

        Places `[Q]`, z `[N, B, Q, D]` -> `[N, B, Q]`.
        """
        return torch.zeros_like(z[..., 0], dtype=torch.bool)

    def _in_passes(
        self, x: Tensor, positions: Tensor, blocks: Blocks, move: BlockMove
    ) -> list[Tensor]:
        """Move eps or noise x `[N, T, ...]`, pass by pass, and unfold each result."""
        x_of = blocks.folded(x)
        positions = blocks.folded(positions)
        steps = steps_of(self.within, positions.flatten(0, 1))
        drawn = _DrawnAhead(self.ahead, x)
        read = self._read(x.new_zeros(*x_of.shape[:2], self.num_features))
        may_be_cut = blocks.is_full
        places = torch.arange(blocks.passes, device=x.device)
        results = []
        with looping(x):
            for p in range(blocks.passes):
                own = steps.step(p, read.flatten(0, 1)).unflatten(0, read.shape[:2])
                step = blocks.starts + p
                ahead = drawn.after(step, may_be_cut)
                context = self._contexts(
                    own[:, :, None], ahead[:, :, None], positions.narrow(2, p, 1), blocks.counts
                )
                result = move(p, x_of[:, :, p], context.squeeze(2), may_be_cut)
                results.append(result)
                z = result[0]
                ends = self._ends(blocks, places[p : p + 1], z[:, :, None])[:, :, 0]
                may_be_cut = may_be_cut & ~ends
                is_real = blocks.is_real[:, :, p]
                read = self._read(z) * is_real[..., None]
                drawn.add(step, is_real, read)
        return [blocks.unfolded(torch.stack(each, 2)) for each in zip(*results, strict=True)]

    def _may_be_cut(self, blocks: Blocks, z: Tensor) -> Tensor:
        """Whether the earlier steps of a block allow that it is cut within a word.

        z `[N, T, D]` -> `[N, B, P]`, for each place of a block.
        """
        places = torch.arange(blocks.passes, device=z.device)
        ends = self._ends(blocks, places, blocks.folded(z))
        ends_before = pad(ends, (1, 0))[..., :-1].cumsum(2)
        return blocks.is_full[..., None] & (ends_before == 0)

    def _contexts_in(
        self, blocks: Blocks, z: Tensor, positions: Tensor, may_be_cut: Tensor
    ) -> Tensor:
        """The context of each step, `[N, T, C]`."""
        read = self._read(z)
        ahead = blocks.folded(self.ahead(read, blocks, blocks.unfolded(may_be_cut)))
        folded = blocks.folded(read)
        nothing = self._read(z.new_zeros(self.num_features))
        first = nothing.expand(*folded.shape[:2], 1, -1)
        earlier = torch.cat([first, folded[:, :, :-1]], 2)
        positions = blocks.folded(positions)
        own, _ = self.within(torch.cat([earlier, positions], -1).flatten(0, 1))
        own = own.unflatten(0, earlier.shape[:2])
        return blocks.unfolded(self._contexts(own, ahead, positions, blocks.counts))

    def _read(self, z: Tensor) -> Tensor:
        """What the networks read of z: `[..., D]` -> `[..., E]`."""
        return self.input_dropout(self.embedding(z))

    def _contexts(self, own: Tensor, ahead: Tensor, positions: Tensor, counts: Tensor) -> Tensor:
        """The contexts `[N, B, P, C]` of P steps of each block.

        They are computed from the outputs of `within` and of `ahead`, from positions, each
        `[N, B, P, ...]`, and from the counts of blocks `[N]`.
        """
        num_passes = own.shape[2]
        others = self.narrow(own).transpose(1, 2).flatten(0, 1)  # [N * P, B, ...]
        others = self.across(others, counts.repeat_interleave(num_passes))
        others = others.unflatten(0, (-1, num_passes))
        return torch.cat([own, others.transpose(1, 2), ahead, positions], -1)


class Ahead(nn.Module):
    """Features of the `AHEAD` steps after each step, as far as they are known.

    They are known where they lie in the next block and earlier passes drew them. Each place has its
    own weights, counted from the step itself, so that what lies next to a gap is read as that. It
    is for blocks that may be cut within a word. Others may not know where they end
    (`lnfgen.flows.wordwise.Foresight`).
    """

    def __init__(self, num_read: int, size: int) -> None:
        super().__init__()
        self.of_each = nn.Linear(num_read, AHEAD_SIZE, bias=False)
        self.join = nn.Linear(AHEAD_SIZE * AHEAD, size)

    def forward(self, read: Tensor, blocks: Blocks, may_be_cut: Tensor) -> Tensor:
        """The embedding of z `[N, T, E]`, `may_be_cut` `[N, T]` -> features `[N, T, size]`."""
        place = blocks.places
        later = pad(place, (0, AHEAD), value=blocks.passes)[:, 1:].unfold(1, AHEAD, 1)
        known = (later < place[..., None]) & may_be_cut[..., None]
        steps = pad(self.of_each(read), (0, 0, 0, AHEAD))[:, 1:].unfold(1, AHEAD, 1)
        return self.joined(steps * known[:, :, None])

    def joined(self, steps: Tensor) -> Tensor:
        """`[..., AHEAD_SIZE, AHEAD]`, of each step, 0 where it is not known -> `[..., size]`."""
        return torch.tanh(self.join(steps.flatten(-2)))


class _DrawnAhead:
    """The steps that earlier passes drew, as `Ahead` reads them in a loop over the passes."""

    def __init__(self, ahead: Ahead, x: Tensor) -> None:
        """x is the eps or noise of all steps, `[N, T, ...]`."""
        self._ahead = ahead
        self._num_steps = x.shape[1]
        self._rows = torch.arange(len(x), device=x.device)[:, None]
        self._after = torch.arange(1, AHEAD + 1, device=x.device)
        # Two more than steps: the first of them stays 0, and the last one takes what is no step.
        self._features = x.new_zeros(len(x), self._num_steps + 2, AHEAD_SIZE)

    def after(self, step: Tensor, may_be_cut: Tensor) -> Tensor:
        """The outputs of `Ahead` for steps `[N, B]`, where `may_be_cut` `[N, B]`."""
        at = torch.where(may_be_cut, step, self._num_steps)[..., None] + self._after
        known = self._features[self._rows[..., None], at.clamp(max=self._num_steps)]
        return self._ahead.joined(known.transpose(-1, -2))

    def add(self, step: Tensor, is_real: Tensor, read: Tensor) -> None:
        """Take the embedding of z `[N, B, E]` at steps `[N, B]`, where `is_real` `[N, B]`."""
        at = torch.where(is_real, step, self._num_steps + 1)
        self._features[self._rows, at] = self._ahead.of_each(read)
