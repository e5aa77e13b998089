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
from lnfgen.nn.mlp import MLP

FORESEEN = 16  # a step foresees where its word ends up to so many steps after it
FORESIGHT = 0.1  # the share of that in what a training step learns
LEAST = 1e-9  # the least probability that counts as such
SLACK = 32  # a block is cut within a word if no word ends in its last steps, so many of them


class WordStarts(nn.Module):
    """p(where blocks begin | T), and which codes may follow from that.

    Two blocks that share a word begin their parts of it at the same time, and the parts rarely make
    a word. So a block ends with the last word that ends within its passes, with the white space
    after it. Its slack, how many steps less than passes it has, depends on the lengths of words
    alone, and is drawn from a table; each of some numbers of passes has its own. The first word of
    the next block does not fit into the slack: it ends after as many steps or later.
    """

    is_separator: Tensor  # whether a word ends with a code, `[K]`

    def __init__(self, separators: Sequence[int], num_codes: int, passes: Sequence[int]) -> None:
        """`passes` are those that have a table; others have that of the nearest."""
        super().__init__()
        self._passes = passes
        is_separator = torch.zeros(num_codes, dtype=torch.bool).index_fill(
            0, torch.tensor(separators), True
        )
        self.register_buffer("is_separator", is_separator, persistent=False)
        self.slack = nn.Parameter(torch.zeros(len(passes), SLACK))

    def of(self, codes: Tensor, lengths: Tensor, passes: int) -> Blocks:
        """The blocks of sequences of codes `[N, T]`."""
        steps = torch.arange(codes.shape[1], device=codes.device)
        begins = pad(torch.where(self.is_separator[codes], steps + 1, 0), (1, passes))
        to_last = begins.cummax(1)[0][:, passes:-1] - steps  # to the last word that begins by then
        cut_in_word = (to_last <= 0) | (to_last <= passes - SLACK)
        sizes = torch.where(cut_in_word, passes, to_last).tolist()
        return Blocks.chained(
            lambda row, start, before: sizes[row][start], lengths, codes.shape[1], passes
        )

    def draw(self, noise: Tensor, lengths: Tensor, passes: int, temperature: float) -> Blocks:
        """Draw blocks from noise of N(0, 1), `[N, T]`."""
        scores, shares = self._scores(passes, temperature), torch.special.ndtr(noise).tolist()
        cumulative = [
            torch.softmax(scores[: last + 1], 0).cumsum(0).tolist() for last in range(len(scores))
        ]

        def size(row: int, start: int, before: int) -> int:
            last = min(before, len(scores)) - 1
            return passes - bisect_right(
                cumulative[last], shares[row][start] * cumulative[last][-1], hi=last
            )

        return Blocks.chained(size, lengths, noise.shape[1], passes)

    def log_prob(self, blocks: Blocks, temperature: float) -> Tensor:
        """log p(starts | T) as summands `[N, T]`: that of a block's size at its first step.

        A slack is less than the size of the block before, or else no first word would be as long as
        it must be.
        """
        scores = self._scores(blocks.passes, temperature)
        slack = (blocks.passes - blocks.sizes).clamp(max=len(scores) - 1)
        before = pad(blocks.sizes[:, :-1], (1, 0), value=blocks.passes).clamp(1, len(scores))
        each = torch.where(blocks.is_last, 0, scores[slack] - scores.logcumsumexp(0)[before - 1])
        return each.new_zeros(len(slack), blocks.num_steps + 1).scatter_add(1, blocks.starts, each)[
            :, :-1
        ]

    def ends(self, blocks: Blocks, codes: Tensor) -> Tensor:
        """Whether a word ends at each place of sequences of `codes` `[N, T]`: `[N, B, P]`."""
        return blocks.folded(self.is_separator[codes][..., None])[..., 0]

    def added(
        self, blocks: Blocks, places: Tensor, may_be_cut: Tensor, lasts: Tensor, ends_after: Tensor
    ) -> Tensor:
        """What the starts add to the scores of codes at the places `[Q]` of blocks: `[N, B, Q, K]`.

        That is log P(what the starts say of the ends of words | context, code): the first word of a
        block lasts until the slack of the block before is over, and a word ends with the block.
        Where the starts say whether a word ends at the place itself, codes that contradict them
        have -inf.

        Args:
            may_be_cut: whether the block is full, and no word has ended before in its last `SLACK`
                places, `[N, B, Q]`.
            lasts, ends_after: what `Foresight` returns for the places, `[N, B, Q, K, F + 1]` and
                `[F + 1, F + 1]`.
        """
        sizes, is_last = blocks.sizes[..., None], blocks.is_last[..., None]
        later = sizes - 1 - places  # steps until the block ends
        must_end = ~is_last & ~may_be_cut
        is_near = (later > 0) & (later <= FORESEEN) & ~is_last
        # how long a word lasts; the last number: longer
        after = torch.arange(1, FORESEEN + 2, device=later.device)
        fits = after >= self.still_open(blocks, places)[..., None]
        then_ends = ends_after.t()[torch.where(is_near, later, 0)] * fits
        goes_on = (after > later[..., None]) & is_near[..., None] & fits
        chance = torch.einsum("nbqkf,nbqf->nbqk", lasts, then_ends)
        may_go_on = torch.einsum("nbqkf,nbqf->nbqk", lasts, goes_on.to(lasts))
        chance = chance + torch.where(must_end[..., None] | self.is_separator, 0.0, may_go_on)
        may_not_end = places < self._slack_before(blocks)[..., None]
        barred = torch.where(
            self.is_separator, may_not_end[..., None], (must_end & (later == 0))[..., None]
        )
        return chance.clamp(min=LEAST).log().masked_fill(barred, -math.inf)

    def still_open(self, blocks: Blocks, places: Tensor) -> Tensor:
        """After how many steps the word at each of the places `[Q]` may end: `[N, B, Q]`, F + 1 at
        most.

        It is 1 but in the first word of a block, which lasts until the slack of the block before is
        over.
        """
        return (self._slack_before(blocks)[..., None] - places).clamp(1, FORESEEN + 1)

    @staticmethod
    def _slack_before(blocks: Blocks) -> Tensor:
        """The slack of the block before each, `[N, B]`; that of none is 0."""
        return pad(blocks.passes - blocks.sizes[:, :-1], (1, 0))

    def _scores(self, passes: int, temperature: float) -> Tensor:
        """log p(slack) but for a constant, at a temperature; there are less slacks than passes."""
        distances = [abs(math.log(known / passes)) for known in self._passes]
        return tempered(self.slack[distances.index(min(distances)), :passes], temperature)


