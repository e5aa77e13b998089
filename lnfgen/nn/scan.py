"""A backbone whose recurrence is linear and elementwise, so that its products are taken over all steps at once.

Why this one: `af-scf` on JSB at the tiny preset (valid ELBO, seeds 1 and 2) reaches 6.84 and 6.89 on it, 6.84 and 6.92
on the LSTM (prototypes, with as many features in each direction everywhere). At seed 1: with its outputs unbounded
6.87, one block in place of two 6.94, gates that also read the step before 7.01; dilated depthwise convolutions with
gated outputs (three of kernel 5, dilations 1, 4, 16) 7.04, half as dear again to train.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from lnfgen.nn.dropout import Dropout

MIN_BLOCKS = 2
"""Gates of the first block see their own step alone; those of the next one what came before, as an LSTM's do."""

LONGEST_MEMORY = 32.0
"""Steps that the slowest features remember at the start, the fastest one: from a chord to a phrase."""

SMALL_STEP = 512
"""Numbers in a step up to which a CPU takes `scan_in_blocks`."""

State = list[tuple[Tensor]]
"""h of each block, `[B, hidden]`."""


class CausalScan(nn.Module):
    """Step t sees inputs up to t: x `[B, T, F]` -> `[B, T, hidden]`, within -1 and 1 as an LSTM's. Parallel over T."""

    def __init__(self, num_inputs: int, hidden: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        first = GatedRecurrence(num_inputs, hidden, entry=True)
        others = [GatedRecurrence(hidden, hidden) for _ in range(max(num_layers, MIN_BLOCKS) - 1)]
        self.blocks = nn.ModuleList([first, *others])
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The outputs, and the state after the last step, with which a later call goes on (None at the start)."""
        last: State = []
        for index, block in enumerate(self.blocks):
            x, states = block(x, None if state is None else state[index][0])
            x = self.dropout(x)
            last.append((states,))
        return x, last


class GatedRecurrence(nn.Module):
    """`h_t = f_t h_{t-1} + (1 - f_t) tanh(c_t)`, `y_t = o_t h_t + (1 - o_t) s_t`: x `[B, T, F]` -> y `[B, T, hidden]`.

    c and the gates f and o (sigmoids) are linear in x_t; s_t is x_t itself, or at the `entry`, where sizes differ, tanh
    of what is linear in it. As the gates do not read h, the recurrence is linear. h and y are averages of what lies
    within -1 and 1, so a flow that feeds its own values back through them cannot grow without end.

    Sources: the simple recurrent unit (Lei et al., 2018, arXiv 1709.02755), here with a tanh before the recurrence;
    linear recurrences by a scan: Martin & Cundy (2018, arXiv 1709.04057).
    """

    def __init__(self, num_inputs: int, hidden: int, *, entry: bool = False) -> None:
        super().__init__()
        self.hidden = hidden
        self.project = nn.Linear(num_inputs, (4 if entry else 3) * hidden)  # gates f and o, c, and s at the entry
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        with torch.no_grad():  # a gate of 1 - 1 / n remembers n steps
            self.project.bias[:hidden] = math.log(LONGEST_MEMORY - 1) * torch.rand(hidden)

    def forward(self, x: Tensor, start: Tensor | None) -> tuple[Tensor, Tensor]:
        """y, and h after the last step, `[B, hidden]`."""
        forget, output, candidate, skip = self._parts(self.project(x), x)
        states = gated_average(forget, candidate, start)
        return torch.lerp(skip, states, output), states[:, -1]

    def _parts(self, projected: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        gates, values = projected.tensor_split([2 * self.hidden], -1)
        forget, output = torch.sigmoid(gates).chunk(2, -1)
        candidate, *entering = _tanh(values).split(self.hidden, -1)
        return forget, output, candidate, entering[0] if entering else x


def _tanh(x: Tensor) -> Tensor:
    """tanh(x) as `2 sigmoid(2 x) - 1`, to the round-off of 1. On a CPU that takes a third of torch.tanh's time."""
    return torch.sigmoid(x + x).mul(2).sub(1)


def gated_average(gate: Tensor, x: Tensor, start: Tensor | None = None) -> Tensor:
    """`h_t = f_t h_{t-1} + (1 - f_t) x_t` from h_{-1} = start, or 0: gate f and x `[B, T, H]`, start `[B, H]`.

    O(T) arithmetic and memory, gradients included. Nothing is divided, so a gate of 0 is as good as any.
    """
    return _GatedAverage.apply(gate, x, torch.zeros_like(x[:, 0]) if start is None else start)


class _GatedAverage(torch.autograd.Function):
    """Backwards, the adjoint of a linear recurrence is one from the other end: `a_t = gradient_t + f_{t+1} a_{t+1}`."""

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
        return adjoint * (before - x), torch.addcmul(adjoint, gate, adjoint, value=-1), adjoint[:, 0] * gate[:, 0]


def _recurrence(decay: Tensor, x: Tensor, start: Tensor, *, reverse: bool = False) -> Tensor:
    # On a CPU, what costs of large steps is memory traffic rather than calls; else it is the other way round.
    if x.shape[1] == 1 or (x.device.type == "cpu" and x[:, 0].numel() > SMALL_STEP):
        return scan_in_order(decay, x, start, reverse=reverse)
    if reverse:
        return scan_in_blocks(decay.flip(1), x.flip(1), start).flip(1)
    return scan_in_blocks(decay, x, start)


def scan_in_order(decay: Tensor, x: Tensor, start: Tensor, *, reverse: bool = False) -> Tensor:
    """`h_t = decay_t h_{t-1} + x_t`, or from the last step to the first: one call a step, each number read once."""
    states = torch.empty_like(x)
    order = slice(None, None, -1 if reverse else 1)
    for kept, added, state in zip(*(v.unbind(1)[order] for v in (decay, x, states)), strict=True):
        start = torch.addcmul(added, kept, start, out=state)
    return states


def scan_in_blocks(decay: Tensor, x: Tensor, start: Tensor) -> Tensor:
    """The same in about 2 sqrt(T) calls: blocks of sqrt(T) steps are run together from 0, then joined in order.

    For one sequence of 500 features it takes half of `scan_in_order`'s time on one CPU core at T 288, as long at T 60
    and nearly at T 4096; for 16 sequences, ten times as long.
    """
    num_steps = x.shape[1]
    length = math.isqrt(num_steps)
    if num_steps % length:
        decay, x = (pad(v, (0, 0, 0, -num_steps % length)) for v in (decay, x))
    decay, x = (v.unflatten(1, (-1, length)) for v in (decay, x))  # [B, blocks, length, H]
    within = scan_in_order(decay.flatten(0, 1), x.flatten(0, 1), torch.zeros_like(x[:, :, 0]).flatten(0, 1))
    within, kept = within.view_as(x), decay.cumprod(2)
    ends = scan_in_order(kept[:, :, -1], within[:, :, -1], start)
    starts = torch.cat([start[:, None], ends[:, :-1]], 1)
    return torch.addcmul(within, kept, starts[:, :, None]).flatten(1, 2)[:, :num_steps]
