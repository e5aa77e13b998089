"""How sequences are cut into blocks."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lnfgen.nn.masking import length_mask


@dataclass(frozen=True)
class Blocks:
    """Blocks of N sequences, each with at most `passes` steps; pass p draws the step at place p of
    each block."""

    starts: Tensor  # [N, B], the first step of each block
    sizes: Tensor  # [N, B], its steps; 0 where a sequence has fewer blocks than others
    lengths: Tensor  # [N], of the sequences
    num_steps: int  # T, with the padding
    passes: int

    @classmethod
    def chained(
        cls, size: Callable[[int, int, int], int], lengths: Tensor, num_steps: int, passes: int
    ) -> "Blocks":
        """`size(row, start, before)` is the size of the block that begins at a step, after one of
        size `before`.

        For the first one, `before` is `passes`. The last one begins where at most `passes` steps
        are left.
        """
        bounds = []
        for row, length in enumerate(lengths.tolist()):
            starts, before = [0], passes
            while length - starts[-1] > passes:
                before = size(row, starts[-1], before)
                starts.append(starts[-1] + before)
            bounds.append([*starts, length])
        most = max(map(len, bounds))
        filled = torch.tensor(
            [row + row[-1:] * (most - len(row)) for row in bounds], device=lengths.device
        )
        return cls(filled[:, :-1], filled.diff(), lengths, num_steps, passes)

    @cached_property
    def counts(self) -> Tensor:
        """The blocks of each sequence, `[N]`."""
        return (self.sizes > 0).sum(1)

    @property
    def is_last(self) -> Tensor:
        """Whether a block is the last one of its sequence or lies behind it, `[N, B]`."""
        return (
            torch.arange(self.sizes.shape[1], device=self.sizes.device) >= self.counts[:, None] - 1
        )

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
        """Of all real steps in order, the index among all places. The order is the same in both
        layouts."""
        return self.is_real.flatten().nonzero()[:, 0]

    @cached_property
    def _steps(self) -> Tensor:
        """Of all real steps in order, the index among all steps."""
        return length_mask(self.lengths, self.num_steps).flatten().nonzero()[:, 0]

    @property
    def places(self) -> Tensor:
        """The place of each step in its block, `[N, T]`; that of the padding is `passes`."""
        places = torch.full(
            (len(self.lengths) * self.num_steps,), self.passes, device=self.sizes.device
        )
        return places.index_copy(0, self._steps, self._places % self.passes).unflatten(
            0, (-1, self.num_steps)
        )

    def folded(self, x: Tensor) -> Tensor:
        """`[N, T, F]` -> `[N, B, P, F]`, with 0 at places that are no steps."""
        real, empty = x.flatten(0, 1)[self._steps], x.new_zeros(self.is_real.numel(), x.shape[-1])
        return empty.index_copy(0, self._places, real).unflatten(0, self.is_real.shape)

    def unfolded(self, x: Tensor) -> Tensor:
        """`[N, B, P, ...]` -> `[N, T, ...]`, with 0 at the padding."""
        real, empty = (
            x.flatten(0, 2)[self._places],
            x.new_zeros(len(x) * self.num_steps, *x.shape[3:]),
        )
        return empty.index_copy(0, self._steps, real).unflatten(0, (-1, self.num_steps))
