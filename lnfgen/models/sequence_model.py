"""The interface of every model, for training, scoring, sampling and filling."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from lnfgen.conventions import TimeSignature
from lnfgen.models.homes import Homes
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Known, Observation
from lnfgen.models.output import OutputHead
from lnfgen.models.time_signatures import TimeSignatures
from lnfgen.nn.masking import sum_real
from lnfgen.nn.positions import NO_OUTLINE, NUM_HOMES, Outline, Positions


class Terms(NamedTuple):
    """The terms of log p(x) for K samples of B sequences, `[K, B]` each, in nats.

    They are summed over the real steps.

    `reconstruction - kl` estimates the ELBO from one sample, and is the log of its importance
    weight, without log p(T).
    """

    reconstruction: Tensor  # log p(x | z)
    # The share of `reconstruction` for which keys sound; None without onsets.
    sounding: Tensor | None
    kl: Tensor  # log q(z | x) - log p(z)


SharedTensors = tuple[Tensor, ...]
"""Tensors that `encode` computes from x once for all samples. Gradients of the samples reach the
weights of `encode` only through them, so they can be summed here over the samples before one
backward pass through `encode`."""


class SequenceModel(nn.Module, ABC):
    """`p(x) = p(T) p(x | T)` of sequences of one kind of observation.

    A model reads the `outline` of each sequence, as `lnfgen.nn.positions` has it: the bars, if it
    has `time_signatures`, and the homes, if it has those. Without bars, all are in the most common
    time signature; without homes, none has one.
    """

    latent = 0  # D, the size of a step of the latent
    noise_size = 0  # how many numbers of N(0, 1) a step of the latent is drawn from

    def __init__(self, observation: Observation, length: LengthModel, positions: Positions) -> None:
        super().__init__()
        self.observation = observation
        self.length = length
        self.positions = positions
        self.time_signatures: TimeSignatures | None = None
        self.homes: Homes | None = None

    @property
    @abstractmethod
    def output_head(self) -> OutputHead:
        """The head that gives the distribution of a step."""

    @property
    def exact(self) -> bool:
        """True without a latent: log p(x) is then computed exactly, and one sample is enough."""
        return self.latent == 0

    def lengths_in(self, time_signature: TimeSignature) -> LengthModel:
        """p(T) of sequences in a time signature: of those alone, if the model knows it."""
        signatures = self.time_signatures
        if signatures is None or time_signature not in signatures.known:
            return self.length
        return signatures.lengths_in(time_signature)

    def outline_log_prob(self, lengths: Tensor, homes: Tensor | None) -> Tensor:
        """log p(T), and log p(home) of a model that reads homes, float64 `[B]` on the CPU.

        Without `homes`, no sequence has one.
        """
        log_prob = self.length.log_prob(lengths)
        if self.homes is None:
            return log_prob
        if homes is None:
            homes = torch.full((len(lengths),), NUM_HOMES)
        return log_prob + self.homes.log_prob(homes)

    def positions_of(self, lengths: Tensor, num_steps: int, outline: Outline) -> Tensor:
        """The features of the positions of each step, `[B, T, F]`."""
        if self.time_signatures is not None and outline.bar_shapes is None:
            usual = self.time_signatures.bar_shapes[:1].to(self.device)
            outline = outline._replace(bar_shapes=usual.expand(len(lengths), -1))
        return self.positions(lengths, num_steps, outline)

    def forward(
        self, x: Tensor, lengths: Tensor, noise: Tensor | None, outline: Outline = NO_OUTLINE
    ) -> Terms:
        """Score x `[B, T]` or `[B, T, R, P]` with lengths `[B]` and noise `[K, B, T, D]`."""
        return self.terms(x, lengths, self.encode(x, lengths, outline), noise)

    def terms(
        self, x: Tensor, lengths: Tensor, encoded: SharedTensors, noise: Tensor | None
    ) -> Terms:
        """`forward` from the result of `encode`: the K samples may be scored in several calls."""
        kl = self.kl(lengths, encoded, noise)
        return Terms(*self.reconstruction(x, lengths, encoded, noise), kl=kl)

    @abstractmethod
    def encode(self, x: Tensor, lengths: Tensor, outline: Outline = NO_OUTLINE) -> SharedTensors:
        """Compute what all samples of z share. Its cost does not depend on their number."""

    @abstractmethod
    def kl(self, lengths: Tensor, encoded: SharedTensors, noise: Tensor | None) -> Tensor:
        """log q(z | x) - log p(z), `[K, B]`."""

    @abstractmethod
    def logits(
        self, x: Tensor, lengths: Tensor, encoded: SharedTensors, noise: Tensor | None
    ) -> Tensor:
        """The logits of p(x | z) at x, `[K, B, T, num_logits]`."""

    def reconstruction(
        self, x: Tensor, lengths: Tensor, encoded: SharedTensors, noise: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """log p(x | z), `[K, B]`, and the share of it that `Terms.sounding` is."""
        logits = self.logits(x, lengths, encoded, noise)
        sounding = self.observation.sounding_log_prob(logits, x)
        log_prob = sum_real(self.observation.log_prob(logits, x), lengths)
        if sounding is None:
            return log_prob, None
        return log_prob, sum_real(sounding, lengths)

    def draw_noise(
        self, num_samples: int, batch: int, num_steps: int, generator: torch.Generator
    ) -> Tensor | None:
        """Noise `[K, B, T, D]` for `forward`, on the generator's device; None of an exact model."""
        if self.exact:
            return None
        shape = (num_samples, batch, num_steps, self.latent)
        return torch.randn(shape, generator=generator, device=generator.device)

    def random_numbers(
        self, lengths: Sequence[int], generators: Sequence[torch.Generator]
    ) -> tuple[Tensor | None, Tensor]:
        """What `generate` takes, each sequence by its own CPU generator.

        These are noise `[B, T, noise_size]` for z, None without a latent, and uniform numbers
        `[B, T, ...]` for x, as `Observation.uniform` gives them. Both are padded.
        """
        noise: list[Tensor] = []
        uniform: list[Tensor] = []
        for length, generator in zip(lengths, generators, strict=True):
            noise.append(torch.randn(length, self.noise_size, generator=generator))
        for length, generator in zip(lengths, generators, strict=True):
            uniform.append(self.observation.uniform(1, length, generator)[0])

        def padded(each: list[Tensor]) -> Tensor:
            return pad_sequence(each, batch_first=True).to(self.device)

        return padded(noise) if self.noise_size else None, padded(uniform)

    @abstractmethod
    # What is drawn from, and who hears how far it is.
    def generate(  # noqa: PLR0913
        self,
        lengths: Sequence[int],
        noise: Tensor | None,
        uniform: Tensor,
        temperature: float,
        outline: Outline,
        progress: Callable[[int], None] = lambda done: None,
    ) -> list[Tensor]:
        """Draw sequences `[T]` or `[T, R, P]`, on the CPU, from `random_numbers`.

        The prior draws z at the temperature (`TemporalFlow.draw`), and the logits of the output are
        divided by it.

        Those of z are `noise` `[B, T, noise_size]`, or None without a latent; those of x are
        `uniform` `[B, T, ...]`. `progress` is called with the number of steps of x that are drawn,
        if they are drawn one by one.
        """

    @abstractmethod
    def drawn_logits(
        self,
        x: Tensor,
        lengths: Tensor,
        noise: Tensor | None,
        temperature: float,
        outline: Outline,
    ) -> Tensor:
        """The logits `[B, T, num_logits]` at x, for the z that `generate` draws from `noise`.

        They are those that `generate` draws x from at this temperature. x is `[B, T]` or `[B, T, R,
        P]`, and the lengths are `[B]`. The prior gets no gradient. An exact model has p(x).
        """

    @abstractmethod
    def steps(
        self,
        num_sequences: int,
        num_steps: int,
        temperature: float,
        outline: Outline = NO_OUTLINE,
    ) -> "WeighedSteps":
        """Begin to draw G sequences of one length step by step, of which a part may be known."""

    @staticmethod
    def _unpadded(x: Tensor, lengths: Sequence[int]) -> list[Tensor]:
        return [row[:length] for row, length in zip(x.cpu(), lengths, strict=True)]

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device


