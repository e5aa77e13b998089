"""How sequences are cut into blocks."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lnfgen.nn.masking import length_mask


@dataclass(frozen=True)
class Blocks:
    """Blocks of N sequences, each with at most `passes` steps.

    Pass p draws the step at place p of each block.
    """

    starts: Tensor  # [N, B], the first step of each block
    sizes: Tensor  # [N, B], its steps; 0 where a sequence has fewer blocks than others
    lengths: Tensor  # [N], of the sequences
    num_steps: int  # T, with the padding
    passes: int  # P

    @classmethod
    def chained(
        cls, size: Callable[[int, int, int], int], lengths: Tensor, num_steps: int, passes: int
    ) -> "Blocks":
        """Blocks that follow one another, each of a size that depends on the one before.

        `size(row, start, before)` is the size of the block that begins at a step, after one of
        size `before`. For the first block, `before` is `passes`. The last block begins where at
        most `passes` steps are left.
        """
        rows = []
        for row, length in enumerate(lengths.tolist()):
            bounds = [0]
            before = passes
            while length - bounds[-1] > passes:
                before = size(row, bounds[-1], before)
                bounds.append(bounds[-1] + before)
            bounds.append(length)
            rows.append(bounds)
        longest = max(map(len, rows))
        # the blocks that a sequence lacks are empty ones at its end
        filled = [bounds + bounds[-1:] * (longest - len(bounds)) for bounds in rows]
        table = torch.tensor(filled, device=lengths.device)
        return cls(table[:, :-1], table.diff(), lengths, num_steps, passes)

    @cached_property
    def counts(self) -> Tensor:
        """The blocks of each sequence, `[N]`."""
        return (self.sizes > 0).sum(1)

    @property
    def is_last(self) -> Tensor:
        """Whether a block is the last one of its sequence or lies behind it, `[N, B]`."""
        index = torch.arange(self.sizes.shape[1], device=self.sizes.device)
        return index >= self.counts[:, None] - 1

    @property
    def is_full(self) -> Tensor:
        """Whether a block has as many steps as there are passes, `[N, B]`."""
        return self.sizes == self.passes

    @cached_property
    def is_real(self) -> Tensor:
        """Whether a place is a step of its sequence, `[N, B, P]`."""
        return torch.arange(self.passes, device=self.sizes.device) < self.sizes[..., None]

    @cached_property
    def _places(self) -> Tensor:
        """The index of each real step among the places of all blocks, `[sum of lengths]`.

        Places and steps have the real steps in the same order.
        """
        return self.is_real.flatten().nonzero()[:, 0]

    @cached_property
    def _steps(self) -> Tensor:
        """The index of each real step among all steps, `[sum of lengths]`."""
        return length_mask(self.lengths, self.num_steps).flatten().nonzero()[:, 0]

    @property
    def places(self) -> Tensor:
        """The place of each step in its block, `[N, T]`; that of the padding is `passes`."""
        size = len(self.lengths) * self.num_steps
        padding = torch.full((size,), self.passes, device=self.sizes.device)
        places = padding.index_copy(0, self._steps, self._places % self.passes)
        return places.unflatten(0, (-1, self.num_steps))

    def folded(self, x: Tensor) -> Tensor:
        """`[N, T, F]` -> `[N, B, P, F]`, with 0 at places that are no steps."""
        real = x.flatten(0, 1)[self._steps]
        empty = x.new_zeros(self.is_real.numel(), x.shape[-1])
        return empty.index_copy(0, self._places, real).unflatten(0, self.is_real.shape)

    def unfolded(self, x: Tensor) -> Tensor:
        """`[N, B, P, ...]` -> `[N, T, ...]`, with 0 at the padding."""
        real = x.flatten(0, 2)[self._places]
        empty = x.new_zeros(len(x) * self.num_steps, *x.shape[3:])
        return empty.index_copy(0, self._steps, real).unflatten(0, (-1, self.num_steps))
