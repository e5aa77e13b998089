"""Attention that copies: what came next where the past was most like the last steps."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, normalize, pad

NUM_LAGS = 16  # so many of the last steps are compared with as many before each earlier step
SPAN = 512  # an earlier step is at most so far away; eight bars of 4/4 in sixteenths are 128 steps
BLOCK = 128  # steps that are computed together; memory grows with T * (SPAN + BLOCK), not with T^2
# at first, what is so many steps further back counts half as much in each head
HALF_LIVES = (1.0, 2.0, 4.0, 16.0)
NUM_HEADS = len(HALF_LIVES)
# initial scores of a past that is the same in all its steps, and of attending to no step
MATCH, NO_MATCH = 16.0, 10.0
# frames are as like as the cosine of their angle to this power: most are a little alike
SHARPNESS = 3
# on scores of distances and places, so that they move faster: with Adam all weights move alike
PLACE_RATE = 10.0


class CopyAttention(nn.Module):
    """For each step, the steps before it whose own past is most like its past, as a mean: frames
    `[B, T, F]`.

    Step t attends to step s = t - d by `sum_l w_l cos(x_{t-1-l}, x_{s-1-l})^SHARPNESS + b_d + c_s`,
    softmax over `d = 1 .. SPAN` and over a score of attending to no step, in several heads. So
    where a phrase comes again, its continuation is recalled; and by c_s, which counts in the first
    `REACH` steps, a piece can go back to its start. There are no networks here, only weights of
    lags, distances and places, so repeats are found from the first updates on, and in any key. With
    `periods`, b_d has a term more for each of them that divides d: many distances share it, so it
    is learned sooner. Silence has the cosine 0 with all frames: a model that recalls rests after
    rests falls silent.

    Sources: Grave et al. (2017, arXiv 1612.04426), whose cache predicts what came next after states
    like the present one of a text; the Music Transformer (Huang et al. 2018, arXiv 1809.04281), for
    the layout of relative positions.
    """

    divides: Tensor  # 1 where a period divides a distance, else 0, [periods, SPAN]
    REACH = SPAN + NUM_LAGS  # a step depends on so many steps before it

    def __init__(self, num_compared: int, periods: tuple[int, ...] = ()) -> None:
        """The first `num_compared` features of a frame are compared; all are recalled."""
        super().__init__()
        self.num_compared = num_compared
        weights = 0.5 ** (torch.arange(NUM_LAGS) / torch.tensor(HALF_LIVES)[:, None])
        # w, [heads, lags]
        self.by_lag = nn.Parameter(MATCH * weights / weights.sum(-1, keepdim=True))
        self.by_distance = nn.Parameter(torch.zeros(NUM_HEADS, SPAN))  # b / PLACE_RATE
        self.by_place = nn.Parameter(torch.zeros(NUM_HEADS, self.REACH))  # c / PLACE_RATE
        self.nothing = nn.Parameter(torch.full((NUM_HEADS,), NO_MATCH))
        # terms of b too
        self.by_period = nn.Parameter(torch.zeros(NUM_HEADS, len(periods))) if periods else None
        divides = torch.arange(1, SPAN + 1) % torch.tensor(periods)[:, None] == 0
        self.register_buffer("divides", divides.to(torch.get_default_dtype()), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """The mean of the recalled frames for each step, and the weight of no step, `[B, T, heads,
        F + 1]`."""
        num_steps = frames.shape[1]
        size = min(BLOCK, num_steps)
        num_blocks = -(-num_steps // size)
        span = min(SPAN, num_steps)
        padded = pad(frames, (0, 0, span + NUM_LAGS, num_blocks * size - num_steps))
        windows = padded[:, :-1].unfold(1, span + NUM_LAGS + size - 1, size).transpose(-1, -2)
        starts = size * torch.arange(num_blocks, device=frames.device)
        return self._block(windows, starts, span).flatten(1, 2)[:, :num_steps]

    def next(self, frames: Tensor) -> Tensor:
        """The same for the one step after these frames `[B, T, F]`, of which the last `REACH` are
        enough."""
        num_steps = frames.shape[1]
        span = max(1, min(SPAN, num_steps))
        window = pad(frames, (0, 0, max(0, span + NUM_LAGS - num_steps), 0))[
            :, -(span + NUM_LAGS) :
        ]
        start = torch.full((1,), num_steps, device=frames.device)
        return self._block(window[:, None], start, span)[:, 0, 0]

    def _of_distances(self) -> Tensor:
        """b / PLACE_RATE, `[heads, SPAN]`."""
        return (
            self.by_distance
            if self.by_period is None
            else self.by_distance + self.by_period @ self.divides
        )

    def _block(self, window: Tensor, start: Tensor, span: int) -> Tensor:
        """The steps `[N]` blocks begin at, each with the frames from `span + NUM_LAGS` before it to
        its last but one.

        window `[B, N, span + NUM_LAGS + size - 1, F]` -> `[B, N, size, heads, F + 1]`.
        """
        size = window.shape[2] - span - NUM_LAGS + 1
        compared = window[..., : self.num_compared]
        length = compared[:, :, :-1].norm(dim=-1).clamp(min=1e-12)  # that of silence is 0
        cosine = (
            normalize(compared[:, :, span:], dim=-1)
            @ compared[:, :, :-1].transpose(-1, -2)
            / length[:, :, None]
        )
        # [B, N, size + NUM_LAGS - 1, span], the farthest first
        by_distance = _diagonals(cosine**SHARPNESS, span)
        kernel = self.by_lag.flip(-1)[:, None, :, None]
        score = conv2d(by_distance.flatten(0, 1)[:, None], kernel).unflatten(0, window.shape[:2])
        steps = start[:, None, None] + torch.arange(size, device=window.device)[:, None]
        sources = steps - torch.arange(span, 0, -1, device=window.device)  # [N, size, span]
        by_place = (
            self.by_place[:, sources.clamp(0, self.REACH - 1)].transpose(0, 1)
            * (steps < self.REACH)[:, None]
        )
        score = score + PLACE_RATE * (self._of_distances()[:, :span].flip(-1)[:, None] + by_place)
        score = score.masked_fill((sources < 0)[:, None], -torch.inf)  # [B, N, heads, size, span]
        nothing = self.nothing[:, None, None].expand(*score.shape[:-1], 1)
        weight = torch.softmax(torch.cat([score, nothing], -1), -1)
        weight, nothing = weight[..., :-1], weight[..., -1:]
        # All heads are rows of one product, which reads the frames once.
        mean = (_from_diagonals(weight).flatten(2, 3) @ window[:, :, NUM_LAGS:]).unflatten(
            2, (-1, size)
        )
        return torch.cat([mean, nothing.to(mean)], -1).transpose(2, 3)


class CopyingNetwork(nn.Module):
    """A causal network over values, and beside its outputs recalled values: x `[B, T, F]` -> `[B,
    T, hidden + size]`.

    The first `num_values` features of x are the value of the step before, which is 0 at the first
    step.
    """

    def __init__(self, network: nn.Module, num_values: int, size: int) -> None:
        """`network` is causal and reads all of x; there are `size` features of the recalled
        values."""
        super().__init__()
        self.network, self.num_values = network, num_values
        self.copying = CopyAttention(num_values)
        self.told = nn.Linear(NUM_HEADS * (num_values + 1), size)

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
        features = torch.tanh(self.told(recalled.flatten(-2)))
        return torch.cat([y, features], -1), [
            of_network,
            before[:, -self.copying.REACH :].transpose(0, 1),
        ]


def _diagonals(matrix: Tensor, width: int) -> Tensor:
    """Row i from its column i on: `[..., R, C]` -> `[..., R, width]`, where `C >= R + width -
    1`."""
    rows, columns = matrix.shape[-2:]
    return pad(matrix.flatten(-2), (0, rows)).unflatten(-1, (rows, columns + 1))[..., :width]


def _from_diagonals(diagonals: Tensor) -> Tensor:
    """The matrix `[..., R, R + W - 1]` whose row i has these values `[..., R, W]` from its column i
    on, and else 0."""
    rows, width = diagonals.shape[-2:]
    return (
        pad(diagonals, (0, rows)).flatten(-2)[..., :-rows].unflatten(-1, (rows, rows + width - 1))
    )
