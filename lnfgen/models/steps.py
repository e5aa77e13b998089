"""Drawing sequences step by step where a part of them is known: a model draws each step and weighs its known part.

`SequenceModel.steps` gives the `Steps` of a model. `lnfgen.inference.particles` drives them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lnfgen.flows.codebook import CodeMixture
from lnfgen.flows.temporal import AutoregressiveFlow, TemporalFlow
from lnfgen.models.codes import SymbolPosterior
from lnfgen.models.emission import Emission
from lnfgen.models.observation import Known, Observation
from lnfgen.nn.temperature import MIN_TEMPERATURE


class Steps(ABC):
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


class LatentSteps(Steps):
    """z is drawn from the prior, all its steps at once, and then x step by step from p(x_t | x_<t, z).

    The weight of a step is the probability of what is known of it.
    """

    has_latent = True

    def __init__(
        self,
        observation: Observation,
        prior: TemporalFlow,
        emission: Emission,
        latent: int,
        positions: Tensor,
        temperature: float,
        z: Tensor | None = None,
    ) -> None:
        """`positions` are `[G, T, F]`, and z has `latent` features. If z `[G, T, D]` is given, none is drawn."""
        self._observation, self._prior, self._emission, self._positions = observation, prior, emission, positions
        self._latent, self._temperature = latent, max(temperature, MIN_TEMPERATURE)
        self._sampler = emission.head.sampler(self._temperature)
        self._rows = torch.arange(len(positions), device=positions.device)  # of `positions`, or of z once it is there
        self._z, self._context = z, None if z is None else self._context_of(z)

    @property
    def z(self) -> Tensor:
        """The latent of each row, `[N, T, D]`, once a step is drawn."""
        assert self._z is not None
        return self._z[self._rows]

    def draw(self, t: int, known: Known, generators: Sequence[torch.Generator]) -> tuple[Tensor, Tensor]:
        observation, num_rows, device = self._observation, len(self._rows), self._positions.device
        if self._context is None:
            self._positions = self._positions[self._rows]
            self._rows = torch.arange(num_rows, device=device)
            self._z = self._draw_latent(generators)
            self._context = self._context_of(self._z)
        uniform = drawn_by(generators, num_rows, lambda count, one: observation.uniform(count, 1, one)[:, 0])
        x, logits = self._sampler.draw(self._context[self._rows, t], uniform.to(device), known)
        return x, observation.log_prob(logits, x, known.mask)

    def keep(self, rows: Tensor) -> None:
        self._sampler.keep(rows)
        self._rows = self._rows[rows]

    def _draw_latent(self, generators: Sequence[torch.Generator]) -> Tensor:
        num_rows, num_steps = self._positions.shape[:2]
        prior, scale = self._prior.tempered(self._temperature)
        shape = (num_steps, self._latent)
        eps = drawn_by(generators, num_rows, lambda count, one: torch.randn(count, *shape, generator=one))
        z, _ = prior(scale * eps.to(self._positions.device), self._positions, self._lengths(num_rows))
        return z

    def _context_of(self, z: Tensor) -> Tensor:
        return self._emission.context(z, self._lengths(len(z)), self._positions)

    def _lengths(self, num_rows: int) -> Tensor:
        return torch.full((num_rows,), self._positions.shape[1], device=self._positions.device)


class SymbolSteps(Steps):
    """The steps of a model whose z_t says the symbol x_t, which makes it a language model.

    Where x_t is known, z_t is drawn from q(z_t | x_t), and the step weighs p(z_t | z_<t) p(x_t | z_t) / q(z_t | x_t).
    Where it is hidden, z_t is drawn from p(z_t | z_<t) and x_t from p(x_t | z_t), and the step weighs 1.
    """

    has_latent = True

    def __init__(
        self,
        observation: Observation,
        prior: AutoregressiveFlow,
        codes: CodeMixture,
        posterior: SymbolPosterior,
        emission: Emission,
        positions: Tensor,
        temperature: float,
    ) -> None:
        """`codes` are the feature flow of the prior, and `positions` are `[G, T, F]`."""
        self._observation, self._prior, self._posterior = observation, prior, posterior
        temperature = max(temperature, MIN_TEMPERATURE)
        self._codes, _ = codes.tempered(temperature)
        self._sampler = emission.head.sampler(temperature)
        self._positions = positions
        self._rows = torch.arange(len(positions), device=positions.device)  # the sequence that each row is of
        self._state: Any = None
        self._z = positions.new_zeros(len(positions), codes.codebook.num_features)

    def draw(self, t: int, known: Known, generators: Sequence[torch.Generator]) -> tuple[Tensor, Tensor]:
        num_rows, size = self._z.shape
        noise = drawn_by(generators, num_rows, lambda count, one: torch.randn(count, size, generator=one)).to(self._z)
        uniform = drawn_by(generators, num_rows, lambda count, one: torch.rand(count, 2, generator=one)).to(self._z)
        read = torch.cat([self._prior.reading(self._z), self._positions[self._rows, t]], -1)
        context, self._state = self._prior.network(read[:, None], self._state)
        symbol = known.values.long()
        q = self._posterior.codebook
        self._z = torch.where(
            known.mask[:, None],
            q.sample(symbol, noise),
            self._codes.draw(context[:, 0], uniform[:, :1], noise),
        )
        x, logits = self._sampler.draw(self._z, uniform[:, 1:], known)
        log_joint = self._codes.log_prob(self._z, context[:, 0]) + self._observation.log_prob(logits, x)
        log_q = q.log_prob(self._z).gather(-1, symbol[:, None])[:, 0]
        return x, torch.where(known.mask, log_joint - log_q, torch.zeros_like(log_q))

    def keep(self, rows: Tensor) -> None:
        self._rows, self._z, self._state = self._rows[rows], self._z[rows], _chosen(self._state, rows)


def _chosen(state: Any, rows: Tensor) -> Any:
    """These rows of the state of a causal network: of tensors `[..., B, features]` in lists and tuples."""
    if isinstance(state, Tensor):
        return state.index_select(-2, rows)
    return None if state is None else [_chosen(part, rows) for part in state]
