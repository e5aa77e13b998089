"""What one step of a sequence is, seen by a network: its embedding going in, its distribution coming out.

`Symbols` are characters, x `[B, T]` of integers. `Frames` are P keys, x `[B, T, P]` of bits: bit 0 sounding, bit 1
onset.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from lnfgen.conventions import ONSET, ONSET_SHIFT, SOUNDING

FRAME_SCALE = 0.5
"""Initial scale of a key's embedding: about four keys of a frame sound, so their sum has unit scale. A default-sized
embedding of so sparse an input leaves an LSTM at the marginal for a thousand steps."""


@dataclass(frozen=True)
class Symbols:
    """One of `num_symbols` a step: a categorical output."""

    num_symbols: int

    @property
    def num_logits(self) -> int:
        return self.num_symbols

    def embedding(self, features: int) -> nn.Embedding:
        """x `[B, T]` -> `[B, T, features]`, of unit scale."""
        return nn.Embedding(self.num_symbols, features)

    def log_prob(self, logits: Tensor, x: Tensor) -> Tensor:
        """log p(x | logits) of each step: logits `[..., T, V]`, x `[B, T]` -> `[..., T]`."""
        x = x.long().expand(logits.shape[:-1])
        return torch.log_softmax(logits, -1).gather(-1, x[..., None])[..., 0]

    def sounding_log_prob(self, logits: Tensor, x: Tensor) -> None:
        """Symbols have no onsets to set apart."""
        return None

    def uniform(self, batch: int, num_steps: int, generator: torch.Generator) -> Tensor:
        """The randomness that `sample` needs: `[B, T, 1]`."""
        return torch.rand(batch, num_steps, 1, generator=generator)

    def sample(self, logits: Tensor, uniform: Tensor, temperature: float) -> Tensor:
        """Invert the cumulative distribution at `uniform` `[..., 1]`: logits `[..., V]` -> `[...]`."""
        cumulative = torch.softmax(logits / max(temperature, MIN_TEMPERATURE), -1).cumsum(-1)
        # A target above 0 and up to the end, which rounding may leave below 1: what is impossible is never drawn.
        return torch.searchsorted(cumulative, (1 - uniform) * cumulative[..., -1:])[..., 0]


@dataclass(frozen=True)
class Frames:
    """`num_pitches` keys a step. Each sounds or not: a Bernoulli; where the data has onsets, each key that sounds is
    struck or held: a second one, counted only there. Whether a logit is told of other keys is its maker's affair."""

    num_pitches: int
    has_onsets: bool

    @property
    def num_logits(self) -> int:
        return self.num_pitches * (2 if self.has_onsets else 1)

    def embedding(self, features: int) -> "FrameEmbedding":
        """x `[B, T, P]` -> `[B, T, features]`, of about unit scale."""
        return FrameEmbedding(self, features)

    def bits(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """x `[..., P]` -> 0 and 1: sounding, then (with onsets) onset, `[..., num_logits]`."""
        sounding = (x & SOUNDING).to(dtype)
        return torch.cat([sounding, (x >> ONSET_SHIFT).to(dtype)], -1) if self.has_onsets else sounding

    @property
    def bit_scale(self) -> float:
        """Initial scale of weights on `bits`, for features of about unit scale."""
        return FRAME_SCALE / math.sqrt(2 if self.has_onsets else 1)

    def log_prob(self, logits: Tensor, x: Tensor) -> Tensor:
        """log p(x | logits) of each step: logits `[..., T, num_logits]`, x `[B, T, P]` -> `[..., T]`."""
        sounding = self._sounding(logits, x)
        if not self.has_onsets:
            return sounding
        onset_logits = logits[..., self.num_pitches :]
        onset = _bernoulli(onset_logits, (x >> ONSET_SHIFT).to(logits.dtype))
        return sounding + torch.where((x & SOUNDING).bool(), onset, torch.zeros_like(onset)).sum(-1)

    def sounding_log_prob(self, logits: Tensor, x: Tensor) -> Tensor | None:
        """The part of `log_prob` that says which keys sound, comparable with sets without onsets; None for those."""
        return self._sounding(logits, x) if self.has_onsets else None

    def _sounding(self, logits: Tensor, x: Tensor) -> Tensor:
        return _bernoulli(logits[..., : self.num_pitches], (x & SOUNDING).to(logits.dtype)).sum(-1)

    def uniform(self, batch: int, num_steps: int, generator: torch.Generator) -> Tensor:
        """The randomness that `sample` needs: `[B, T, num_logits]`."""
        return torch.rand(batch, num_steps, self.num_logits, generator=generator)

    def sample(self, logits: Tensor, uniform: Tensor, temperature: float) -> Tensor:
        """Keys on where `uniform` is below their probability: logits, uniform `[..., num_logits]` -> `[..., P]`
        uint8."""
        drawn = uniform < torch.sigmoid(logits / max(temperature, MIN_TEMPERATURE))
        sounding = drawn[..., : self.num_pitches]
        if not self.has_onsets:
            return sounding.to(torch.uint8)
        onset = drawn[..., self.num_pitches :] & sounding
        return sounding.to(torch.uint8) + ONSET * onset.to(torch.uint8)


Observation = Symbols | Frames

MIN_TEMPERATURE = 1e-6
"""Temperature 0 means the likeliest value; this keeps it a division."""


class FrameEmbedding(nn.Module):
    """A linear map of a frame's bits: x `[..., P]` -> `[..., features]`."""

    def __init__(self, frames: Frames, features: int) -> None:
        super().__init__()
        self.frames = frames
        self.linear = nn.Linear(frames.num_logits, features)
        nn.init.normal_(self.linear.weight, std=frames.bit_scale)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.frames.bits(x, self.linear.weight.dtype))


def _bernoulli(logits: Tensor, bits: Tensor) -> Tensor:
    return bits * logits - softplus(logits)
