"""Networks with the same weights for every key: what a key is told of the steps before, and of the keys below it.

The values that they read are laid out as `Frames.bits` has them: all keys' first kind of value (sounding), from the
lowest key up, and then all keys' second kind (onset), if there is one.

Source: D. Johnson, "Generating Polyphonic Music Using Tied Parallel Networks" (EvoMUSART 2017), there with LSTMs.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from lnfgen.nn.dropout import Dropout
from lnfgen.nn.scan import GatedRecurrence

REACH = 24
"""A key sees the values of keys up to so many semitones below it in its own step."""

REACH_BEFORE = 12
"""In the steps before, a key sees keys up to so many semitones above and below it, and what the recurrences of those up
to half as far have made of them. A value of the second kind also sees keys up to so many semitones above and below it
in its own step, in values of the first kind."""

WIDTH = 2 * REACH_BEFORE + 1

SIZE = 16
"""Units of the recurrences of each key."""

FROM_WHOLE = 4
"""Numbers that tell each key what the network over whole steps says of it in particular."""

SUM_SCALE = 0.1
"""Initial scale of weights on the sum of the values of lower keys, of which some four are not near 0."""

NUM_BY_KEY = SIZE + FROM_WHOLE


def over_keys(convolution: nn.Module, x: Tensor) -> Tensor:
    """A convolution over the keys: `[..., channels, P]` -> `[..., P, channels]`."""
    return convolution(x.flatten(0, -3)).transpose(-1, -2).unflatten(0, x.shape[:-2])


class KeyContext(nn.Module):
    """A causal network: one over whole steps, and one for each key. x `[B, T, F]` -> `[B, T, hidden + P * NUM_BY_KEY]`.

    The values of the keys are the first features of x. Each key has gated recurrences over time, with the same weights,
    which read the values around it at intervals relative to it. They are parallel over steps and keys.
    """

    def __init__(self, network: nn.Module, hidden: int, num_keys: int, num_kinds: int, dropout: float) -> None:
        """`network` is causal, reads x, and has `hidden` outputs."""
        super().__init__()
        self.network = network
        self.num_keys, self.num_kinds = num_keys, num_kinds
        self.around = nn.Conv1d(num_kinds, SIZE, WIDTH, padding=REACH_BEFORE)
        self.first = GatedRecurrence(SIZE, SIZE, entry=True)
        self.near = nn.Conv1d(SIZE, SIZE, REACH_BEFORE + 1, padding=REACH_BEFORE // 2)
        self.second = GatedRecurrence(SIZE, SIZE)
        self.of_key = nn.Linear(hidden, num_keys * FROM_WHOLE)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, state: list[Any] | None = None) -> tuple[Tensor, list[Any]]:
        """The outputs, and the state after the last step, from which a later call continues."""
        of_network, first, second = state or (None, None, None)
        whole, of_network = self.network(x, of_network)
        values = x[..., : self.num_kinds * self.num_keys].unflatten(-1, (self.num_kinds, self.num_keys))
        y, first = self.first(over_keys(self.around, values), first)
        near = torch.tanh(y + over_keys(self.near, y.transpose(-1, -2)))
        y, second = self.second(self.dropout(near), second)
        by_key = torch.cat([self.dropout(y), self.of_key(whole).unflatten(-1, (self.num_keys, FROM_WHOLE))], -1)
        return torch.cat([whole, by_key.flatten(-2)], -1), [of_network, first, second]


class KeyConditioner(nn.Module):
    """Parameters of each value of each key, from values of lower keys and context: the tied counterpart of `MADE`.

    x `[..., D]`, context `[..., C]` of `KeyContext` -> `[..., D, num_parameters]`, where D is `num_kinds * num_keys`. A
    value depends on those before it: on its own kind of lower keys, and on the first kind of all keys if it is of the
    second. With `downwards` all values come in the opposite order, as in every second layer of a flow.

    Only biases, the context and the ends of the range tell keys apart.
    Limit: keys further away than `REACH` are seen as their sum alone.
    """

    def __init__(
        self,
        num_keys: int,
        num_kinds: int,
        num_context: int,
        hidden: int,
        num_parameters: int,
        *,
        downwards: bool,
        dropout: float = 0.0,
        output_gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.num_keys, self.num_kinds, self.downwards = num_keys, num_kinds, downwards
        self.num_whole = num_context - num_keys * NUM_BY_KEY
        kinds = range(num_kinds)
        self.below = nn.ModuleList([nn.Conv1d(1, hidden, REACH) for _ in kinds])
        self.from_sum = nn.ModuleList([nn.Linear(1, hidden, bias=False) for _ in kinds])
        self.around = nn.ModuleList([nn.Conv1d(kind, hidden, WIDTH, padding=REACH_BEFORE) for kind in kinds[1:]])
        self.from_whole = nn.Linear(self.num_whole, hidden)
        self.from_key = nn.Linear(NUM_BY_KEY, hidden)
        self.key = nn.Parameter(0.1 * torch.randn(num_keys, hidden))
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.ModuleList([nn.Linear(hidden, num_parameters) for _ in kinds])
        self.bias = nn.Parameter(torch.zeros(num_kinds, num_keys, num_parameters))
        self.dropout = Dropout(dropout)
        for parameters, sums in zip(self.last, self.from_sum, strict=True):
            nn.init.xavier_uniform_(cast(nn.Linear, parameters).weight, gain=output_gain)
            nn.init.normal_(cast(nn.Linear, sums).weight, std=SUM_SCALE)

    def given(self, context: Tensor) -> Callable[[Tensor], Tensor]:
        """The function from x to parameters for this context. It multiplies the context by the weights only once."""
        whole, by_key = context.tensor_split([self.num_whole], -1)
        by_key = by_key.unflatten(-1, (self.num_keys, NUM_BY_KEY))
        if self.downwards:
            by_key = by_key.flip(-2)
        told = self.from_whole(whole)[..., None, :] + self.from_key(by_key) + self.key

        def parameters(x: Tensor) -> Tensor:
            values = x.unflatten(-1, (self.num_kinds, self.num_keys))
            sums = values.cumsum(-1) - values
            by_kind = []
            for kind in range(self.num_kinds):
                own = slice(kind, kind + 1)
                h = told + over_keys(self.below[kind], pad(values[..., own, :], (REACH, -1)))
                h = h + self.from_sum[kind](sums[..., own, :].transpose(-1, -2))
                if kind:
                    h = h + over_keys(self.around[kind - 1], values[..., :kind, :])
                h = torch.tanh(self.second(self.dropout(gelu(h))))
                by_kind.append(self.last[kind](h) + self.bias[kind])
            return torch.cat(by_kind, -2)

        return parameters

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return self.given(context)(x)
