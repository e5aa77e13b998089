"""Attention that copies: what came next where the past was most like the last steps."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from lnfgen.nn.parameter_groups import FAST
from lnfgen.nn.recall import Memory, PastValues, Recall

NUM_LAGS = 16  # so many of the last steps are compared with as many before each earlier step
SPAN = 512  # an earlier step is at most so far away; eight bars of 4/4 in sixteenths are 128 steps
BLOCK = 128  # steps that are computed together; memory grows with T * (SPAN + BLOCK), not with T^2
# At first, what is so many steps further back counts half as much in each head.
HALF_LIVES = (1.0, 2.0, 4.0, 16.0)
NUM_HEADS = len(HALF_LIVES)
# Initial scores of a past that is the same in all its steps, and of attending to no step.
MATCH = 16.0
NO_MATCH = 10.0
# Frames are as like as the cosine of their angle to this power: most are a little alike.
SHARPNESS = 3


class CopyAttention(Recall):
    """Each step recalls the steps before it whose own past is most like its past.

    Step t attends to step s = t - d by `sum_l w_l cos(x_{t-1-l}, x_{s-1-l})^SHARPNESS + b_d`,
    softmax over `d = 1 .. SPAN` and over a score of attending to no step, in several heads. So
    where a phrase comes again, its continuation is recalled. There are no networks here, only
    weights of lags and distances, so repeats are found from the first updates on, and in any key.
    Silence has the cosine 0 with all frames: a model that recalls rests after rests falls silent.

    b_d has a term more for each of the `periods` that divides d: many distances share it, so it is
    learned sooner.

    Sources: Grave et al. (2017, arXiv 1612.04426), whose cache predicts what came next after states
    like the present one of a text; the Music Transformer (Huang et al. 2018, arXiv 1809.04281), for
    the layout of relative positions.
    """

    divides: Tensor  # 1 where a period divides a distance, else 0, [periods, SPAN]
    REACH = SPAN + NUM_LAGS  # a step depends on so many steps before it
    num_copies = NUM_HEADS
    rate_groups: ClassVar[dict[str, str]] = {"by_distance": FAST, "by_period": FAST}

    def __init__(self, num_compared: int, periods: tuple[int, ...] = ()) -> None:
        """The first `num_compared` features of a frame are compared; all are recalled."""
        super().__init__()
        self.num_compared = num_compared
        weights = 0.5 ** (torch.arange(NUM_LAGS) / torch.tensor(HALF_LIVES)[:, None])
        weights = MATCH * weights / weights.sum(-1, keepdim=True)
        self.by_lag = nn.Parameter(weights)  # w, [heads, lags]
        self.by_distance = nn.Parameter(torch.zeros(NUM_HEADS, SPAN))  # b
        self.nothing = nn.Parameter(torch.full((NUM_HEADS,), NO_MATCH))
        self.by_period = None
        if periods:
            self.by_period = nn.Parameter(torch.zeros(NUM_HEADS, len(periods)))  # terms of b too
        distances = torch.arange(1, SPAN + 1)
        divides = distances % torch.tensor(periods, dtype=torch.long)[:, None] == 0
        self.register_buffer("divides", divides.to(torch.get_default_dtype()), persistent=False)

    def copies_of(self, values: Tensor) -> Callable[[int, int], Tensor]:
        return partial(self.of_steps, values)

    def next(self, values: Tensor) -> Tensor:
        """The copies of the one step after these `[N, t, F]`, of which the last `REACH` are enough.

        The result is `[N, heads, F + 1]`.
        """
        num_steps = values.shape[1]
        return self.of_steps(values, num_steps, num_steps + 1)[:, 0]

    def memory(self, silence: Tensor) -> "AttentionMemory":
        return AttentionMemory(self, silence)

    def _of_distances(self) -> Tensor:
        """b, `[heads, SPAN]`."""
        if self.by_period is None:
            return self.by_distance
        return self.by_distance + self.by_period @ self.divides

    def of_steps(self, values: Tensor, start: int, stop: int, silent: int = 0) -> Tensor:
        """The copies of the steps from `start` to before `stop`: `[N, steps, heads, F + 1]`.

        The values are `[N, t, F]`, where t is at least `stop - 1`. The first `silent` of them come
        before the first step of the sequence, and nothing attends to them.
        """
        num_steps = stop - start
        size = min(BLOCK, num_steps)
        num_blocks = -(-num_steps // size)
        span = max(1, min(SPAN, stop - 1 - silent))
        first = start - span - NUM_LAGS
        read = values[:, max(0, first) : stop - 1]
        ahead = max(0, -first)
        behind = num_blocks * size - num_steps
        if ahead or behind:  # otherwise the frames need not be copied
            read = pad(read, (0, 0, ahead, behind))
        windows = read.unfold(1, span + NUM_LAGS + size - 1, size).transpose(-1, -2)
        starts = start - silent + size * torch.arange(num_blocks, device=values.device)
        return self._blocks(windows, starts, span).flatten(1, 2)[:, :num_steps]

    def _blocks(self, window: Tensor, start: Tensor, span: int) -> Tensor:
        """The copies of the steps of S blocks, `[N, S, size, heads, F + 1]`.

        A block begins at a step `start` `[S]`, and its window has the frames from
        `span + NUM_LAGS` before that step to the last but one of the block:
        `[N, S, span + NUM_LAGS + size - 1, F]`.
        """
        size = window.shape[2] - span - NUM_LAGS + 1
        likeness = self._likeness(window[..., : self.num_compared], span)
        # The sum over the lags is a product with a matrix that has the weights of a step in its
        # row. Most of that is 0, but its gradient takes less time than that of a convolution.
        by_step = _from_diagonals(self.by_lag.flip(-1)[:, None].expand(-1, size, -1))
        score = (by_step.flatten(0, 1) @ likeness).unflatten(2, (-1, size))
        steps = start[:, None, None] + torch.arange(size, device=window.device)[:, None]
        distances = torch.arange(span, 0, -1, device=window.device)
        sources = steps - distances  # [S, size, span]
        score = score + self._of_distances()[:, :span].flip(-1)[:, None]
        # [N, S, heads, size, span]
        score = score.masked_fill((sources < 0)[:, None], -torch.inf)
        nothing = self.nothing[:, None, None].expand(*score.shape[:-1], 1)
        weight = torch.softmax(torch.cat([score, nothing], -1), -1)
        attended = weight[..., :-1]
        unattended = weight[..., -1:]
        # All heads are rows of one product, which reads the frames once.
        mean = (_from_diagonals(attended).flatten(2, 3) @ window[:, :, NUM_LAGS:]).unflatten(
            2, (-1, size)
        )
        return torch.cat([mean, unattended.to(mean)], -1).transpose(2, 3)

    def _likeness(self, compared: Tensor, span: int) -> Tensor:
        """`cos^SHARPNESS` of frames and those up to `span` before them, the farthest first.

        `[N, S, span + NUM_LAGS + size - 1, F]` -> `[N, S, size + NUM_LAGS - 1, span]`.
        """
        earlier = compared[:, :, :-1]
        length = earlier.norm(dim=-1).clamp(min=1e-12)  # that of silence is 0
        later = normalize(compared[:, :, span:], dim=-1)
        cosine = later @ earlier.transpose(-1, -2) / length[:, :, None]
        return _diagonals(cosine**SHARPNESS, span)


class AttentionMemory(Memory):
    """The last frames, to which the coming step may attend.

    They begin with as much silence as each step is compared with, so that the frames of a sequence
    need not be copied behind it at each step.
    """

    def __init__(self, attention: CopyAttention, silence: Tensor) -> None:
        self._attention = attention
        self._past = PastValues(silence)
        self._past.extend(torch.zeros_like(silence)[:, None].expand(-1, NUM_LAGS, -1))

    def recalled(self) -> Tensor:
        before = self._past.last(self._attention.REACH)
        return self._copies(before, before.shape[1], 1)[:, 0]

    def append(self, values: Tensor) -> None:
        self._past.append(values)

    def take(self, values: Tensor) -> Tensor:
        before = self._past.last(self._attention.REACH)
        copies = self._copies(torch.cat([before, values], 1), before.shape[1], values.shape[1])
        self._past.extend(values)
        return copies

    def _copies(self, values: Tensor, start: int, num_steps: int) -> Tensor:
        """The copies of the next steps, from the number `start` of these values on."""
        forgotten = self._past.num_steps - start
        silent = max(0, NUM_LAGS - forgotten)
        return self._attention.of_steps(values, start, start + num_steps, silent)

    def reindex(self, rows: Tensor) -> None:
        self._past.reindex(rows)


class CopyingNetwork(nn.Module):
    """A causal network over values, and beside its outputs recalled values.

    x `[B, T, F]` -> `[B, T, hidden + size]`. The first `num_values` features of x are the value of
    the step before, which is 0 at the first step.
    """

    def __init__(self, network: nn.Module, num_values: int, size: int) -> None:
        """`network` is causal and reads all of x; recalled values become `size` features."""
        super().__init__()
        self.network = network
        self.num_values = num_values
        self.copying = CopyAttention(num_values)
        self.projection = nn.Linear(NUM_HEADS * (num_values + 1), size)

    def forward(self, x: Tensor, state: list[Any] | None = None) -> tuple[Tensor, list[Any]]:
        """The outputs, and the state after the last step, from which a later call continues.

        The state is that of the network, and the last values `[t, B, num_values]`.
        """
        of_network, before = state or (None, None)
        y, of_network = self.network(x, of_network)
        values = x[..., : self.num_values]
        if before is None:
            before = values[:, 1:]
            recalled = self.copying(pad(before, (0, 0, 0, 1)))  # the last step is seen by none
        else:
            before = torch.cat([before.transpose(0, 1), values], 1)
            ends = range(before.shape[1] - x.shape[1] + 1, before.shape[1] + 1)
            recalled = torch.stack([self.copying.next(before[:, :end]) for end in ends], 1)
        # Bounded, because values that depend on values alone could grow from step to step.
        features = torch.tanh(self.projection(recalled.flatten(-2)))
        last = before[:, -self.copying.REACH :].transpose(0, 1)
        return torch.cat([y, features], -1), [of_network, last]


def _diagonals(matrix: Tensor, width: int) -> Tensor:
    """Row i from its column i on: `[..., R, C]` -> `[..., R, W]`, where `C >= R + W - 1`."""
    rows, columns = matrix.shape[-2:]
    return pad(matrix.flatten(-2), (0, rows)).unflatten(-1, (rows, columns + 1))[..., :width]


def _from_diagonals(diagonals: Tensor) -> Tensor:
    """The matrix `[..., R, R + W - 1]` with these `[..., R, W]` in row i from its column i on."""
    rows, width = diagonals.shape[-2:]
    return (
        pad(diagonals, (0, rows)).flatten(-2)[..., :-rows].unflatten(-1, (rows, rows + width - 1))
    )