class Foresight(nn.Module):
    """How long the word at a step lasts, for each code that the step may have, and what follows
    from that.

    A network makes f_j = P(the word ends j steps later | context, code), j = 1 ... F, and F + 1 for
    later. The lengths of the words after it count as independent of all else, from a table g. So if
    a word ends at j, one ends at e with probability u_(e - j), where u_0 = 1 and u_n = sum_i g_i
    u_(n - i): the renewal equation. In matrices it is `U = (1 - G)^-1`.
    """

    def __init__(self, num_context: int, hidden: int, num_codes: int) -> None:
        super().__init__()
        self.network = MLP(num_context, [hidden], num_codes * (FORESEEN + 1))
        self.lengths = nn.Parameter(torch.zeros(FORESEEN + 1))

    def forward(self, context: Tensor) -> Tensor:
        """f for each code, `[..., K, F + 1]`."""
        return torch.softmax(self.network(context).unflatten(-1, (-1, FORESEEN + 1)), -1)

    def ends_after(self) -> Tensor:
        """P(a word ends e steps later | the present one ends j steps later), `[F + 1, F + 1]`;
        column 0 is all 1."""
        g = torch.softmax(self.lengths, -1)
        steps = torch.arange(FORESEEN, device=g.device)
        distance = steps - steps[:, None]
        u = torch.linalg.inv(
            torch.eye(FORESEEN).to(g)
            - torch.where(distance > 0, g[(distance - 1).clamp(min=0)], 0.0)
        )
        return pad(pad(u, (0, 0, 0, 1)), (1, 0), value=1.0)


