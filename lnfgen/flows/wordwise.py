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
from lnfgen.flows.codebook import CodeMixture, SoftEmbedding
from lnfgen.nn.masking import tempered
from lnfgen.nn.mlp import MLP

FORESEEN = 16  # a step foresees where its word ends up to so many steps after it
FORESIGHT = 0.1  # the share of that in what an update learns
LEAST = 1e-9  # a smaller probability counts as this, so that its logarithm is finite
SLACK = 32  # a block is cut within a word if no word ends in its last steps, so many of them


class WordStarts(nn.Module):
    """p(where blocks begin | T), and which codes may follow from that.

    Two blocks that share a word begin their parts of it at the same time, and the parts rarely make
    a word. So a block ends with the last word that ends within its passes, with the white space
    after it. Its slack, how many steps less than passes it has, depends on the lengths of words
    alone, and is drawn from a table; each of some numbers of passes has its own. The first word of
    the next block does not fit into the slack: it ends after as many steps or later.
    """

    is_separator: Tensor  # bool [K], whether a word ends with a code

    def __init__(self, separators: Sequence[int], num_codes: int, passes: Sequence[int]) -> None:
        """`passes` are those that have a table; others have that of the nearest."""
        super().__init__()
        self._passes = passes
        is_separator = torch.zeros(num_codes, dtype=torch.bool)
        is_separator[list(separators)] = True
        self.register_buffer("is_separator", is_separator, persistent=False)
        self.slack = nn.Parameter(torch.zeros(len(passes), SLACK))

    def of(self, codes: Tensor, lengths: Tensor, passes: int) -> Blocks:
        """The blocks of sequences of codes `[N, T]`."""
        steps = torch.arange(codes.shape[1], device=codes.device)
        begins = pad(torch.where(self.is_separator[codes], steps + 1, 0), (1, passes))
        # from each step to the last word that begins within the passes after it
        to_last = begins.cummax(1)[0][:, passes:-1] - steps
        cut_in_word = (to_last <= 0) | (to_last <= passes - SLACK)
        sizes = torch.where(cut_in_word, passes, to_last).tolist()
        return Blocks.chained(
            lambda row, start, before: sizes[row][start], lengths, codes.shape[1], passes
        )

    def draw(self, noise: Tensor, lengths: Tensor, passes: int, temperature: float) -> Blocks:
        """Draw blocks from noise of N(0, 1), `[N, T]`."""
        scores = self._scores(passes, temperature)
        uniform = torch.special.ndtr(noise).tolist()
        # by the largest slack that a block may have
        cumulative = []
        for largest in range(len(scores)):
            probabilities = torch.softmax(scores[: largest + 1], 0)
            cumulative.append(probabilities.cumsum(0).tolist())

        def size(row: int, start: int, before: int) -> int:
            largest = min(before, len(scores)) - 1
            sums = cumulative[largest]
            slack = bisect_right(sums, uniform[row][start] * sums[-1], hi=largest)
            return passes - slack

        return Blocks.chained(size, lengths, noise.shape[1], passes)

    def log_prob(self, blocks: Blocks, temperature: float) -> Tensor:
        """log p(starts | T) as summands `[N, T]`: that of a block's size is at its first step.

        A slack is less than the size of the block before, or else no first word would be as long as
        it must be.
        """
        scores = self._scores(blocks.passes, temperature)
        slack = (blocks.passes - blocks.sizes).clamp(max=len(scores) - 1)
        before = pad(blocks.sizes[:, :-1], (1, 0), value=blocks.passes).clamp(1, len(scores))
        log_p = scores[slack] - scores.logcumsumexp(0)[before - 1]  # [N, B]
        log_p = torch.where(blocks.is_last, 0, log_p)
        # one step more, for empty blocks, which start at T
        steps = log_p.new_zeros(len(slack), blocks.num_steps + 1)
        return steps.scatter_add(1, blocks.starts, log_p)[:, :-1]

    def ends(self, blocks: Blocks, codes: Tensor) -> Tensor:
        """Whether a word ends at each place of blocks of `codes`: `[N, T]` -> `[N, B, P]`."""
        return blocks.folded(self.is_separator[codes][..., None])[..., 0]

    def added(
        self, blocks: Blocks, places: Tensor, may_be_cut: Tensor, lasts: Tensor, ends_after: Tensor
    ) -> Tensor:
        """What the starts add to the scores of codes at the places `[Q]` of blocks: `[N, B, Q, K]`.

        It is log P(event | context, code). The event is what must hold of the ends of words, so
        that blocks begin where they do: the first word of a block lasts until the slack of the
        block before is over, and a word ends with the block. Where a word must or may not end at
        the place itself, codes that contradict that have -inf.

        Args:
            may_be_cut: whether the block is full, and no word has ended before in its last `SLACK`
                places, `[N, B, Q]`.
            lasts, ends_after: what `Foresight` returns for the places, `[N, B, Q, K, F + 1]` and
                `[F + 1, F + 1]`.
        """
        is_last = blocks.is_last[..., None]
        later = blocks.sizes[..., None] - 1 - places  # steps until the block ends, [N, B, Q]
        must_end = ~is_last & ~may_be_cut
        is_near = (later > 0) & (later <= FORESEEN) & ~is_last
        # how many steps a word lasts; the last number stands for all that are longer
        after = torch.arange(1, FORESEEN + 2, device=later.device)
        fits = after >= self.still_open(blocks, places)[..., None]  # [N, B, Q, F + 1]
        then_ends = ends_after.t()[torch.where(is_near, later, 0)] * fits
        goes_on = (after > later[..., None]) & is_near[..., None] & fits
        p_ends = torch.einsum("nbqkf,nbqf->nbqk", lasts, then_ends)
        p_goes_on = torch.einsum("nbqkf,nbqf->nbqk", lasts, goes_on.to(lasts))
        may_not_go_on = must_end[..., None] | self.is_separator
        p_event = p_ends + torch.where(may_not_go_on, 0.0, p_goes_on)
        may_not_end = places < self._slack_before(blocks)[..., None]
        must_end_here = must_end & (later == 0)
        barred = torch.where(self.is_separator, may_not_end[..., None], must_end_here[..., None])
        return p_event.clamp(min=LEAST).log().masked_fill(barred, -math.inf)

    def still_open(self, blocks: Blocks, places: Tensor) -> Tensor:
        """After how many steps the word at each of the places `[Q]` may end: `[N, B, Q]`.

        It is F + 1 at most, and 1 except in the first word of a block, which lasts until the slack
        of the block before is over.
        """
        return (self._slack_before(blocks)[..., None] - places).clamp(1, FORESEEN + 1)

    @staticmethod
    def _slack_before(blocks: Blocks) -> Tensor:
        """The slack of the block before each, `[N, B]`; that of none is 0."""
        return pad(blocks.passes - blocks.sizes[:, :-1], (1, 0))

    def _scores(self, passes: int, temperature: float) -> Tensor:
        """log p(slack) up to a constant, at a temperature: `[S]`, with at most `passes` slacks."""
        distances = [abs(math.log(known / passes)) for known in self._passes]
        nearest = distances.index(min(distances))
        return tempered(self.slack[nearest, :passes], temperature)


