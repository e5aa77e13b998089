"""The two kinds of step of a sequence: how a network reads one, and the distribution of one.

With `Symbols` (text), x is `[B, T]` of integers. With `Frames` (music), x is `[B, T, R, P]`: each
of the P keys of each of R parts is an integer of two bits, sounding and onset (see
`lnfgen.conventions`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from lnfgen.conventions import ONSET, ONSET_SHIFT, SOUNDING

FRAME_SCALE = 0.5
"""Initial scale of the embedding of a key. About four keys of a frame sound, so their sum has unit
scale. With torch's default scale and inputs this sparse, an LSTM learns nothing beyond the marginal
for a thousand steps."""


@dataclass(frozen=True)
class Symbols:
    """Each step is one of `num_symbols` symbols, with a categorical distribution.

    A word begins after a separator.
    """

    num_symbols: int
    separators: tuple[int, ...] = ()

    @property
    def num_logits(self) -> int:
        return self.num_symbols

    def embedding(self, features: int) -> nn.Embedding:
        """A map from x `[B, T]` to features `[B, T, features]` of unit scale."""
        return nn.Embedding(self.num_symbols, features)

    def log_prob(self, logits: Tensor, x: Tensor, counted: Tensor | None = None) -> Tensor:
        """log p(x | logits) of each step: logits `[..., T, V]`, x `[B, T]` -> `[..., T]`.

        Where the mask `counted` `[..., T]` is False, it is 0.
        """
        x = x.long().expand(logits.shape[:-1])
        return _where(counted, torch.log_softmax(logits, -1).gather(-1, x[..., None])[..., 0])

    def sounding_log_prob(self, logits: Tensor, x: Tensor) -> None:
        """None, because symbols have no onsets."""
        return None

    def uniform(self, batch: int, num_steps: int, generator: torch.Generator) -> Tensor:
        """The random numbers that `sample` needs, `[B, T, 1]`."""
        return torch.rand(batch, num_steps, 1, generator=generator)

    def known(self, x: Tensor, mask: Tensor) -> "Known":
        """The values of x `[T]` as known where the mask `[T]` is True."""
        return Known(x, mask)

    def sample(self, logits: Tensor, uniform: Tensor, known: "Known | None" = None) -> Tensor:
        """x `[...]` from logits `[..., V]`, by the inverse of the cumulative distribution function.

        It is taken at 1 - uniform `[..., 1]`.

        Known symbols stay as they are.
        """
        cumulative = torch.softmax(logits, -1).cumsum(-1)
        # The target is above 0 and at most the total, which may round to less than 1, so no symbol
        # of probability 0 is drawn.
        drawn = torch.searchsorted(cumulative, (1 - uniform) * cumulative[..., -1:])[..., 0]
        return (
            drawn if known is None else torch.where(known.mask, known.values.to(drawn.dtype), drawn)
        )


@dataclass(frozen=True)
class Frames:
    """Each step is a frame of keys for each of R `parts`, `[R, P]`, and each key sounds or not.

    Whether a key sounds is a Bernoulli variable. If the data has onsets, a second one is whether a
    sounding key is struck or held. Its probability counts only where the key sounds. The output
    head decides whether the logits of a key depend on other keys.

    The bits of a step, and its logits, are those of the first part, then of the second one, and so
    on: of each part the P sounding bits, then the P onset bits if there are any.
    """

    num_pitches: int
    has_onsets: bool
    parts: int = 1

    @property
    def bits_per_key(self) -> int:
        """A bit for whether the key sounds and, with onsets, one for whether it is struck."""
        return 2 if self.has_onsets else 1

    @property
    def bits_per_part(self) -> int:
        """The bits of the keys of one part."""
        return self.num_pitches * self.bits_per_key

    @property
    def num_logits(self) -> int:
        return self.parts * self.bits_per_part

    def embedding(self, features: int) -> "FrameEmbedding":
        """A map from x `[B, T, R, P]` to features `[B, T, features]` of about unit scale."""
        return FrameEmbedding(self, features)

    def part_bits(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """x `[..., P]` of one part as zeros and ones `[..., bits_per_part]`."""
        sounding = (x & SOUNDING).to(dtype)
        if not self.has_onsets:
            return sounding
        struck = (x >> ONSET_SHIFT).to(dtype)
        return torch.cat([sounding, struck], -1)

    def bits(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """x `[..., R, P]` as zeros and ones `[..., num_logits]`."""
        return self.part_bits(x, dtype).flatten(-2)

    def by_part(self, bits: Tensor) -> Tensor:
        """`[..., num_logits]` -> `[..., R, bits_per_part]`."""
        return bits.unflatten(-1, (self.parts, self.bits_per_part))

    @property
    def bit_scale(self) -> float:
        """The initial scale of weights on `bits` that gives features of about unit scale."""
        return FRAME_SCALE / math.sqrt(self.bits_per_key)

    def log_prob(self, logits: Tensor, x: Tensor, counted: Tensor | None = None) -> Tensor:
        """log p(x | logits) of each step: logits `[..., T, num_logits]`, x `[B, T, R, P]`.

        The result is `[..., T]`. Only the bits where the mask `counted` `[..., T, num_logits]` is
        True count, by default all.
        """
        return self.part_log_probs(logits, x, counted).sum(-1)

    def part_log_probs(self, logits: Tensor, x: Tensor, counted: Tensor | None = None) -> Tensor:
        """`log_prob` of the frame of each part, `[..., T, R]`."""
        logits = self.by_part(logits)
        on_sounding = None
        on_onset = None
        if counted is not None:
            on_sounding, on_onset = self.by_part(counted).tensor_split([self.num_pitches], -1)
        sounding = self._sounding(logits, x, on_sounding)
        if not self.has_onsets:
            return sounding
        struck = (x >> ONSET_SHIFT).to(logits.dtype)
        onset = _where(on_onset, _bernoulli(logits[..., self.num_pitches :], struck))
        return sounding + _where((x & SOUNDING).bool(), onset).sum(-1)

    def sounding_log_prob(self, logits: Tensor, x: Tensor) -> Tensor | None:
        """The share of `log_prob` for which keys sound, `[..., T]`; None if that is all of it.

        It is comparable with data without onsets.
        """
        if not self.has_onsets:
            return None
        return self._sounding(self.by_part(logits), x).sum(-1)

    def _sounding(self, logits: Tensor, x: Tensor, counted: Tensor | None = None) -> Tensor:
        """Of the logits of each part `[..., R, bits_per_part]`, `[..., R]`."""
        sounding = (x & SOUNDING).to(logits.dtype)
        log_probs = _bernoulli(logits[..., : self.num_pitches], sounding)
        return _where(counted, log_probs).sum(-1)

    def known(self, x: Tensor, mask: Tensor) -> "Known":
        """The bits of x `[T, R, P]` as known where the mask of bits `[T, num_logits]` is True.

        If an onset is known and its key may be silent, the key is struck, or held, in case it
        sounds.
        """
        return Known(self.bits(x, torch.bool), mask)

    def known_of_part(self, known: "Known", part: int) -> "Known":
        """What is known of one part, `[..., bits_per_part]`."""
        return self._known_by_part(known).each(lambda bits: bits[..., part, :])

    def _known_by_part(self, known: "Known") -> "Known":
        """What is known of each part, `[..., R, bits_per_part]`."""
        return Known(self.by_part(known.values), self.by_part(known.mask), known.allowed)

    def uniform(self, batch: int, num_steps: int, generator: torch.Generator) -> Tensor:
        """The random numbers that `sample` needs, `[B, T, num_logits]`."""
        return torch.rand(batch, num_steps, self.num_logits, generator=generator)

    def silence(self, *shape: int, device: torch.device) -> Tensor:
        """Silent frames of all parts: uint8 `[*shape, R, P]`."""
        size = (*shape, self.parts, self.num_pitches)
        return torch.zeros(size, dtype=torch.uint8, device=device)

    def sample(self, logits: Tensor, uniform: Tensor, known: "Known | None" = None) -> Tensor:
        """Set each bit where `uniform` is below its probability.

        Both are `[..., num_logits]`, and x is uint8 `[..., R, P]`. Known bits stay as they are, and
        a hidden key that is not allowed does not sound.
        """
        of_parts = None
        if known is not None:
            of_parts = self._known_by_part(known)
        return self.sample_part(self.by_part(logits), self.by_part(uniform), of_parts)

    def sample_part(self, logits: Tensor, uniform: Tensor, known: "Known | None" = None) -> Tensor:
        """`sample` for one part: `[..., bits_per_part]` -> uint8 `[..., P]`."""
        precise = logits.to(torch.promote_types(logits.dtype, uniform.dtype))
        drawn = uniform < torch.sigmoid(precise)
        if known is not None:
            if known.allowed is not None:
                drawn[..., : self.num_pitches] &= known.allowed.keys
            drawn = torch.where(known.mask, known.values, drawn)
        return self._from_part_bits(drawn)

    def from_bits(self, bits: Tensor) -> Tensor:
        """x uint8 `[..., R, P]` with these bits, bool `[..., num_logits]`.

        It is the inverse of `bits`; an onset counts where its key sounds.
        """
        return self._from_part_bits(self.by_part(bits))

    def _from_part_bits(self, bits: Tensor) -> Tensor:
        """`from_bits` for one part: bool `[..., bits_per_part]` -> uint8 `[..., P]`."""
        sounding = bits[..., : self.num_pitches]
        if not self.has_onsets:
            return sounding.to(torch.uint8)
        onset = bits[..., self.num_pitches :] & sounding
        return sounding.to(torch.uint8) + ONSET * onset.to(torch.uint8)


Observation = Symbols | Frames


class AllowedKeys(NamedTuple):
    """What frames may be drawn, bool `[..., R, P]`."""

    keys: Tensor  # those that may sound
    lowest: Tensor  # which of them may be the lowest key of their part
    silence: Tensor  # if the part may be silent, [..., R, 1]

    def each(self, change: Callable[[Tensor], Tensor]) -> "AllowedKeys":
        """The same with changed tensors."""
        return AllowedKeys(*map(change, self))


class Known(NamedTuple):
    """The known part of a sequence whose other part is hidden and to be drawn.

    `known` of an observation makes it.

    The first two tensors have the shape of the choices that are drawn: for symbols `[..., T]`, and
    for frames, whose bits are drawn one by one, `[..., T, num_logits]`.
    """

    values: Tensor
    mask: Tensor  # bool, True where the value is known
    allowed: AllowedKeys | None = None  # among which the hidden keys of frames are drawn

    def each(self, change: Callable[[Tensor], Tensor]) -> "Known":
        """The same with changed tensors."""
        allowed = None
        if self.allowed is not None:
            allowed = self.allowed.each(change)
        return Known(change(self.values), change(self.mask), allowed)


class FrameEmbedding(nn.Module):
    """A linear map of the bits of a step: x `[..., R, P]` -> `[..., features]`."""

    def __init__(self, frames: Frames, features: int) -> None:
        super().__init__()
        self.frames = frames
        self.linear = nn.Linear(frames.num_logits, features)
        nn.init.normal_(self.linear.weight, std=frames.bit_scale)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.frames.bits(x, self.linear.weight.dtype))


class NoteNoise(nn.Module):
    """In training, hide or move sounding keys of frames `[B, T, R, P]`. Text stays as it is.

    The output that predicts a frame reads the frames before with this noise; the frame to predict
    has none. A model that is trained on correct music alone never sees its own mistakes: in
    samples, after it has dropped a voice, it goes on without that voice for long. With this noise
    it learns to begin the voice again, and to correct a wrong key.
    """

    # The share of the keys with noise that are hidden. The others move by one or two semitones.
    HIDDEN = 0.75

    def __init__(self, p: float) -> None:
        """`p` is the probability that a sounding key of a frame has noise."""
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0 or x.dim() < 3:
            return x
        chance = torch.rand(x.shape, device=x.device) / self.p  # below 1 where there is noise
        noisy = torch.where(chance >= 1, x, 0)
        each = (1 - self.HIDDEN) / 4
        for index, semitones in enumerate((-2, -1, 1, 2)):
            start = self.HIDDEN + index * each
            moved = torch.where((chance >= start) & (chance < start + each), x, 0)
            up = max(semitones, 0)
            down = max(-semitones, 0)
            # Those out of range go.
            moved = torch.nn.functional.pad(moved, (up, down)).narrow(-1, down, x.shape[-1])
            noisy = torch.maximum(noisy, moved)
        return noisy


def _where(mask: Tensor | None, values: Tensor) -> Tensor:
    """The values where the mask is True, and 0 elsewhere; without a mask, all values."""
    return values if mask is None else torch.where(mask, values, torch.zeros_like(values))


def _bernoulli(logits: Tensor, bits: Tensor) -> Tensor:
    """The log-probabilities of bits with these logits."""
    return bits * logits - softplus(logits)
