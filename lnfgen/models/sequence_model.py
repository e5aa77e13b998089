"""What training, scoring and sampling ask of every model."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from lnfgen.flows.solver import Solver
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Observation


class Terms(NamedTuple):
    """The parts of log p(x) for K samples of B sequences, in nats, summed over the real steps; each `[K, B]`.

    `reconstruction - kl` is one sample's estimate of the ELBO, and the log of one importance weight; log p(T) is not in
    it.
    """

    reconstruction: Tensor  # log p(x | z)
    sounding: Tensor | None  # the part of `reconstruction` that says which keys sound, where there are onsets too
    kl: Tensor  # log q(z | x) - log p(z)


Encoded = tuple[Tensor, ...]
"""Tensors that a model computes of x once for all samples. The gradient of any sample reaches the weights behind them
through these alone, so it may be added up here, sample by sample, and sent on once."""


class SequenceModel(nn.Module, ABC):
    """p(x) = p(T) p(x | T), over sequences of a kind of observation."""

    exact: bool  # log p(x) is computed, not bounded: one sample tells all

    @property
    def solver(self) -> Solver | None:
        """How a flow's sequential direction is computed, and what that took; None where there is none."""
        return None

    @property
    def loops_to_score(self) -> bool:
        """Whether `kl` goes step by step over time, so that its time hardly grows with the sequences in it."""
        return False

    def __init__(self, observation: Observation, length: LengthModel) -> None:
        super().__init__()
        self.observation = observation
        self.length = length

    def forward(self, x: Tensor, lengths: Tensor, noise: Tensor | None) -> Terms:
        """Score x `[B, T]` or `[B, T, P]`, lengths `[B]`, with noise `[K, B, T, D]` from N(0, 1), as `noise` draws
        it."""
        return self.terms(x, lengths, self.encode(x, lengths), noise)

    def terms(self, x: Tensor, lengths: Tensor, encoded: Encoded, noise: Tensor | None) -> Terms:
        """The same, given what `encode` says of x: for any number of samples at a time."""
        kl = self.kl(lengths, encoded, noise)
        return Terms(*self.reconstruction(x, lengths, encoded, noise), kl=kl)

    @abstractmethod
    def encode(self, x: Tensor, lengths: Tensor) -> Encoded:
        """What all samples of z share; it costs the same whatever their number."""

    @abstractmethod
    def kl(self, lengths: Tensor, encoded: Encoded, noise: Tensor | None) -> Tensor:
        """log q(z | x) - log p(z), `[K, B]`."""

    @abstractmethod
    def reconstruction(
        self, x: Tensor, lengths: Tensor, encoded: Encoded, noise: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """log p(x | z), `[K, B]`, and the part of it that `Terms.sounding` is."""

    @abstractmethod
    def noise(self, num_samples: int, batch: int, num_steps: int, generator: torch.Generator) -> Tensor | None:
        """What `forward` needs beside the data: `[K, B, T, D]`, on the generator's device; None for an exact model."""

    @torch.no_grad()
    def sample(self, num_steps: int, generator: torch.Generator, temperature: float) -> Tensor:
        """One sequence of `num_steps`: `[T]` or `[T, P]`, on the CPU. All randomness is the (CPU) generator's.

        `temperature` scales eps and divides the emission's logits.
        """
        return self.sample_batch([num_steps], [generator], temperature)[0]

    @abstractmethod
    def sample_batch(
        self, lengths: Sequence[int], generators: Sequence[torch.Generator], temperature: float
    ) -> list[Tensor]:
        """`sample` for several sequences together, each of its own length and generator.

        A product of many rows rounds otherwise than one of a row: a sequence is the one that `sample` gives but for the
        last bits of its probabilities, which can, rarely, decide a step and all after it.
        """

    def _drawn(
        self,
        draw: Callable[[int, int, torch.Generator], Tensor],
        lengths: Sequence[int],
        generators: Sequence[torch.Generator],
    ) -> Tensor:
        """What `draw(1, length, generator)` gives for each sequence, padded with 0: `[B, T, ...]`."""
        drawn = [draw(1, *each)[0] for each in zip(lengths, generators, strict=True)]
        return pad_sequence(drawn, batch_first=True).to(self.device)

    @staticmethod
    def _unpadded(x: Tensor, lengths: Sequence[int]) -> list[Tensor]:
        return [row[:length] for row, length in zip(x.cpu(), lengths, strict=True)]

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device
