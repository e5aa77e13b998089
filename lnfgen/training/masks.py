"""Which part of a sequence is known: random masks that are like what people ask `fill` for."""

import numpy as np
import torch
from torch import Tensor

from lnfgen.conventions import SOUNDING
from lnfgen.models.observation import Known, Observation, Symbols

SHORTEST, LONGEST = 0.02, 0.6
"""A gap hides at least and at most this share of the steps."""


def drawn_known(observation: Observation, x: Tensor, lengths: list[int], rng: np.random.Generator) -> Known:
    """A part of each sequence x `[B, T]` or `[B, T, P]`, on the CPU, as known; the steps after its length are not.

    Hidden are some of the steps, a gap, the end, any, or all; and of them, in music, some of the keys: those below the
    highest that sounds or above the lowest, those on one side of a key, any, or all.
    """
    hidden = np.zeros(x.shape, dtype=np.bool_)
    for values, where, length in zip(x.numpy(), hidden, lengths, strict=True):
        steps = _hidden_steps(length, rng)
        where[:length] = steps if x.dim() == 2 else steps[:, None] & _hidden_keys(values[:length] & SOUNDING, rng)
        where[length:] = True
    mask = torch.from_numpy(~hidden)
    if isinstance(observation, Symbols):
        return observation.known(x, mask)
    return observation.known(x, mask.repeat(1, 1, observation.bits_per_key))


def _hidden_steps(length: int, rng: np.random.Generator) -> np.ndarray:
    """The hidden ones of so many steps, `[T]`."""
    hidden = np.zeros(length, dtype=np.bool_)
    match rng.integers(4):
        case 0:
            size = max(1, round(length * rng.uniform(SHORTEST, LONGEST)))
            first = rng.integers(length - size + 1)
            hidden[first : first + size] = True
        case 1:
            hidden[rng.integers(length) :] = True
        case 2:
            hidden |= rng.random(length) < rng.random()
        case _:
            hidden[:] = True
    return hidden


def _hidden_keys(sounding: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The hidden keys of each step of sounding keys `[T, P]`."""
    num_keys = sounding.shape[1]
    match rng.integers(5):
        case 0:  # below the highest key
            return np.flip(np.flip(sounding, 1).cumsum(1) - np.flip(sounding, 1), 1) > 0
        case 1:
            return sounding.cumsum(1) - sounding > 0
        case 2:
            below = np.arange(num_keys) < rng.integers(1, num_keys) if num_keys > 1 else np.ones(1, np.bool_)
            return np.broadcast_to(below if rng.random() < 0.5 else ~below, sounding.shape)
        case 3:
            return rng.random(sounding.shape) < rng.random()
        case _:
            return np.ones(sounding.shape, dtype=np.bool_)
