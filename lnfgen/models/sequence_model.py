"""What training, scoring and sampling ask of every model."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lnfgen.flows.causal import Solver
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Observation


class Terms(NamedTuple):
    """The parts of log p(x) for K samples of B sequences, in nats, summed over the real steps; each `[K, B]`.

    `reconstruction - kl` is one sample's estimate of the ELBO, and the log of one importance weight; log p(T) is not in
    it.
    """

    reconstruction: Tensor  # log p(x | z)
    kl: Tensor  # log q(z | x) - log p(z)
    sounding: Tensor | None  # the part of `reconstruction` that says which keys sound, where there are onsets too


class SequenceModel(nn.Module, ABC):
    """p(x) = p(T) p(x | T), over sequences of a kind of observation."""

    exact: bool  # log p(x) is computed, not bounded: one sample tells all

    @property
    def solver(self) -> Solver | None:
        """How a flow's sequential direction is computed, and what that took; None where there is none."""
        return None

    def __init__(self, observation: Observation, length: LengthModel) -> None:
        super().__init__()
        self.observation = observation
        self.length = length

    @abstractmethod
    def forward(self, x: Tensor, lengths: Tensor, noise: Tensor | None) -> Terms:
        """Score x `[B, T]` or `[B, T, P]`, lengths `[B]`, with noise `[K, B, T, D]` from N(0, 1), as `noise` draws
        it."""

    @abstractmethod
    def noise(self, num_samples: int, batch: int, num_steps: int, generator: torch.Generator) -> Tensor | None:
        """What `forward` needs beside the data: `[K, B, T, D]`, on the generator's device; None for an exact model."""

    @abstractmethod
    def sample(self, num_steps: int, generator: torch.Generator, temperature: float) -> Tensor:
        """One sequence of `num_steps`: `[T]` or `[T, P]`, on the CPU. All randomness is the (CPU) generator's.

        `temperature` scales eps and divides the emission's logits.
        """

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device
