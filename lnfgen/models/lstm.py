"""The autoregressive baseline: an LSTM over x, without a latent."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lnfgen.inference.particles import Filtered, filter_particles
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Known, NoteNoise, Observation
from lnfgen.models.output import Drawn, OutputHead
from lnfgen.models.sequence_model import Encoded, Filled, SequenceModel
from lnfgen.nn.causal_lstm import CausalLSTM, LSTMState
from lnfgen.nn.dropout import Dropout
from lnfgen.nn.masking import shift
from lnfgen.nn.positions import Positions
from lnfgen.nn.stepper import Steps, faster, kept, looping


class AutoregressiveLSTM(SequenceModel):
    """`p(x | T) = prod_t p(x_t | x_<t, T)`, computed exactly.

    Scoring calls the LSTM and the head once each for all steps. Sampling is a loop over the steps.
    """

    exact = True

    def __init__(
        self,
        observation: Observation,
        length: LengthModel,
        *,
        positions: Positions,
        lstm: CausalLSTM,
        head: OutputHead,
        embedding: int,
        dropout: float,
        input_dropout: float,
        note_noise: float,
    ) -> None:
        super().__init__(observation, length)
        self.positions = positions
        self.embedding = embedding
        self.embed = observation.embedding(embedding)
        self.lstm = lstm
        self.head = head
        self.dropout, self.input_dropout = Dropout(dropout), Dropout(input_dropout)
        self.note_noise = NoteNoise(note_noise)

    def draw_noise(self, num_samples: int, batch: int, num_steps: int, generator: torch.Generator) -> None:
        return None

    def encode(self, x: Tensor, lengths: Tensor, metres: Tensor | None = None) -> Encoded:
        """The positions `[B, T, F]`."""
        return (self.positions_of(lengths, x.shape[1], metres),)

    def kl(self, lengths: Tensor, encoded: Encoded, noise: Tensor | None) -> Tensor:
        return torch.zeros(1, len(lengths), device=self.device)

    def logits(self, x: Tensor, lengths: Tensor, encoded: Encoded, noise: Tensor | None = None) -> Tensor:
        (positions,) = encoded
        heard = self.note_noise(x)
        previous = shift(self.input_dropout(self.embed(heard)))
        states, _ = self.lstm(self.dropout(torch.cat([previous, positions], -1)))
        return self.head(torch.cat([states, positions], -1), x, heard)[None]

    def explain(
        self, x: Tensor, lengths: Tensor, noise: Tensor | None, choice: Tensor, metres: Tensor | None = None
    ) -> tuple[None, Tensor]:
        return None, self.logits(x, lengths, self.encode(x, lengths, metres))[0]

    def generate(
        self,
        lengths: Sequence[int],
        eps: Tensor | None,
        uniform: Tensor,
        temperature: float,
        metres: Tensor | None = None,
        prior_temperature: float = 1.0,
    ) -> list[Tensor]:
        positions = self.positions_of(torch.tensor(lengths, device=self.device), max(lengths), metres)
        network, draw = self.network_steps(positions), self.head.sampler(temperature)
        steps: list[Tensor] = []
        with looping(positions):
            for t in range(max(lengths)):
                states = network.step(t, steps[-1] if steps else None)
                steps.append(draw(torch.cat([states, positions[:, t]], -1), uniform[:, t]))
        return self._unpadded(torch.stack(steps, 1), lengths)

    def network_steps(self, positions: Tensor) -> Steps:
        """The steps of the LSTM, which read x_{t-1} (None at t = 0), where positions are `[N, T, F]`."""
        return faster(self, positions) or _PlainSteps(self, positions)

    def fill_batch(
        self,
        known: Known,
        num_particles: int,
        generators: Sequence[torch.Generator],
        temperature: float,
        progress: Callable[[int, int], None] = lambda done, total: None,
        metres: Tensor | None = None,
    ) -> Filled:
        """By particles: see `models.particles`. One is enough, and exact, where all that is known comes first."""
        total = known.mask.shape[1]
        found = self._filtered(
            known, num_particles, generators, temperature, metres, progress=lambda done: progress(done, total)
        )
        return Filled(found.x.cpu(), found.ess, None)

    def log_known(
        self,
        guess: Tensor,
        known: Known,
        num_particles: int,
        generators: Sequence[torch.Generator],
        kept: Tensor | None = None,
        metres: Tensor | None = None,
    ) -> Tensor:
        kept = None if kept is None else kept.to(self.device)
        guess = guess.to(self.device)
        return self._filtered(known, num_particles, generators, 1.0, metres, kept=kept, guess=guess).log_known

    def _filtered(
        self,
        known: Known,
        num_particles: int,
        generators: Sequence[torch.Generator],
        temperature: float,
        metres: Tensor | None,
        **options: Any,
    ) -> Filtered:
        """The result of `filter_particles` with these options."""
        known = Known(*(part.to(self.device) for part in known))
        steps = _LSTMSteps(self, known.mask.shape[1], len(generators), temperature, metres)
        return filter_particles(steps, self.observation, known, num_particles, generators, alone=True, **options)


class _PlainSteps:
    """The steps of the baseline's LSTM, as `nn.stepper.Steps`: x is x_{t-1}, or None at t = 0."""

    def __init__(self, model: AutoregressiveLSTM, positions: Tensor) -> None:
        self._model, self._positions = model, positions
        self._state: LSTMState | None = None

    def step(self, t: int, x: Tensor | None) -> Tensor:
        model, position = self._model, self._positions[:, t]
        embedded = position.new_zeros(len(position), model.embedding) if x is None else model.embed(x)
        states, self._state = model.lstm(torch.cat([embedded, position], -1)[:, None], self._state)
        return states[:, 0]

    def keep(self, rows: Tensor) -> None:
        self._positions, self._state = self._positions[rows], kept(self._state, rows)


class _LSTMSteps:
    """The steps of the baseline for a batch whose rows may be chosen anew at each step."""

    def __init__(
        self, model: AutoregressiveLSTM, num_steps: int, rows: int, temperature: float, metres: Tensor | None
    ) -> None:
        self._model = model
        self._sampler = model.head.sampler(temperature)
        lengths = torch.full((rows,), num_steps, device=model.device)
        self._positions = model.positions_of(lengths, num_steps, metres)  # [G, T, F]
        self._sequence_of = torch.arange(rows, device=model.device)  # the sequence that each row is of
        self._embedded = self._positions.new_zeros(rows, model.embedding)
        self._state: LSTMState | None = None

    def draw(self, t: int, uniform: Tensor, known: Known) -> Drawn:
        model, position = self._model, self._positions[self._sequence_of, t]
        states, self._state = model.lstm(torch.cat([self._embedded, position], -1)[:, None], self._state)
        drawn = self._sampler.draw(torch.cat([states[:, 0], position], -1), uniform, known)
        self._embedded = model.embed(drawn.x)
        return drawn

    def keep(self, rows: Tensor) -> None:
        self._sampler.keep(rows)
        self._sequence_of, self._embedded = self._sequence_of[rows], self._embedded[rows]
        if self._state is not None:
            self._state = [(hidden[:, rows], cell[:, rows]) for hidden, cell in self._state]
