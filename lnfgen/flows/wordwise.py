"""A flow by blocks that begin with words, for texts."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lnfgen.flows.blocks import Blocks
from lnfgen.flows.blockwise import BlockwiseFlow
from lnfgen.flows.codebook import CodeMixture, CodeReading
from lnfgen.nn.masking import tempered

SLACK = 32  # a block is cut within a word if no word ends in its last steps, so many of them
NEAR, NEAR_SIZE = 16, 16  # distances of up to 16 steps are read exactly, as so many features


class WordStarts(nn.Module):
    """p(where blocks begin | T), and which codes may follow from that.

    Two blocks that share a word begin their parts of it at the same time, and the parts rarely make a word. So a block
    ends with the last word that ends within its passes, with the white space after it. Its slack, how many steps less
    than passes it has, depends on the lengths of words alone, and is drawn from a table; each of some numbers of passes
    has its own. The first word of the next block does not fit into the slack: it ends after as many steps or later.
    """

    is_separator: Tensor  # whether a word ends with a code, `[K]`

    def __init__(self, separators: Sequence[int], num_codes: int, passes: Sequence[int]) -> None:
        """`passes` are those that have a table; others have that of the nearest."""
        super().__init__()
        self._passes = passes
        is_separator = torch.zeros(num_codes, dtype=torch.bool).index_fill(0, torch.tensor(separators), True)
        self.register_buffer("is_separator", is_separator, persistent=False)
        self.slack = nn.Parameter(torch.zeros(len(passes), SLACK))
        self.left, self.open = nn.Embedding(NEAR + 1, NEAR_SIZE), nn.Embedding(NEAR + 1, NEAR_SIZE)

    def of(self, codes: Tensor, lengths: Tensor, passes: int) -> Blocks:
        """The blocks of sequences of codes `[N, T]`."""
        steps = torch.arange(codes.shape[1], device=codes.device)
        begins = pad(torch.where(self.is_separator[codes], steps + 1, 0), (1, passes))
        to_last = begins.cummax(1)[0][:, passes:-1] - steps  # to the last word that begins by then
        cut_in_word = (to_last <= 0) | (to_last <= passes - SLACK)
        sizes = torch.where(cut_in_word, passes, to_last).tolist()
        return Blocks.chained(lambda row, start, before: sizes[row][start], lengths, codes.shape[1], passes)

    def draw(self, noise: Tensor, lengths: Tensor, passes: int, temperature: float) -> Blocks:
        """Draw blocks from noise of N(0, 1), `[N, T]`."""
        scores, shares = self._scores(passes, temperature), torch.special.ndtr(noise).tolist()
        cumulative = [torch.softmax(scores[: last + 1], 0).cumsum(0).tolist() for last in range(len(scores))]

        def size(row: int, start: int, before: int) -> int:
            last = min(before, len(scores)) - 1
            return passes - bisect_right(cumulative[last], shares[row][start] * cumulative[last][-1], hi=last)

        return Blocks.chained(size, lengths, noise.shape[1], passes)

    def log_prob(self, blocks: Blocks, temperature: float) -> Tensor:
        """log p(starts | T) as summands `[N, T]`: that of a block's size at its first step.

        A slack is less than the size of the block before, or else no first word would be as long as it must be.
        """
        scores = self._scores(blocks.passes, temperature)
        slack = (blocks.passes - blocks.sizes).clamp(max=len(scores) - 1)
        before = pad(blocks.sizes[:, :-1], (1, 0), value=blocks.passes).clamp(1, len(scores))
        each = torch.where(blocks.is_last, 0, scores[slack] - scores.logcumsumexp(0)[before - 1])
        return each.new_zeros(len(slack), blocks.num_steps + 1).scatter_add(1, blocks.starts, each)[:, :-1]

    def distances(self, blocks: Blocks) -> Tensor:
        """Features of each place: the steps until the block ends, and until a word may: `[N, B, P, NEAR_SIZE]`."""
        places = torch.arange(blocks.passes, device=blocks.sizes.device)
        left, still_open = (steps[..., None] - places for steps in (blocks.sizes, self._slack_before(blocks)))
        return self.left(left.clamp(0, NEAR)) + self.open(still_open.clamp(0, NEAR))

    def barred(self, blocks: Blocks, places: Tensor, ended: Tensor) -> Tensor:
        """Which codes contradict the starts at the places `[Q]` of blocks: `[N, B, Q, K]`.

        `ended` `[N, B, Q]` says whether a word has ended before in the block, in its last `SLACK` places.
        """
        sizes, is_last = blocks.sizes[..., None], blocks.is_last[..., None]
        must_end = (places == sizes - 1) & ~is_last & (ended | (sizes < blocks.passes))
        may_not_end = places < self._slack_before(blocks)[..., None]
        return torch.where(self.is_separator, may_not_end[..., None], must_end[..., None])

    def barred_in(self, blocks: Blocks, codes: Tensor) -> Tensor:
        """Which codes contradict the starts at each place of sequences of `codes` `[N, T]`: `[N, B, P, K]`."""
        places = torch.arange(blocks.passes, device=codes.device)
        ends = blocks.folded(self.is_separator[codes][..., None])[..., 0] & (places >= blocks.passes - SLACK)
        return self.barred(blocks, places, pad(ends, (1, 0))[..., :-1].cumsum(2) > 0)

    @staticmethod
    def _slack_before(blocks: Blocks) -> Tensor:
        """The slack of the block before each, `[N, B]`; that of none is 0."""
        return pad(blocks.passes - blocks.sizes[:, :-1], (1, 0))

    def _scores(self, passes: int, temperature: float) -> Tensor:
        """log p(slack) but for a constant, at a temperature; there are less slacks than passes."""
        distances = [abs(math.log(known / passes)) for known in self._passes]
        return tempered(self.slack[distances.index(min(distances)), :passes], temperature)


class WordwiseFlow(BlockwiseFlow):
    """`log p(z | T) = log p(starts | T) + log p(z | starts, T)`, where blocks begin at `starts`, with words.

    The starts of z follow from the codes that it stands for, so they add no sum. A code that would lead to other starts
    has no probability.
    """

    features: CodeMixture
    reading: CodeReading

    def __init__(self, words: WordStarts, *parts: Any) -> None:
        """`parts` are those of `BlockwiseFlow`, whose positions have `NEAR_SIZE` features more."""
        super().__init__(*parts)
        self.words = words
        self.noise_size += 1  # the last number of a step is for the size of a block that begins there

    def draw(self, positions: Tensor, lengths: Tensor, noise: Tensor, temperature: float = 1.0) -> Tensor:
        noise, sizes = noise[..., :-1], noise[..., -1]
        blocks = self.words.draw(sizes, lengths, self._passes(noise.shape[1]), temperature)
        ended = torch.zeros_like(blocks.sizes, dtype=torch.bool)

        def move(p: int, noise_p: Tensor, context: Tensor) -> tuple[Tensor]:
            nonlocal ended
            barred = self.words.barred(blocks, torch.tensor([p], device=ended.device), ended[..., None])[:, :, 0]
            z = self.features.draw(noise_p, context, temperature, barred)
            if p >= blocks.passes - SLACK:
                ended = ended | self.words.is_separator[self.reading.codes(z)]
            return (z,)

        return self._in_passes(noise, positions, blocks, move)[0]

    def log_prob(self, z: Tensor, positions: Tensor, lengths: Tensor, temperature: float = 1.0) -> Tensor:
        codes = self.reading.codes(z)
        blocks = self.words.of(codes, lengths, self._passes(z.shape[1]))
        barred = blocks.unfolded(self.words.barred_in(blocks, codes))
        steps = self.features.log_prob(z, self._contexts_in(blocks, z, positions), temperature, barred)
        return steps + self.words.log_prob(blocks, temperature)

    def _blocks(self, z: Tensor, lengths: Tensor) -> Blocks:
        return self.words.of(self.reading.codes(z), lengths, self._passes(z.shape[1]))

    def _positions(self, blocks: Blocks, positions: Tensor) -> Tensor:
        return torch.cat([blocks.folded(positions), self.words.distances(blocks)], -1)
