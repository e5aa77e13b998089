"""Music that a training sees in other keys."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from lnfgen.music.parts import are_pitched


class Register(NamedTuple):
    """Where the pieces of a split lie among the keys.

    It has the mean of their middles (`middle_key`), and their standard deviation.
    """

    mean: float
    deviation: float

    @classmethod
    def of(cls, sequences: Iterable[np.ndarray], roles: Sequence[str] = ()) -> "Register":
        """The register of sequences `[T, R, P]` without the drums among these roles.

        The deviation is at least a semitone, also of one piece.
        """
        moves = are_pitched(roles)
        middles: list[float] = []
        for sequence in sequences:
            pitched = sequence[:, moves]
            if pitched.any():
                middles.append(middle_key(pitched))
        if not middles:
            return cls(0.0, 1.0)
        return cls(float(np.mean(middles)), max(1.0, float(np.std(middles))))


def middle_key(sequence: np.ndarray) -> float:
    """The mean column of the keys of a sequence `[T, R, P]`.

    Each is weighted by the steps that it sounds.
    """
    steps_of_key = (sequence > 0).sum((0, 1))
    return float(steps_of_key @ np.arange(len(steps_of_key)) / steps_of_key.sum())


def transposed_at_random(
    sequences: Sequence[np.ndarray],
    semitones: int,
    register: Register,
    seed: int,
    roles: Sequence[str] = (),
) -> list[np.ndarray]:
    """Each sequence `[T, R, P]` moved by a random number of semitones, or left where it is.

    All parts move together, but drums among these roles stay. A move is drawn from `-semitones` to
    `semitones`. It is made if all keys stay inside, with the probability of Metropolis et al.
    (1953), `min(1, p(register after) / p(register before))`, where p is normal. So moved pieces lie
    where the pieces of the data lie, and samples of a model that was trained on them do too.
    """
    rng = np.random.default_rng(seed)
    moves = are_pitched(roles)
    moved: list[np.ndarray] = []
    for sequence in sequences:
        move = int(rng.integers(-semitones, semitones + 1))
        chance = rng.random()
        pitched = sequence[:, moves]
        used = np.flatnonzero(pitched.any((0, 1)))
        if len(used) and used[0] + move >= 0 and used[-1] + move < sequence.shape[2]:
            before = (middle_key(pitched) - register.mean) / register.deviation
            after = before + move / register.deviation
            if chance < math.exp(min(0.0, (before**2 - after**2) / 2)):
                sequence = np.where(moves[:, None], np.roll(sequence, move, 2), sequence)
        moved.append(sequence)
    return moved
