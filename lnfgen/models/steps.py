"""Drawing sequences step by step where a part of them is known: a model draws each step and weighs its known part.

`SequenceModel.steps` gives those of a model, and who drives them resamples the rows by their weights.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lnfgen.flows.temporal import AutoregressiveFlow, TemporalFlow
from lnfgen.models.observation import Known, Observation
from lnfgen.models.output import Emission
from lnfgen.models.posterior import SymbolPosterior
from lnfgen.nn.masking import MIN_TEMPERATURE
from lnfgen.nn.stepper import looping


class WeighedSteps(ABC):
    """Rows of sequences of one length that a model draws together, step by step.

    At first there is one row for each of G sequences, and always as many rows for each of them, side by side. Each of
    the G generators draws the random numbers of the rows of its sequence. A row is a draw from some distribution q of
    the hidden part, and its weight, the product of the weights of its steps, is p(known, hidden) / q(hidden).
    """

    has_latent = False
    """Whether a latent is drawn for known steps too. Without one, rows are equal until something hidden is drawn."""

    @abstractmethod
    def draw(self, t: int, known: Known, generators: Sequence[torch.Generator]) -> tuple[Tensor, Tensor]:
        """Draw step t of each row: x `[N, ...]`, in which what is known is set, and the log of its weight `[N]`."""

    @abstractmethod
    def keep(self, rows: Tensor) -> None:
        """Go on with these rows: row i of the new ones continues what row `rows[i]` was."""


def drawn_by(
    generators: Sequence[torch.Generator], num_rows: int, draw: Callable[[int, torch.Generator], Tensor]
) -> Tensor:
    """Random numbers for so many rows: `draw(count, generator)` gives those of the rows of one generator."""
    return torch.cat([draw(num_rows // len(generators), generator) for generator in generators])


class LatentSteps(WeighedSteps):
    """At the first step all of z is drawn from the prior, and then x step by step from p(x_t | x_<t, z).

    The weight of a step is the probability of what is known of it. Limit: no step of z is drawn to fit what is known.
    If x_t depends on z alone, and much is known, it takes many rows until one has a z that fits.
    """

    has_latent = True

    def __init__(
        self, observation: Observation, prior: TemporalFlow, emission: Emission, positions: Tensor, temperature: float
    ) -> None:
        """`positions` are `[G, T, F]`."""
        self._observation, self._prior, self._emission, self._positions = observation, prior, emission, positions
        self._temperature = max(temperature, MIN_TEMPERATURE)
        self._sampler = emission.head.sampler(self._temperature)
        self._rows = torch.arange(len(positions), device=positions.device)  # of `positions`, later of the context
        self._context: Tensor | None = None

    def draw(self, t: int, known: Known, generators: Sequence[torch.Generator]) -> tuple[Tensor, Tensor]:
        observation, num_rows, device = self._observation, len(self._rows), self._positions.device
        if self._context is None:
            self._context = self._contexts(self._positions[self._rows], generators)
            self._rows = torch.arange(num_rows, device=device)
        uniform = drawn_by(generators, num_rows, lambda count, one: observation.uniform(count, 1, one)[:, 0])
        x, logits = self._sampler.draw(self._context[self._rows, t], uniform.to(device), known)
        return x, observation.log_prob(logits, x, known.mask)

    def keep(self, rows: Tensor) -> None:
        self._sampler.keep(rows)
        self._rows = self._rows[rows]

    def _contexts(self, positions: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw z of all steps, and give the context of each step, `[N, T, C]`."""
        num_rows, num_steps = positions.shape[:2]
        shape = (num_steps, self._prior.noise_size)
        noise = drawn_by(generators, num_rows, lambda count, one: torch.randn(count, *shape, generator=one))
        lengths = torch.full((num_rows,), num_steps, device=positions.device)
        z = self._prior.draw(positions, lengths, noise.to(positions.device), self._temperature)
        return self._emission.context(z, lengths, positions)


class SymbolSteps(WeighedSteps):
    """The steps of a model whose z_t says the symbol x_t, which makes it a language model.

    Where x_t is known, z_t is drawn from q(z_t | x_t), and the step weighs p(z_t | z_<t) p(x_t | z_t) / q(z_t | x_t).
    Where it is hidden, z_t is drawn from p(z_t | z_<t) and x_t from p(x_t | z_t), and the step weighs 1.
    """

    has_latent = True

    def __init__(
        self,
        observation: Observation,
        prior: AutoregressiveFlow,
        posterior: SymbolPosterior,
        emission: Emission,
        positions: Tensor,
        temperature: float,
    ) -> None:
        """`positions` are `[G, T, F]`."""
        temperature = max(temperature, MIN_TEMPERATURE)
        self._observation, self._posterior, self._noise_size = observation, posterior, prior.noise_size
        self._prior, self._sampler = prior.steps(positions, temperature), emission.head.sampler(temperature)
        self._num_rows, self._device = len(positions), positions.device

    def draw(self, t: int, known: Known, generators: Sequence[torch.Generator]) -> tuple[Tensor, Tensor]:
        num_rows, size = self._num_rows, self._noise_size
        noise = drawn_by(generators, num_rows, lambda count, one: torch.randn(count, size, generator=one))
        uniform = drawn_by(generators, num_rows, lambda count, one: torch.rand(count, 1, generator=one))
        noise, q = noise.to(self._device), self._posterior(known.values.long())
        with looping(noise):
            z = torch.where(known.mask[:, None], q.sample(noise[:, : q.mean.shape[-1]]), self._prior.draw(noise))
            x, logits = self._sampler.draw(z, uniform.to(self._device), known)
            log_joint = self._prior.log_prob(z) + self._observation.log_prob(logits, x)
            self._prior.take(z)
        return x, torch.where(known.mask, log_joint - q.log_prob(z), torch.zeros_like(log_joint))

    def keep(self, rows: Tensor) -> None:
        self._prior.keep(rows)
        self._num_rows = len(rows)
