"""How sequences are cut into blocks: after every so many steps, or where words begin."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lnfgen.nn.masking import length_mask, tempered

SLACK = 32  # a block is cut within a word if no word has begun in its last steps, so many of them
LEFT, LEFT_SIZE = 16, 16  # how many steps of a block are left is read up to 16 exactly, as so many features


@dataclass(frozen=True)
class Blocks:
    """Blocks of N sequences, each with at most `passes` steps; pass p draws the step at place p of each block."""

    starts: Tensor  # [N, B], the first step of each block
    sizes: Tensor  # [N, B], its steps; 0 where a sequence has fewer blocks than others
    lengths: Tensor  # [N], of the sequences
    num_steps: int  # T, with the padding
    passes: int

    @classmethod
    def chained(cls, sizes: Tensor, lengths: Tensor, passes: int) -> "Blocks":
        """A block that begins at step t has as many steps as `sizes` `[N, T]` has there.

        Only the last block, which begins where at most `passes` steps are left, has what is left.
        """
        bounds = []
        for of_row, length in zip(sizes.tolist(), lengths.tolist(), strict=True):
            row = [0]
            while length - row[-1] > passes:
                row.append(row[-1] + of_row[row[-1]])
            bounds.append([*row, length])
        most = max(map(len, bounds))
        filled = torch.tensor([row + row[-1:] * (most - len(row)) for row in bounds], device=lengths.device)
        return cls(filled[:, :-1], filled.diff(), lengths, sizes.shape[1], passes)

    @cached_property
    def counts(self) -> Tensor:
        """The blocks of each sequence, `[N]`."""
        return (self.sizes > 0).sum(1)

    @cached_property
    def is_real(self) -> Tensor:
        """Whether a place is a step of its sequence, `[N, B, P]`."""
        return torch.arange(self.passes, device=self.sizes.device) < self.sizes[..., None]

    @cached_property
    def _places(self) -> Tensor:
        """Of all real steps in order, the index among all places. The order is the same in both layouts."""
        return self.is_real.flatten().nonzero()[:, 0]

    @cached_property
    def _steps(self) -> Tensor:
        """Of all real steps in order, the index among all steps."""
        return length_mask(self.lengths, self.num_steps).flatten().nonzero()[:, 0]

    @property
    def places(self) -> Tensor:
        """The place of each step in its block, `[N, T]`; that of the padding is `passes`."""
        places = torch.full((len(self.lengths) * self.num_steps,), self.passes, device=self.sizes.device)
        return places.index_copy(0, self._steps, self._places % self.passes).unflatten(0, (-1, self.num_steps))

    def folded(self, x: Tensor) -> Tensor:
        """`[N, T, F]` -> `[N, B, P, F]`, with 0 at places that are no steps."""
        real, empty = x.flatten(0, 1)[self._steps], x.new_zeros(self.is_real.numel(), x.shape[-1])
        return empty.index_copy(0, self._places, real).unflatten(0, self.is_real.shape)

    def unfolded(self, x: Tensor) -> Tensor:
        """`[N, B, P, ...]` -> `[N, T, ...]`, with 0 at the padding."""
        real, empty = x.flatten(0, 2)[self._places], x.new_zeros(len(x) * self.num_steps, *x.shape[3:])
        return empty.index_copy(0, self._steps, real).unflatten(0, (-1, self.num_steps))


class WordStarts(nn.Module):
    """p(where blocks begin | T), if each of them begins with a word: `p(x | T) = p(starts | T) p(x | starts, T)`.

    Two blocks that share a word begin their parts of it at the same time, and the parts rarely make a word. So a block
    ends with the last word that ends within its passes. Its slack, how many steps less than passes it has, depends on
    the lengths of words alone, and is drawn from a table; each of some numbers of passes has its own.

    What is scored is a bound from below, because of all starts with which a sequence may be drawn, only one counts.
    The bound is close: where the starts are others than those of the sequence, the model expects other words.
    """

    separators: Tensor  # the codes after which a word begins

    def __init__(self, separators: Sequence[int], passes: Sequence[int]) -> None:
        """`passes` are those that have a table; others have that of the nearest."""
        super().__init__()
        self._passes = passes
        self.register_buffer("separators", torch.tensor(separators), persistent=False)
        self.slack = nn.Parameter(torch.zeros(len(passes), SLACK))
        self.left = nn.Embedding(LEFT + 1, LEFT_SIZE)

    def of(self, codes: Tensor, lengths: Tensor, passes: int) -> Blocks:
        """The blocks of sequences of codes `[N, T]`."""
        steps = torch.arange(codes.shape[1], device=codes.device)
        begins = pad(torch.where(torch.isin(codes, self.separators), steps + 1, 0), (1, passes))
        sizes = begins.cummax(1)[0][:, passes:-1] - steps  # to the last word that begins by then
        cut_in_word = (sizes <= 0) | (sizes <= passes - SLACK)
        return Blocks.chained(torch.where(cut_in_word, passes, sizes), lengths, passes)

    def draw(self, noise: Tensor, lengths: Tensor, passes: int, temperature: float) -> Blocks:
        """Draw blocks from noise of N(0, 1), `[N, T]`."""
        cumulative = torch.exp(self._log_probs(passes, temperature)).cumsum(0)
        slack = torch.searchsorted(cumulative, torch.special.ndtr(noise) * cumulative[-1])
        return Blocks.chained(passes - slack.clamp(max=len(cumulative) - 1), lengths, passes)

    def log_prob(self, blocks: Blocks, temperature: float) -> Tensor:
        """log p(starts | T) as summands `[N, T]`: that of a block's size at its first step."""
        log_probs = self._log_probs(blocks.passes, temperature)
        slack = (blocks.passes - blocks.sizes).clamp(max=len(log_probs) - 1)
        is_free = torch.arange(slack.shape[1], device=slack.device) < blocks.counts[:, None] - 1  # all but the last
        each = torch.where(is_free, log_probs[slack], 0)
        return each.new_zeros(len(slack), blocks.num_steps + 1).scatter_add(1, blocks.starts, each)[:, :-1]

    def steps_left(self, blocks: Blocks) -> Tensor:
        """Features of how many steps of its block are left at each place: `[N, B, P, LEFT_SIZE]`."""
        left = blocks.sizes[..., None] - torch.arange(blocks.passes, device=blocks.sizes.device)
        return self.left(left.clamp(0, LEFT))

    def _log_probs(self, passes: int, temperature: float) -> Tensor:
        """log p(slack) at a temperature, of which there are less than passes."""
        distances = [abs(math.log(known / passes)) for known in self._passes]
        return torch.log_softmax(tempered(self.slack[distances.index(min(distances)), :passes], temperature), 0)
