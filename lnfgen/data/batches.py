"""Sequences padded into batches of tensors. No other module of `lnfgen.data` imports torch."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lnfgen.conventions import ONSET, SOUNDING
from lnfgen.music.figures import chords
from lnfgen.music.parts import pitched_rows

# so many batches are sorted by length together: little is padding, and epochs still differ
BUCKET_BATCHES = 32


class Batch(NamedTuple):
    """Some sequences of a split."""

    x: Tensor  # [B, T] of text or [B, T, P] of music, padded with 0 at the end
    lengths: Tensor  # [B], the steps of each sequence
    indices: list[int]  # the place of each sequence in the split
    # [B, 3], the metre of each where it is known, as `Encoding.metres` gives it
    metres: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        metres = None if self.metres is None else self.metres.to(device)
        return Batch(self.x.to(device), self.lengths.to(device), self.indices, metres)


def collate(
    sequences: Sequence[np.ndarray], indices: list[int], metres: np.ndarray | None = None
) -> Batch:
    """The batch of these sequences, `[T_i]` or `[T_i, P]`, all padded to the length of the longest.

    `indices` are their places in a split, and `metres` `[N, 3]` are those of all sequences of the
    split.
    """
    x = pad_sequence([torch.tensor(sequence) for sequence in sequences], batch_first=True)
    own_metres = None if metres is None else torch.from_numpy(metres[indices])
    return Batch(x, torch.from_numpy(lengths_of(sequences)), indices, own_metres)


class Register(NamedTuple):
    """Where the pieces of a split lie among the keys: the mean of their middles (`middle_key`), and
    the deviation."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, sequences: Iterable[np.ndarray], roles: Sequence[str] = ()) -> "Register":
        """The register of sequences `[T, P]` without drums. The deviation is at least a semitone,
        also of one piece."""
        pitched = (sequence[pitched_rows(roles, len(sequence))] for sequence in sequences)
        middles = [middle_key(sequence) for sequence in pitched if sequence.any()]
        return (
            cls(float(np.mean(middles)), max(1.0, float(np.std(middles))))
            if middles
            else cls(0.0, 1.0)
        )


def middle_key(sequence: np.ndarray) -> float:
    """The mean column of the keys of a sequence `[T, P]`, each weighted by the steps that it
    sounds."""
    steps_of_key = (sequence > 0).sum(0)
    return float(steps_of_key @ np.arange(len(steps_of_key)) / steps_of_key.sum())


def transposed(
    sequences: Sequence[np.ndarray],
    semitones: int,
    register: Register,
    seed: int,
    roles: Sequence[str] = (),
) -> list[np.ndarray]:
    """Each sequence `[T, P]` moved by a random number of semitones, or left where it is. Drums of a
    band stay.

    A move is drawn from `-semitones` to `semitones`. It is made if all keys stay inside, with the
    probability of Metropolis et al. (1953), `min(1, p(register after) / p(register before))`, where
    p is normal. So moved pieces lie where the pieces of the data lie, and samples of a model that
    was trained on them do too.
    """
    rng = np.random.default_rng(seed)
    moved: list[np.ndarray] = []
    for sequence in sequences:
        move, chance = int(rng.integers(-semitones, semitones + 1)), rng.random()
        moves = pitched_rows(roles, len(sequence))
        pitched = sequence[moves]
        used = np.flatnonzero(pitched.any(0))
        if len(used) and used[0] + move >= 0 and used[-1] + move < sequence.shape[1]:
            before = (middle_key(pitched) - register.mean) / register.deviation
            after = before + move / register.deviation
            if chance < math.exp(min(0.0, (before**2 - after**2) / 2)):
                sequence = np.where(moves[:, None], np.roll(sequence, move, 1), sequence)
        moved.append(sequence)
    return moved


# a chord that lasts at least so many times as long as the median chord is a close as at an end
LIKE_AN_END = 3
EARLY_ENDS = 0.5  # the share of the pieces that end at one of their closes in training


def ended_early(sequences: Sequence[np.ndarray], seed: int) -> list[np.ndarray]:
    """Some sequences `[T, P]` with onsets cut after one of their closes, at random; the others as
    they are.

    From the one end of each piece a model learns little of how music leads up to an end, and
    nothing of shorter pieces.
    """
    rng = np.random.default_rng(seed)
    ended: list[np.ndarray] = []
    for sequence in sequences:
        ends = closes(sequence)[:-1] if rng.random() < EARLY_ENDS else np.empty(0, int)
        ended.append(sequence[: rng.choice(ends)] if len(ends) else sequence)
    return ended


def closes(sequence: np.ndarray) -> np.ndarray:
    """The steps at which closes of a sequence `[T, P]` with onsets are over."""
    starts, lengths = chords((sequence & SOUNDING) > 0, (sequence & ONSET) > 0)
    return (
        (starts + lengths)[lengths >= LIKE_AN_END * np.median(lengths)] if len(lengths) else lengths
    )


def shuffled_batches(
    lengths: np.ndarray, batch_size: int, seed: int, start: int = 0
) -> Iterator[list[int]]:
    """The batches of an epoch from number `start` on, as indices: similar lengths together, the
    rest at random."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(lengths))
    bucket = batch_size * BUCKET_BATCHES
    for first in range(0, len(order), bucket):
        inside = order[first : first + bucket]
        order[first : first + bucket] = inside[np.argsort(lengths[inside], kind="stable")]
    for first in batch_size * rng.permutation(-(-len(order) // batch_size))[start:]:
        # one by one: all lists of a large corpus fill the memory
        yield order[first : first + batch_size].tolist()


def shuffled_epochs(
    lengths: np.ndarray, batch_size: int, seed_of: Callable[[int], int], start: int = 0
) -> Iterator[list[int]]:
    """The batches of `shuffled_batches`, epoch after epoch, from number `start` on. `seed_of` seeds
    each epoch."""
    epoch, position = divmod(start, -(-len(lengths) // batch_size))
    for number in itertools.count(epoch):
        yield from shuffled_batches(lengths, batch_size, seed_of(number), position)
        position = 0


def lengths_of(sequences: Sequence[np.ndarray]) -> np.ndarray:
    """The steps of each sequence, int64 `[N]`. A split knows them without reading its sequences."""
    lengths = getattr(sequences, "lengths", None)
    return np.array([len(sequence) for sequence in sequences]) if lengths is None else lengths


def batches_by_length(sequences: Sequence[np.ndarray], max_steps: int) -> Iterator[Batch]:
    """All sequences in batches of up to `max_steps` padded steps, the shortest first. A longer one
    is by itself."""
    lengths, metres = lengths_of(sequences), getattr(sequences, "metres", None)
    groups: list[list[int]] = []
    for index in np.argsort(lengths, kind="stable").tolist():
        if not groups or (len(groups[-1]) + 1) * int(lengths[index]) > max_steps:
            groups.append([])
        groups[-1].append(index)
    for group in groups:
        yield collate([sequences[i] for i in group], group, metres)
