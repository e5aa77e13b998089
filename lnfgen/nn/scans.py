"""Backbones that are parallel over time, because their recurrence is linear and elementwise."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from lnfgen.device.replacements import Dropout

# The gates of the first block see only their own step; those of the second see earlier ones, as
# those of an LSTM do.
MIN_BLOCKS = 2
# Initial weights let the fastest features remember 2 steps, the slowest this many: a phrase.
LONGEST_MEMORY = 32.0
# A CPU uses `scan_in_blocks` where one step of the batch has at most so many numbers.
SMALL_STEP = 512
KERNEL = 4  # steps that a convolution reads: its own and three before it
INITIAL_SCALE = 0.02  # of the weights of a convolution, small, so that it hardly changes its input

ScanState = list[tuple[Tensor, ...]]
"""Of each block the state h, `[B, hidden]`, and, if it has a convolution, the last inputs of that,
`[KERNEL - 1, B, F]`."""


class CausalScan(nn.Module):
    """A stack of gated linear recurrences: x `[B, T, F]` -> `[B, T, hidden]`. Step t sees x_<=t.

    It is parallel over T. Before dropout, its outputs lie between -1 and 1, as those of an LSTM do.
    """

    convolves = False

    def __init__(self, num_inputs: int, hidden: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        num_blocks = max(num_layers, MIN_BLOCKS)
        sizes = [num_inputs] + [hidden] * (num_blocks - 1)
        self.convolutions = nn.ModuleList()
        if self.convolves:
            self.convolutions.extend(CausalConvolution(size) for size in sizes)
        self.blocks = nn.ModuleList()
        for index, size in enumerate(sizes):
            self.blocks.append(GatedRecurrence(size, hidden, entry=index == 0))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, state: ScanState | None = None) -> tuple[Tensor, ScanState]:
        """The outputs `[B, T, hidden]`, and the state after the last step.

        A later call with that state continues from there.
        """
        states: ScanState = []
        for index, block in enumerate(self.blocks):
            before = () if state is None else state[index]
            last_inputs: tuple[Tensor, ...] = ()
            if self.convolves:
                x, last = self.convolutions[index](x, before[1] if before else None)
                last_inputs = (last,)
            x, h = block(x, before[0] if before else None)
            x = self.dropout(x)
            states.append((h, *last_inputs))
        return x, states


class CausalConvScan(CausalScan):
    """`CausalScan` with a convolution before each recurrence.

    The gates of a recurrence read no state, so without a convolution those of the first block do
    not even know the step before; in text, what to keep and what to forget depends on the last few
    characters.

    Source: the short causal convolutions ("canon layers") of Allen-Zhu (2025, arXiv 2512.17351).
    """

    convolves = True


class GatedRecurrence(nn.Module):
    """`h_t = f_t h_{t-1} + (1 - f_t) tanh(c_t)`, `y_t = o_t h_t + (1 - o_t) s_t`.

    x `[B, T, F]` -> y `[B, T, hidden]`. With x `[B, T, P, F]`, each of the P keys of a step has a
    recurrence of its own, with the same weights.

    c_t and the inputs of the gates f_t and o_t (sigmoids) are linear in x_t. The skip connection
    s_t is x_t itself. At the `entry` of the stack, where the sizes differ, it is tanh of a linear
    map of x_t. The gates do not read h, so the recurrence is linear. All of s_t, h and y lie
    between -1 and 1, so a flow that feeds values back is bounded.

    Sources: the simple recurrent unit of Lei et al. (2018, arXiv 1709.02755), here with a tanh
    before the recurrence; Martin & Cundy (2018, arXiv 1709.04057) for scans of linear recurrences.
    """

    def __init__(self, num_inputs: int, hidden: int, *, entry: bool = False) -> None:
        super().__init__()
        self.hidden = hidden
        num_outputs = 4 if entry else 3  # f, o, c, and at the entry s
        self.project = nn.Linear(num_inputs, num_outputs * hidden)
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        with torch.no_grad():  # a forget gate of 1 - 1 / n remembers about n steps
            self.project.bias[:hidden] = math.log(LONGEST_MEMORY - 1) * torch.rand(hidden)

    def forward(self, x: Tensor, start: Tensor | None) -> tuple[Tensor, Tensor]:
        """y `[B, T, hidden]`, and h after the last step, `[B, hidden]`."""
        # Full precision even under autocast, because a state adds up many steps, and a gate is
        # often close to 1.
        projected = self.project(x).to(self.project.weight.dtype)
        num_gates = 2 * self.hidden
        gates, values = projected.split([num_gates, projected.shape[-1] - num_gates], -1)
        forget, output = torch.sigmoid(gates).chunk(2, -1)
        candidate, *entry_skip = _tanh(values).split(self.hidden, -1)
        states = gated_average(forget, candidate, start)
        skip = entry_skip[0] if entry_skip else x.to(states.dtype)
        return torch.lerp(skip, states, output), states[:, -1]


def _tanh(x: Tensor) -> Tensor:
    """tanh(x) as `2 sigmoid(2 x) - 1`, which takes a third of the time on a CPU.

    The error is round-off of 1.
    """
    return torch.sigmoid(x + x).mul(2).sub(1)


def gated_average(gate: Tensor, x: Tensor, start: Tensor | None = None) -> Tensor:
    """`h_t = f_t h_{t-1} + (1 - f_t) x_t`, where h_{-1} is `start`, by default 0.

    Gate f, x and the result are `[B, T, ...]`, `start` is `[B, ...]`. Arithmetic and memory are
    O(T), gradients included. There is no division, so gates may be 0.
    """
    if start is None:
        start = torch.zeros_like(x[:, 0])
    if x.shape[1] == 1:  # one step of a loop, where the number of calls decides the time
        return torch.addcmul(torch.addcmul(x, gate, x, value=-1), gate, start[:, None])
    return _GatedAverage.apply(gate.flatten(2), x.flatten(2), start.flatten(1)).view_as(x)


class _GatedAverage(torch.autograd.Function):
    """The backward pass is a linear recurrence too, from the last step to the first.

    It is `a_t = gradient_t + f_{t+1} a_{t+1}`.
    """

    @staticmethod
    def forward(ctx: Any, gate: Tensor, x: Tensor, start: Tensor) -> Tensor:
        states = _recurrence(gate, torch.addcmul(x, gate, x, value=-1), start)
        ctx.save_for_backward(gate, x, start, states)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gate, x, start, states = ctx.saved_tensors
        adjoint = _recurrence(gate.roll(-1, 1), gradient, torch.zeros_like(start), reverse=True)
        before = torch.cat([start[:, None], states[:, :-1]], 1)
        by_gate = adjoint * (before - x)
        by_x = torch.addcmul(adjoint, gate, adjoint, value=-1)
        by_start = adjoint[:, 0] * gate[:, 0]
        return by_gate, by_x, by_start


def _recurrence(decay: Tensor, x: Tensor, start: Tensor, *, reverse: bool = False) -> Tensor:
    """`scan_in_order`, or the faster way to the same values."""
    # Large steps on a CPU are limited by memory traffic; small steps, and all steps on a GPU, by
    # the number of calls.
    if x.device.type == "cpu" and x[:, 0].numel() > SMALL_STEP:
        return scan_in_order(decay, x, start, reverse=reverse)
    if reverse:
        return scan_in_blocks(decay.flip(1), x.flip(1), start).flip(1)
    return scan_in_blocks(decay, x, start)


def scan_in_order(decay: Tensor, x: Tensor, start: Tensor, *, reverse: bool = False) -> Tensor:
    """`h_t = decay_t h_{t-1} + x_t`, or with `reverse` from the last step to the first.

    It makes one call per step. decay and x are `[B, T, H]`, start is `[B, H]`, and the result is
    all h, `[B, T, H]`.
    """
    states = torch.empty_like(x)
    steps = list(zip(decay.unbind(1), x.unbind(1), states.unbind(1), strict=True))
    if reverse:
        steps.reverse()
    before = start
    for factor, added, state in steps:
        before = torch.addcmul(added, factor, before, out=state)
    return states


def scan_in_blocks(decay: Tensor, x: Tensor, start: Tensor) -> Tensor:
    """`scan_in_order` (forward) in about 2 sqrt(T) calls.

    Blocks of sqrt(T) steps run together and then are joined.
    """
    num_steps = x.shape[1]
    length = math.isqrt(num_steps)
    missing = -num_steps % length
    if missing:
        decay = pad(decay, (0, 0, 0, missing))
        x = pad(x, (0, 0, 0, missing))
    decay = decay.unflatten(1, (-1, length))  # [B, blocks, length, H]
    x = x.unflatten(1, (-1, length))
    zero = torch.zeros_like(x[:, :, 0]).flatten(0, 1)
    within = scan_in_order(decay.flatten(0, 1), x.flatten(0, 1), zero).view_as(x)
    total_decay = decay.cumprod(2)
    ends = scan_in_order(total_decay[:, :, -1], within[:, :, -1], start)
    starts = torch.cat([start[:, None], ends[:, :-1]], 1)
    return torch.addcmul(within, total_decay, starts[:, :, None]).flatten(1, 2)[:, :num_steps]


class CausalConvolution(nn.Module):
    """`y_t = x_t + sum_{k=0}^3 w_k * x_{t-3+k}`, each feature by itself: x and y `[B, T, F]`."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        # It is listed from the oldest step to the newest.
        self.weight = nn.Parameter(torch.empty(KERNEL, num_features))
        nn.init.normal_(self.weight, std=INITIAL_SCALE)

    def forward(self, x: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        """y `[B, T, F]`, and the last inputs `[KERNEL - 1, B, F]`.

        A call for the steps after these takes the last inputs as `before`.
        """
        return convolved(x, self.weight, before)


def convolved(x: Tensor, weight: Tensor, before: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`CausalConvolution.forward` with this weight `[KERNEL, F]`."""
    num_steps = x.shape[1]
    if before is None:
        start = x.new_zeros(len(x), KERNEL - 1, x.shape[2])
    else:
        start = before.transpose(0, 1)
    read = torch.cat([start, x], 1)
    y = x
    for k, of_step in enumerate(weight):
        y = torch.addcmul(y, read[:, k : k + num_steps], of_step)
    return y, read[:, num_steps:].transpose(0, 1)
