"""How voices move from one frame to the next.

A piano-roll does not say which key belongs to which voice. Here voices are the sounding keys in order from the highest
one down, so that the voice of a key has as many voices above it now as in the frame before.
"""

from typing import NamedTuple

import torch
from torch import Tensor

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

PARALLEL_SIZES = (2, 5, FARTHEST)
"""Parallel motion is told apart by size: steps, up to a fourth, and further."""

PARALLEL = 3
"""The number of the first parallel motion, after oblique (one of two voices stays, or both), contrary and similar."""

NUM_MOTIONS = PARALLEL + len(PARALLEL_SIZES)
"""Two voices move in oblique, contrary or similar motion, or in parallel of each size."""


def highest_key(sounding: Tensor) -> Tensor:
    """The highest key that sounds, bool `[..., P]` -> `[...]`."""
    return torch.where(sounding, torch.arange(sounding.shape[-1], device=sounding.device), NO_KEY).amax(-1)


def lowest_key(sounding: Tensor) -> Tensor:
    """The lowest key that sounds, bool `[..., P]` -> `[...]`."""
    return torch.where(sounding.any(-1), sounding.to(torch.uint8).argmax(-1), NO_KEY)


def melody(x: Tensor) -> Tensor:
    """Frames with their highest key alone: `[..., P]` -> the same."""
    keys = torch.arange(x.shape[-1], device=x.device)
    return torch.where(keys == highest_key(x > 0)[..., None], x, 0)


def voice_keys(sounding: Tensor) -> Tensor:
    """The keys that sound, from the highest one down: bool `[..., P]` -> `[..., NUM_VOICES]`."""
    rank = sounding.flip(-1).cumsum(-1).flip(-1)
    return torch.stack([lowest_key(sounding & (rank == number)) for number in range(1, NUM_VOICES + 1)], -1)


def move_case(key: Tensor, before: Tensor) -> Tensor:
    """The number of the case of a voice's move to a key from where it was: `NO_MOVE` plus the semitones up.

    key and before `[...]` -> `[...]`. If the voice was silent, it is the last case, `NUM_MOVES - 1`.
    """
    return torch.where(before == NO_KEY, NUM_MOVES - 1, (key - before).clamp(-NO_MOVE, NO_MOVE) + NO_MOVE)


def motion(move: Tensor, other: Tensor) -> Tensor:
    """How two voices move together, from the cases of their moves: the number of the motion, from 0 to NUM_MOTIONS - 1.

    Both cases are those of `move_case`, `[...]` each. Voices that were silent do not move.
    """
    one, two = _semitones(move), _semitones(other)
    size = sum((one.abs() > bound).long() for bound in PARALLEL_SIZES[:-1])
    parallel = (one == two) & (one.abs() <= FARTHEST)
    together = torch.where(one * two < 0, 1, torch.where(parallel, PARALLEL + size, 2))
    return torch.where(one * two == 0, 0, together)


def _semitones(move: Tensor) -> Tensor:
    return torch.where(move == NUM_MOVES - 1, 0, move - NO_MOVE)


class Voice(NamedTuple):
    """A voice of a frame: its key, and where it was in the frame before, `[...]` each; `NO_KEY` where it is silent."""

    key: Tensor
    before: Tensor