class WordwiseFlow(BlockwiseFlow):
    """`log p(z | T) = log p(starts | T) + log p(z | starts, T)`, where blocks begin at `starts`,
    with words.

    The starts of z follow from the codes that it stands for, so they add no sum. A code that would
    lead to other starts has no probability.

    The first word of a block must last for some steps, and the last one must end with the block. By
    Bayes' rule `p(z_t | c_t, event)` is proportional to `p(z_t | c_t) P(event | c_t, z_t)`. So log
    P is added to the scores of codes, and nothing in the context says where blocks end. P is
    learned from all words, not from these alone: in training, the gradient of `log_prob` has a
    share of that of the lengths of words.
    """

    features: CodeMixture
    reading: CodeReading

    def __init__(self, words: WordStarts, foresight: Foresight, *parts: Any) -> None:
        """`parts` are those of `BlockwiseFlow`."""
        super().__init__(*parts)
        self.words = words
        self.foresight = foresight
        # the last number of a step is for the size of a block that begins there
        self.noise_size += 1

    def draw(
        self, positions: Tensor, lengths: Tensor, noise: Tensor, temperature: float = 1.0
    ) -> Tensor:
        noise, sizes = noise[..., :-1], noise[..., -1]
        blocks = self.words.draw(sizes, lengths, self._passes(noise.shape[1]), temperature)
        ends_after = self.foresight.ends_after()

        def move(p: int, noise_p: Tensor, context: Tensor, may_be_cut: Tensor) -> tuple[Tensor]:
            place, lasts = (
                torch.tensor([p], device=noise.device),
                self.foresight(context)[:, :, None],
            )
            added = self.words.added(blocks, place, may_be_cut[..., None], lasts, ends_after)[
                :, :, 0
            ]
            return (self.features.draw(noise_p, context, temperature, added),)

        return self._in_passes(noise, positions, blocks, move)[0]

    def log_prob(
        self, z: Tensor, positions: Tensor, lengths: Tensor, temperature: float = 1.0
    ) -> Tensor:
        codes = self.reading.codes(z)
        blocks = self.words.of(codes, lengths, self._passes(z.shape[1]))
        may_be_cut, places = (
            self._may_be_cut(blocks, z),
            torch.arange(blocks.passes, device=z.device),
        )
        context = self._contexts_in(blocks, z, positions, may_be_cut)
        lasts, ends = self.foresight(blocks.folded(context)), self.words.ends(blocks, codes)
        added = self.words.added(blocks, places, may_be_cut, lasts, self.foresight.ends_after())
        log_p = self.features.log_prob(z, context, temperature, blocks.unfolded(added))
        if self.training:
            learned = (
                FORESIGHT
                * blocks.unfolded(self._lengths(blocks, codes, ends, lasts)[..., None])[..., 0]
            )
            log_p = log_p + learned - learned.detach()  # its gradient alone
        return log_p + self.words.log_prob(blocks, temperature)

    def _lengths(self, blocks: Blocks, codes: Tensor, ends: Tensor, lasts: Tensor) -> Tensor:
        """log P(how long the word at each place lasts), and of the words that follow the table as
        well, `[N, B, P]`.

        It is that given what the starts say: a first word is long enough, and a word that would end
        too late for its block begins the next one. Where the end is not seen, it is that of at
        least so many steps.
        """
        places, never = torch.arange(blocks.passes, device=codes.device), blocks.passes + FORESEEN
        next_end = torch.where(ends, places, never).flip(2).cummin(2).values.flip(2)
        next_end = pad(next_end, (0, 1), value=never)[..., 1:]
        is_seen, rest = next_end < never, blocks.sizes[..., None] - 1 - places
        longest = torch.where(
            is_seen & ~blocks.is_last[..., None], blocks.passes - 1 - places, never
        )[..., None]
        after, shortest = (
            torch.arange(1, FORESEEN + 2, device=codes.device),
            self.words.still_open(blocks, places),
        )
        seen = after == (next_end - places).clamp(max=FORESEEN + 1)[..., None]
        found = torch.where(is_seen[..., None], seen, after > rest.clamp(max=FORESEEN)[..., None])
        possible = (after >= shortest[..., None]) & (after <= longest)

        def log_prob(lengths: Tensor) -> Tensor:
            within = [
                (lengths * those).sum(-1).clamp(min=LEAST).log() for those in (found, possible)
            ]
            return within[0] - within[1]

        own = blocks.folded(codes[..., None])[..., None].expand(*lasts.shape[:3], 1, FORESEEN + 1)
        of_table = torch.softmax(self.foresight.lengths, -1)
        return log_prob(lasts.gather(3, own)[..., 0, :]) + torch.where(
            ends, log_prob(of_table), 0.0
        )

    def _ends(self, blocks: Blocks, places: Tensor, z: Tensor) -> Tensor:
        return self.words.is_separator[self.reading.codes(z)] & (places >= blocks.passes - SLACK)

    def _blocks(self, z: Tensor, lengths: Tensor) -> Blocks:
        return self.words.of(self.reading.codes(z), lengths, self._passes(z.shape[1]))
