"""The autoregressive baseline: an LSTM over the sequence itself."""

import torch
from torch import Tensor

from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Observation
from lnfgen.models.output import OutputHead
from lnfgen.models.sequence_model import Encoded, SequenceModel
from lnfgen.nn.dropout import Dropout
from lnfgen.nn.lstm import CausalLSTM
from lnfgen.nn.masking import length_mask, shift
from lnfgen.nn.positions import Positions


class AutoregressiveLSTM(SequenceModel):
    """`p(x | T) = prod_t p(x_t | x_<t, T)`: exact, parallel over t when scoring but for the LSTM, a loop when
    sampling."""

    exact = True

    def __init__(
        self,
        observation: Observation,
        length: LengthModel,
        positions: Positions,
        lstm: CausalLSTM,
        head: OutputHead,
        embedding: int,
        dropout: float,
        input_dropout: float,
    ) -> None:
        super().__init__(observation, length)
        self.positions = positions
        self.embedding = embedding
        self.embed = observation.embedding(embedding)
        self.lstm = lstm
        self.head = head
        self.dropout, self.input_dropout = Dropout(dropout), Dropout(input_dropout)

    def noise(self, num_samples: int, batch: int, num_steps: int, generator: torch.Generator) -> None:
        return None

    def encode(self, x: Tensor, lengths: Tensor) -> Encoded:
        return ()

    def kl(self, lengths: Tensor, encoded: Encoded, noise: Tensor | None) -> Tensor:
        return torch.zeros(1, len(lengths), device=self.device)

    def reconstruction(
        self, x: Tensor, lengths: Tensor, encoded: Encoded, noise: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        num_steps = x.shape[1]
        mask = length_mask(lengths, num_steps)
        positions = self.positions(lengths, num_steps)
        previous = shift(self.input_dropout(self.embed(x)))
        states, _ = self.lstm(self.dropout(torch.cat([previous, positions], -1)))
        logits = self.head(torch.cat([states, positions], -1), x)

        def total(steps: Tensor) -> Tensor:
            return torch.where(mask, steps, torch.zeros_like(steps)).sum(-1)[None]

        sounding = self.observation.sounding_log_prob(logits, x)
        return total(self.observation.log_prob(logits, x)), None if sounding is None else total(sounding)

    def sample(self, num_steps: int, generator: torch.Generator, temperature: float) -> Tensor:
        uniform = self.observation.uniform(1, num_steps, generator).to(self.device)
        positions = self.positions(torch.tensor([num_steps], device=self.device), num_steps)
        previous = positions.new_zeros(1, self.embedding)
        state, steps = None, []
        for t in range(num_steps):
            output, state = self.lstm(torch.cat([previous, positions[:, t]], -1)[:, None], state)
            x = self.head.sample(torch.cat([output[:, 0], positions[:, t]], -1), uniform[:, t], temperature)
            previous = self.embed(x)
            steps.append(x)
        return torch.stack(steps, 1)[0].cpu()
