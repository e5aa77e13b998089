"""Features of each key from the frames before it: those of earlier steps, and of its own step.

They read keys at intervals relative to their own, with the same weights for every key. Only in a
band they also read all keys, because its rhythms bind keys that are far apart.

Sources: D. Johnson, "Generating Polyphonic Music Using Tied Parallel Networks" (EvoMUSART 2017),
for networks tied across the keys, there LSTMs, which decide key by key. The recurrences here are
those of `CausalScan`, so scoring is parallel over steps and keys.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, pad

from lnfgen.models.observation import Frames
from lnfgen.nn.convolutions import over_keys, over_keys_by, spectrum_of
from lnfgen.nn.scans import GatedRecurrence

REACH = 24
"""In the frames before it, a key sees the keys up to two octaves above and below it."""

REACH_NEAR = 12
"""A key sees what the recurrences of the keys up to an octave away made of the frames before."""

INITIAL_SCALE = 0.5
"""Of weights on bits: a few of many bits are set, and features must have unit scale."""


class KeysState(NamedTuple):
    """The states of the recurrences of N sequences, `[N, P, size]` each."""

    first: Tensor
    second: Tensor

    def of_rows(self, rows: Tensor) -> "KeysState":
        return KeysState(self.first[rows], self.second[rows])


class FramePast(nn.Module):
    """Features of each key from the frames of earlier steps, by recurrences that run for each key.

    All parts of a band share them. Limit: it costs `num_pitches` times a small network at each
    step.
    """

    def __init__(self, frames: Frames, size: int, dropout: nn.Module) -> None:
        """A key has `size` features."""
        super().__init__()
        self.frames = frames
        num_channels = frames.parts * frames.bits_per_key
        self.around = nn.Conv1d(num_channels, size, 2 * REACH + 1, padding=REACH)
        nn.init.normal_(self.around.weight, std=INITIAL_SCALE)
        self.first = GatedRecurrence(size, size, entry=True)
        self.near = nn.Conv1d(size, size, 2 * REACH_NEAR + 1, padding=REACH_NEAR)
        self.second = GatedRecurrence(size, size)
        self.across: nn.Linear | None = None
        if frames.parts > 1:
            self.across = nn.Linear(frames.num_logits, size, bias=False)
        self.dropout = dropout

    def forward(
        self, before: Tensor, near: Tensor, state: KeysState | None = None
    ) -> tuple[Tensor, KeysState]:
        """Features `[B, T, P, size]` of the frame before each step, `[B, T, R, P]`, and the state.

        `near` is the spectrum that `near_spectrum` computes. A later call continues from the state.
        """
        bits = self.frames.bits(before, self.around.weight.dtype)
        channels = bits.unflatten(-1, (-1, self.frames.num_pitches)).transpose(-1, -2)
        y = over_keys(self.around, channels)
        if self.across is not None:
            y = y + self.across(self.dropout(bits))[..., None, :]
        first, second = (None, None) if state is None else state
        y, first = self.first(y, first)
        y = self.dropout(torch.tanh(y + over_keys_by(near, self.near, y)))
        y, second = self.second(y, second)
        return self.dropout(y), KeysState(first, second)

    def near_spectrum(self) -> Tensor:
        """The spectrum of a convolution, which follows from the weights alone."""
        return spectrum_of(self.near, self.frames.num_pitches)


class EarlierParts(nn.Module):
    """Features of each key of a part from the frames of the parts drawn before it at the same step.

    They are the tanh of a sum of what each of these R - 1 parts adds.
    """

    def __init__(self, frames: Frames, size: int, dropout: nn.Module) -> None:
        """A key has `size` features."""
        super().__init__()
        self.frames = frames
        self.num_read = frames.parts - 1  # the last part is read by none
        self.around = nn.Conv1d(
            self.num_read * frames.bits_per_key,
            self.num_read * size,
            2 * REACH + 1,
            padding=REACH,
            groups=self.num_read,
        )
        nn.init.normal_(self.around.weight, std=INITIAL_SCALE)
        self.across = nn.Parameter(torch.empty(self.num_read, frames.bits_per_part, size))
        bound = frames.bits_per_part**-0.5
        nn.init.uniform_(self.across, -bound, bound)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Features `[N, R, P, size]` for each part of frames `[N, R, P]`; 0 for the first one."""
        read = x[:, : self.num_read]
        bits = self.frames.part_bits(read, self.across.dtype)  # [N, R - 1, bits]
        channels = bits.unflatten(-1, (-1, self.frames.num_pitches)).flatten(1, 2)
        around = self.around(channels).unflatten(1, (self.num_read, -1)).transpose(-1, -2)
        across = torch.einsum("nrb,rbs->nrs", self.dropout(bits), self.across)
        added = around + across[..., None, :]
        total = added.cumsum(1)
        return pad(torch.tanh(total), (0, 0, 0, 0, 1, 0))

    def added_by(self, part: int, x: Tensor) -> Tensor:
        """What the frame of one part, x `[N, P]`, adds to the sum: `[N, P, size]`."""
        size = self.across.shape[-1]
        own = slice(part * size, (part + 1) * size)
        bits = self.frames.part_bits(x, self.across.dtype)
        channels = bits.unflatten(-1, (-1, self.frames.num_pitches))
        bias = None if self.around.bias is None else self.around.bias[own]
        around = conv1d(channels, self.around.weight[own], bias, padding=REACH).transpose(-1, -2)
        return around + (bits @ self.across[part])[:, None]
