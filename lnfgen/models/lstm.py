"""The autoregressive baseline: an LSTM over x, without a latent."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lnfgen.config import ModelConfig
from lnfgen.device.replacements import Dropout
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Known, NoteNoise, Observation
from lnfgen.models.output import OutputHead
from lnfgen.models.sequence_model import SequenceModel, SharedTensors, WeighedSteps, drawn_by
from lnfgen.nn.causal_lstm import CausalLSTM
from lnfgen.nn.masking import shift
from lnfgen.nn.positions import NO_OUTLINE, Outline, Positions
from lnfgen.nn.stepper import looping, steps_of


class AutoregressiveLSTM(SequenceModel):
    """`p(x | T) = prod_t p(x_t | x_<t, T)`, computed exactly.

    Scoring calls the LSTM and the head once each for all steps. Sampling is a loop over the steps.
    """

    def __init__(  # noqa: PLR0913  (an argument for each component)
        self,
        observation: Observation,
        length: LengthModel,
        positions: Positions,
        lstm: CausalLSTM,
        head: OutputHead,
        config: ModelConfig,
    ) -> None:
        super().__init__(observation, length, positions)
        self.embedding = config.embedding_size
        self.embed = observation.embedding(self.embedding)
        self.lstm = lstm
        self.head = head
        self.dropout = Dropout(config.dropout)
        self.input_dropout = Dropout(config.input_dropout)
        self.note_noise = NoteNoise(config.note_noise)

    @property
    def output_head(self) -> OutputHead:
        return self.head

    def encode(self, x: Tensor, lengths: Tensor, outline: Outline = NO_OUTLINE) -> SharedTensors:
        """The positions `[B, T, F]`."""
        return (self.positions_of(lengths, x.shape[1], outline),)

    def kl(self, lengths: Tensor, encoded: SharedTensors, noise: Tensor | None) -> Tensor:
        return torch.zeros(1, len(lengths), device=self.device)

    def logits(
        self, x: Tensor, lengths: Tensor, encoded: SharedTensors, noise: Tensor | None = None
    ) -> Tensor:
        (positions,) = encoded
        return self._logits(x, positions, 1.0)[None]

    def _logits(self, x: Tensor, positions: Tensor, temperature: float) -> Tensor:
        """The logits `[B, T, num_logits]` of x at a temperature; positions are `[B, T, F]`."""
        noisy = self.note_noise(x)
        previous = shift(self.input_dropout(self.embed(noisy)))
        states, _ = self.lstm(self.dropout(torch.cat([previous, positions], -1)))
        return self.head(torch.cat([states, positions], -1), x, noisy, temperature)

    # The arguments are those of `SequenceModel.generate`.
    def generate(  # noqa: PLR0913
        self,
        lengths: Sequence[int],
        noise: Tensor | None,
        uniform: Tensor,
        temperature: float,
        outline: Outline,
        progress: Callable[[int], None] = lambda done: None,
    ) -> list[Tensor]:
        positions = self.positions_of(
            torch.tensor(lengths, device=self.device), max(lengths), outline
        )
        network = steps_of(self.lstm, positions)
        draw = self.head.sampler(temperature)
        # Nothing comes before the first step.
        read = positions.new_zeros(len(positions), self.embedding)
        steps: list[Tensor] = []
        with looping(positions):
            for t in range(max(lengths)):
                states = network.step(t, read)
                steps.append(draw(torch.cat([states, positions[:, t]], -1), uniform[:, t]))
                read = self.embed(steps[-1])
                progress(len(steps))
        return self._unpadded(torch.stack(steps, 1), lengths)

    def drawn_logits(
        self,
        x: Tensor,
        lengths: Tensor,
        noise: Tensor | None,
        temperature: float,
        outline: Outline,
    ) -> Tensor:
        (positions,) = self.encode(x, lengths, outline)
        return self._logits(x, positions, temperature)

    def steps(
        self,
        num_sequences: int,
        num_steps: int,
        temperature: float,
        outline: Outline = NO_OUTLINE,
    ) -> "BaselineSteps":
        lengths = torch.full((num_sequences,), num_steps, device=self.device)
        return BaselineSteps(self, self.positions_of(lengths, num_steps, outline), temperature)


class BaselineSteps(WeighedSteps):
    """Each step is drawn given those before it, and weighs the probability of its known part."""

    def __init__(self, model: AutoregressiveLSTM, positions: Tensor, temperature: float) -> None:
        """`positions` are `[G, T, F]`."""
        self._observation = model.observation
        self._positions = positions
        self._embed = model.embed
        self._network = steps_of(model.lstm, positions)
        self._sampler = model.head.sampler(temperature)
        # Nothing comes before the first step.
        self._read = positions.new_zeros(len(positions), model.embedding)
        # The sequence that each row is of.
        self._rows = torch.arange(len(positions), device=positions.device)

    def draw(
        self, t: int, known: Known, generators: Sequence[torch.Generator]
    ) -> tuple[Tensor, Tensor]:
        position = self._positions[self._rows, t]
        observation = self._observation
        uniform = drawn_by(
            generators, len(position), lambda count, one: observation.uniform(count, 1, one)[:, 0]
        )
        with looping(position):
            states = self._network.step(t, self._read)
            x, logits = self._sampler.draw(
                torch.cat([states, position], -1), uniform.to(position.device), known
            )
            self._read = self._embed(x)
        return x, observation.log_prob(logits, x, known.mask)

    def reindex(self, rows: Tensor) -> None:
        self._network.reindex(rows)
        self._sampler.reindex(rows)
        self._rows = self._rows[rows]
        self._read = self._read[rows]