class Foresight(nn.Module):
    """How long the word at a step lasts, for each code that the step may have.

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
        """f for each code: context `[..., C]` -> `[..., K, F + 1]`."""
        scores = self.network(context).unflatten(-1, (-1, FORESEEN + 1))
        return torch.softmax(scores, -1)

    def ends_after(self) -> Tensor:
        """P(a word ends e steps later | the present one ends j steps later), `[F + 1, F + 1]`.

        Row j - 1 and column e; column 0 is all 1.
        """
        g = torch.softmax(self.lengths, -1)
        steps = torch.arange(FORESEEN, device=g.device)
        distance = steps - steps[:, None]
        next_word = torch.where(distance > 0, g[(distance - 1).clamp(min=0)], 0.0)  # G
        u = torch.linalg.inv(torch.eye(FORESEEN).to(g) - next_word)
        return pad(pad(u, (0, 0, 0, 1)), (1, 0), value=1.0)


class WordwiseFlow(BlockwiseFlow):
    """`log p(z | T) = log p(starts | T) + log p(z | starts, T)`, where blocks begin with words.

    The starts of z follow from the codes that it stands for, so they add no sum. A code that would
    lead to other starts has no probability.

    The first word of a block must last for some steps, and the last one must end with the block. By
    Bayes' rule `p(z_t | c_t, event)` is proportional to `p(z_t | c_t) P(event | c_t, z_t)`. So log
    P is added to the scores of codes, and nothing in the context says where blocks end. P is
    learned from all words, not from these alone: in training, the gradient of `log_prob` has a
    share of that of the lengths of words.
    """

    features: CodeMixture
    embedding: SoftEmbedding

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
        passes = self._passes(noise.shape[1])
        blocks = self.words.draw(noise[..., -1], lengths, passes, temperature)
        ends_after = self.foresight.ends_after()

        def move(p: int, noise_p: Tensor, context: Tensor, may_be_cut: Tensor) -> tuple[Tensor]:
            place = torch.tensor([p], device=noise.device)
            lasts = self.foresight(context)[:, :, None]
            added = self.words.added(blocks, place, may_be_cut[..., None], lasts, ends_after)
            return (self.features.draw(noise_p, context, temperature, added[:, :, 0]),)

        return self._in_passes(noise[..., :-1], positions, blocks, move)[0]

    def log_prob(
        self, z: Tensor, positions: Tensor, lengths: Tensor, temperature: float = 1.0
    ) -> Tensor:
        codes = self.embedding.codes(z)
        blocks = self.words.of(codes, lengths, self._passes(z.shape[1]))
        may_be_cut = self._may_be_cut(blocks, z)
        places = torch.arange(blocks.passes, device=z.device)
        context = self._contexts_in(blocks, z, positions, may_be_cut)
        lasts = self.foresight(blocks.folded(context))
        ends = self.words.ends(blocks, codes)
        added = self.words.added(blocks, places, may_be_cut, lasts, self.foresight.ends_after())
        log_p = self.features.log_prob(z, context, temperature, blocks.unfolded(added))
        if self.training:
            log_p_lengths = self._lengths(blocks, codes, ends, lasts)
            learned = FORESIGHT * blocks.unfolded(log_p_lengths[..., None])[..., 0]
            log_p = log_p + learned - learned.detach()  # its gradient alone
        return log_p + self.words.log_prob(blocks, temperature)

    def _lengths(self, blocks: Blocks, codes: Tensor, ends: Tensor, lasts: Tensor) -> Tensor:
        """log P(the length of the word at each place), plus that of the next word where one ends.

        Codes `[N, T]`, `ends` `[N, B, P]`, `lasts` `[N, B, P, K, F + 1]` -> `[N, B, P]`. The
        length of the next word has its probability by the table.

        The starts are given: a first word is long enough, and a word that would end too late for
        its block begins the next one. Where the end is not seen, it is the probability of at least
        so many steps.
        """
        found, possible = self._found_and_possible(blocks, ends)

        def log_prob(lengths: Tensor) -> Tensor:
            p_found = (lengths * found).sum(-1).clamp(min=LEAST)
            p_possible = (lengths * possible).sum(-1).clamp(min=LEAST)
            return p_found.log() - p_possible.log()

        own = blocks.folded(codes[..., None])[..., None].expand(*lasts.shape[:3], 1, FORESEEN + 1)
        of_own_code = log_prob(lasts.gather(3, own)[..., 0, :])
        of_table = log_prob(torch.softmax(self.foresight.lengths, -1))
        return of_own_code + torch.where(ends, of_table, 0.0)

    def _found_and_possible(self, blocks: Blocks, ends: Tensor) -> tuple[Tensor, Tensor]:
        """The lengths that the word at each place has, and those that it could have.

        `ends` `[N, B, P]` -> two bool `[N, B, P, F + 1]`. Where a word's end is not seen, all
        lengths that go beyond the block are found.
        """
        places = torch.arange(blocks.passes, device=ends.device)
        never = blocks.passes + FORESEEN
        next_end = torch.where(ends, places, never).flip(2).cummin(2).values.flip(2)
        next_end = pad(next_end, (0, 1), value=never)[..., 1:]
        is_seen = next_end < never
        rest = blocks.sizes[..., None] - 1 - places
        must_fit = is_seen & ~blocks.is_last[..., None]
        longest = torch.where(must_fit, blocks.passes - 1 - places, never)
        shortest = self.words.still_open(blocks, places)
        after = torch.arange(1, FORESEEN + 2, device=ends.device)
        seen = after == (next_end - places).clamp(max=FORESEEN + 1)[..., None]
        beyond = after > rest.clamp(max=FORESEEN)[..., None]
        found = torch.where(is_seen[..., None], seen, beyond)
        possible = (after >= shortest[..., None]) & (after <= longest[..., None])
        return found, possible

    def _ends(self, blocks: Blocks, places: Tensor, z: Tensor) -> Tensor:
        return self.words.is_separator[self.embedding.codes(z)] & (places >= blocks.passes - SLACK)

    def _blocks(self, z: Tensor, lengths: Tensor) -> Blocks:
        return self.words.of(self.embedding.codes(z), lengths, self._passes(z.shape[1]))