class WeighedSteps(ABC):
    """Rows of sequences of one length that a model draws together, step by step.

    At first there is one row for each of G sequences, and always as many rows for each of them,
    side by side. Each of the G generators draws the random numbers of the rows of its sequence. A
    row is a draw from some distribution q of the hidden part, and its weight, the product of the
    weights of its steps, is p(known, hidden) / q(hidden).
    """

    @abstractmethod
    def draw(
        self, t: int, known: Known, generators: Sequence[torch.Generator]
    ) -> tuple[Tensor, Tensor]:
        """Draw step t of each row, x `[N]` or `[N, R, P]`, and the log of its weight, `[N]`.

        What is known is set in x.
        """

    @property
    def takes_stretches(self) -> bool:
        """True if `take` goes through many known steps in less time than `draw` one by one."""
        return False

    def take(
        self, t: int, known: Known, generators: Sequence[torch.Generator]
    ) -> tuple[Tensor, Tensor]:
        """Go on through n steps from step t on, of which all is known, and weigh them.

        What is known is `[G, n, ...]`. The result is as of `draw`: x `[N, n, ...]`, and the log of
        the weight of all n steps, `[N]`.
        """
        raise NotImplementedError(f"{type(self).__name__} takes no stretches")

    @abstractmethod
    def reindex(self, rows: Tensor) -> None:
        """Go on with these rows: row i of the new ones continues what row `rows[i]` was."""


def drawn_by(
    generators: Sequence[torch.Generator],
    num_rows: int,
    draw: Callable[[int, torch.Generator], Tensor],
) -> Tensor:
    """Random numbers for `num_rows` rows, `[num_rows, ...]`, as many from each generator.

    `draw(count, generator)` gives the numbers of the rows of one generator, `[count, ...]`.
    """
    count = num_rows // len(generators)
    return torch.cat([draw(count, generator) for generator in generators])
