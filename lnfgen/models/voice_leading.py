"""How voices move from one frame to the next, for a network that is told so of each key.

A piano-roll does not say which key belongs to which voice. Here voices are the sounding keys in order, so that the
voice of a key has as many voices above it now as in the frame before.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

FARTHEST = 12
"""A voice moves by so many semitones at most; further is one case up and one case down."""

NO_MOVE = FARTHEST + 1
"""The number of the case that a voice does not move; those of moves down are before it, those of moves up after it."""

NO_KEY = -1
"""The key of a voice that is silent."""

MOST = 6
"""So many keys that sound below or above a key, or more, are one case."""

NUM_MOVES = NO_MOVE + FARTHEST + 3
"""The cases of a move; the last one is that of a voice that was silent."""

SIZES = (2, 5, FARTHEST)
"""Parallel moves are told apart by size: steps, up to a fourth, and further."""


def lowest_key(sounding: Tensor) -> Tensor:
    """The lowest key that sounds, bool `[..., P]` -> `[...]`."""
    return torch.where(sounding.any(-1), sounding.to(torch.uint8).argmax(-1), NO_KEY)


def count_from_the_top(sounding: Tensor) -> Tensor:
    """How many keys at or above each key sound: `[..., P]` -> `[..., P]`."""
    return sounding.flip(-1).cumsum(-1).flip(-1)


def voice_moves(own: Tensor, num_keys: int) -> Tensor:
    """How far each key is from where its voice was, `[..., P]` or for all keys `[..., 1]` -> `[..., P]`.

    The result is the number of a case: `NO_MOVE` plus the semitones up, and the last one for a voice that was silent.
    """
    moves = (torch.arange(num_keys, device=own.device) - own).clamp(-FARTHEST - 1, FARTHEST + 1) + NO_MOVE
    return torch.where(own == NO_KEY, NUM_MOVES - 1, moves)


def move_to(key: Tensor, own: Tensor) -> Tensor:
    """The move of one voice to a key, as such a number. A voice that was silent does not move."""
    return torch.where(own == NO_KEY, NO_MOVE, key - own + NO_MOVE)


def parallel_case(moves: Tensor, others: Tensor) -> Tensor:
    """0 where two moves are not parallel, and otherwise the number of their size, from 1 to `len(SIZES)`."""
    size = (moves - NO_MOVE).abs()
    number = (size > 0).to(torch.int8) + sum((size > bound).to(torch.int8) for bound in SIZES[:-1])
    return torch.where((moves == others) & (size <= SIZES[-1]), number, 0)


def parallels_above(moves: Tensor, sounding: Tensor, reach: int) -> Tensor:
    """Whether a key would move in parallel with one above it: `[..., P]` -> bool `[..., P, len(SIZES) * reach]`.

    For each size of the move, it is true at k - 1 if the key k above sounds and its voice has moved as far as this
    key's voice would. In one style thirds do so often, and fifths never.
    """
    moves = moves.to(torch.int8)  # bytes, because there are many pairs
    voiced = torch.where(sounding, moves, NO_MOVE)
    above = pad(voiced, (0, reach), value=NO_MOVE)[..., 1:].unfold(-1, reach, 1)
    return _by_size(parallel_case(moves[..., None], above))


def parallels_with(other: Tensor, moves: Tensor, interval: Tensor, reach: int) -> Tensor:
    """The same with one voice alone, whose move is `other` `[..., 1]` and whose key is `interval` `[..., P]` away."""
    at = interval[..., None] == torch.arange(1, reach + 1, device=interval.device)
    return _by_size(torch.where(at, parallel_case(moves, other)[..., None], 0))


def _by_size(case: Tensor) -> Tensor:
    return torch.cat([case == number for number in range(1, len(SIZES) + 1)], -1)
