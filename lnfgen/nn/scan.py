"""A backbone whose recurrence is linear, so that all steps are computed at once by a scan."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lnfgen.nn.bidirectional import Bidirectional
from lnfgen.nn.dropout import Dropout

LONGEST_MEMORY = 32.0
"""Steps that the slowest features remember at the start, the fastest one: from a chord to a phrase."""


State = list[tuple[Tensor]]
"""h of each block, `[B, hidden]`."""


class CausalScan(nn.Module):
    """Step t sees inputs up to t: x `[B, T, F]` -> `[B, T, hidden]`. Parallel over T."""

    def __init__(self, num_inputs: int, hidden: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        sizes = [num_inputs] + [hidden] * num_layers  # one block more than layers asked for: the first only reads
        self.blocks = nn.ModuleList(GatedRecurrence(size, hidden) for size in sizes)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The outputs, and the state after the last step, with which a later call goes on (None at the start)."""
        last: State = []
        for index, block in enumerate(self.blocks):
            x, states = block(x, None if state is None else state[index][0])
            x = self.dropout(x)
            last.append((states,))
        return x, last


class BidirectionalScan(Bidirectional):
    """A `CausalScan` from each end."""

    causal = CausalScan


class GatedRecurrence(nn.Module):
    """`h_t = f_t h_{t-1} + (1 - f_t) tanh(c_t)`, `y_t = o_t h_t + (1 - o_t) s_t`: x `[B, T, F]` -> y `[B, T, hidden]`.

    c and the gates f and o (sigmoids) are linear in x_t; s_t is x_t itself where the sizes agree, else linear in it. As
    the gates do not read h, the recurrence is linear. Sources: the simple recurrent unit (Lei et al., 2018, arXiv
    1709.02755), here with a tanh inside, so that h is bounded however long it adds up; linear recurrences by a scan:
    Martin & Cundy (2018, arXiv 1709.04057).
    """

    def __init__(self, num_inputs: int, hidden: int) -> None:
        super().__init__()
        self.widths = [hidden] * (3 if num_inputs == hidden else 4)  # forget gate, output gate, candidate, skip
        self.project = nn.Linear(num_inputs, sum(self.widths))
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        with torch.no_grad():  # a gate of 1 - 1 / n remembers n steps
            self.project.bias[:hidden] = math.log(LONGEST_MEMORY - 1) * torch.rand(hidden)

    def forward(self, x: Tensor, start: Tensor | None) -> tuple[Tensor, Tensor]:
        """y, and h after the last step, `[B, hidden]`."""
        forget, output, candidate, *projected = self.project(x).split(self.widths, -1)
        skip = projected[0] if projected else x
        forget, output = torch.sigmoid(forget), torch.sigmoid(output)
        added = (1 - forget) * torch.tanh(candidate)
        states = scan(forget, added, torch.zeros_like(added[:, 0]) if start is None else start)
        return skip + output * (states - skip), states[:, -1]


def scan(decay: Tensor, x: Tensor, start: Tensor) -> Tensor:
    """`h_t = decay_t * h_{t-1} + x_t` from h_{-1} = start: decay, x `[B, T, H]`, start `[B, H]` -> h `[B, T, H]`.

    O(T) arithmetic and memory, gradients included. Nothing is divided, so a decay of 0 is as good as any.
    """
    return _Scan.apply(decay, x, start)


class _Scan(torch.autograd.Function):
    """The adjoint of a linear recurrence is one from the other end."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, x: Tensor, start: Tensor) -> Tensor:
        # On a CPU, what costs is memory traffic rather than calls; elsewhere the other way round.
        in_order = x.device.type == "cpu" or x.shape[1] == 1
        states = (scan_in_order if in_order else scan_in_blocks)(decay, x, start)
        ctx.save_for_backward(decay, start, states)
        return states

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        decay, start, states = ctx.saved_tensors
        # g_t = gradient_t + decay_{t+1} g_{t+1}: a scan over reversed steps.
        later = pad(decay[:, 1:], (0, 0, 0, 1)).flip(1)
        adjoint = scan(later, gradient.flip(1), torch.zeros_like(start)).flip(1)
        before = torch.cat([start[:, None], states[:, :-1]], 1)
        return adjoint * before, adjoint, adjoint[:, 0] * decay[:, 0]


def scan_in_order(decay: Tensor, x: Tensor, start: Tensor) -> Tensor:
    """One call a step; reads and writes each number once. Without gradients."""
    states = torch.empty_like(x)
    for kept, added, state in zip(decay.unbind(1), x.unbind(1), states.unbind(1), strict=True):
        start = torch.addcmul(added, kept, start, out=state)
    return states


def scan_in_blocks(decay: Tensor, x: Tensor, start: Tensor) -> Tensor:
    """About 2 sqrt(T) calls: blocks of sqrt(T) steps are run together from 0, then joined in order.

    Without gradients. On one CPU core it takes 1 to 14 times as long as `scan_in_order`, the most at large batches.
    """
    num_steps = x.shape[1]
    length = math.isqrt(num_steps)
    padding = (0, 0, 0, -num_steps % length)
    decay, x = (pad(v, padding).unflatten(1, (-1, length)) for v in (decay, x))  # [B, blocks, length, H]
    within = scan_in_order(decay.flatten(0, 1), x.flatten(0, 1), torch.zeros_like(x[:, :, 0]).flatten(0, 1))
    within, kept = within.view_as(x), decay.cumprod(2)
    ends = scan_in_order(kept[:, :, -1], within[:, :, -1], start)
    starts = torch.cat([start[:, None], ends[:, :-1]], 1)
    return torch.addcmul(within, kept, starts[:, :, None]).flatten(1, 2)[:, :num_steps]
