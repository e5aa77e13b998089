"""How voices move from one frame to the next, for a network that is told so of each key.

A piano-roll does not say which key belongs to which voice. Here voices are the sounding keys in order from the highest
one down, so that the voice of a key has as many voices above it now as in the frame before.
"""

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, gelu

NUM_VOICES = 6
"""So many voices are told apart, counted from the highest one."""

NO_KEY = -1
"""The key of a voice that is silent."""

FARTHEST = 12
"""A voice moves by so many semitones at most; further is one case up and one case down."""

NO_MOVE = FARTHEST + 1
"""The number of the case that a voice does not move; those of moves down are before it, those of moves up after it."""

NUM_MOVES = NO_MOVE + FARTHEST + 3
"""The cases of a move; the last one is that of a voice that was silent."""

WIDEST = 48
"""Two voices are told apart by intervals of up to four octaves."""

NUM_INTERVALS = 2 * WIDEST + 1

PARALLEL_SIZES = (2, 5, FARTHEST)
"""Parallel motion is told apart by size: steps, up to a fourth, and further."""

NUM_MOTIONS = 3 + len(PARALLEL_SIZES)
"""Two voices move in oblique motion (one of them stays, or both), contrary, similar, or parallel of each size."""


OCTAVE = 12
"""Semitones."""

RULES_RATE = 10.0
"""What the weights of rules are multiplied by; with Adam, these weights move as fast as all others."""

NUM_MIXES = 2
"""So many residual layers combine what a key is told, as that a move is in parallel and that one voice is to come."""


def highest_key(sounding: Tensor) -> Tensor:
    """The highest key that sounds, bool `[..., P]` -> `[...]`."""
    return torch.where(sounding, torch.arange(sounding.shape[-1], device=sounding.device), NO_KEY).amax(-1)


def lowest_key(sounding: Tensor) -> Tensor:
    """The lowest key that sounds, bool `[..., P]` -> `[...]`."""
    return torch.where(sounding.any(-1), sounding.to(torch.uint8).argmax(-1), NO_KEY)


def voice_keys(sounding: Tensor) -> Tensor:
    """The keys that sound, from the highest one down: bool `[..., P]` -> `[..., NUM_VOICES]`."""
    rank = sounding.flip(-1).cumsum(-1).flip(-1)
    return torch.stack([lowest_key(sounding & (rank == number)) for number in range(1, NUM_VOICES + 1)], -1)


def move_case(key: Tensor, before: Tensor) -> Tensor:
    """The number of the case of a voice's move to a key from where it was: `NO_MOVE` plus the semitones up."""
    return torch.where(before == NO_KEY, NUM_MOVES - 1, (key - before).clamp(-NO_MOVE, NO_MOVE) + NO_MOVE)


def motion(move: Tensor, other: Tensor) -> Tensor:
    """How two voices move together, from the cases of their moves: the number of the motion, from 0 to NUM_MOTIONS - 1.

    Voices that were silent do not move.
    """
    one, two = _semitones(move), _semitones(other)
    size = sum((one.abs() > bound).long() for bound in PARALLEL_SIZES[:-1])
    parallel = (one == two) & (one.abs() <= FARTHEST)
    together = torch.where(one * two < 0, 1, torch.where(parallel, 3 + size, 2))
    return torch.where(one * two == 0, 0, together)


def _semitones(move: Tensor) -> Tensor:
    return torch.where(move == NUM_MOVES - 1, 0, move - NO_MOVE)


class Voice(NamedTuple):
    """A voice of a frame: its key, and where it was in the frame before, `[...]` each; `NO_KEY` where it is silent."""

    key: Tensor
    before: Tensor


class VoiceChoice(nn.Module):
    """The choice of a key for a voice."""

    def __init__(self, num_keys: int, hidden: int, bits: int) -> None:
        super().__init__()
        self.from_move = nn.Embedding(NUM_MOVES, hidden)
        self.mix = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(NUM_MIXES))
        self.out = nn.Linear(hidden, bits, bias=False)
        self.key_bias = nn.Parameter(torch.zeros(num_keys, bits))

    def forward(self, units: Tensor, before: Tensor, dropout: nn.Module) -> Tensor:
        """The hidden units of each key `[..., P, hidden]`, for a voice that was at the key `before` `[...]`."""
        here = torch.arange(len(self.key_bias), device=before.device)
        h = gelu(units + self.from_move(move_case(here, before[..., None])))
        for mix in self.mix:
            h = h + gelu(mix(dropout(h)))
        return dropout(h)

    def scores(self, h: Tensor, direct: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
        """The scores of the keys, and the logits of their onsets if there are any, `[..., P]` each."""
        found = self.out(h) + self.key_bias + direct
        return found[..., 0], found[..., -1]


class VoicePairs(nn.Module):
    """What each key is told of the voices drawn so far: the interval to each of them, and how it would move with it.

    For motion, intervals count by their size within an octave, because a fifth and a twelfth have the same rules.
    Motion also adds to the logits, because some motions hardly ever occur, whatever else speaks for a key: a rule for
    each voice, and each number of keys in the frame before, because voices are found by that. Such motions are rare to
    learn from, so rules change `RULES_RATE` times as fast as other weights.
    """

    def __init__(self, num_keys: int, num_voices: int, hidden: int, bits: int) -> None:
        super().__init__()
        self.num_keys, self.sizes = num_keys, [hidden, bits]
        self.interval = nn.Parameter(0.5 * torch.randn(NUM_INTERVALS, hidden))
        self.motion = nn.Parameter(torch.zeros(2 * OCTAVE, NUM_MOTIONS, hidden))
        self.rules = nn.Parameter(torch.zeros(num_voices, NUM_VOICES + 1, 2 * OCTAVE, NUM_MOTIONS, bits))

    def forward(
        self, number: int, before: Tensor, num_before: Tensor, voices: Sequence[Voice]
    ) -> tuple[Tensor, Tensor]:
        """For the voice of a number, which was at the key `before` `[...]`: units `[..., P, hidden]`, and logits."""
        here = torch.arange(self.num_keys, device=before.device)
        moves = move_case(here, before[..., None])
        intervals = torch.arange(-WIDEST, WIDEST + 1, device=before.device)
        classes = intervals.abs() % OCTAVE + OCTAVE * (intervals < 0)
        units = self.interval[:, None] + self.motion[classes]
        rules = RULES_RATE * self.rules[number][:, classes]
        table = torch.cat([units.expand(len(rules), -1, -1, -1), rules], -1).flatten(0, 2)
        first = num_before[..., None] * NUM_INTERVALS

        def told(voice: Voice) -> Tensor:
            interval = (voice.key[..., None] - here).clamp(-WIDEST, WIDEST) + WIDEST
            together = motion(moves, move_case(voice.key, voice.before)[..., None])
            return embedding((first + interval) * NUM_MOTIONS + together, table)

        units, logits = reduce(torch.add, map(told, voices)).split(self.sizes, -1)
        return units, logits
