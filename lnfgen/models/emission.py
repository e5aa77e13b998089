"""The emission p(x_t | z), the decoder of the latent flow."""

import torch
from torch import Tensor, nn

from lnfgen.models.observation import NoteNoise
from lnfgen.models.output import OutputHead
from lnfgen.nn.stepper import looping


class Emission(nn.Module):
    """An output head over z_t, its position, and an exclusive bidirectional network, which sees z_<t and z_>t.

    Given z, the steps of x are independent (paper, section 4.3), so all are computed in parallel, apart from the
    recurrence of an LSTM. With a head that reads the past, this is p(x_t | x_<t, z), and sampling goes step by step.
    """

    def __init__(self, network: nn.Module | None, head: OutputHead, note_noise: float = 0.0) -> None:
        """`network` is bidirectional and exclusive. Without one, the head reads z_t alone."""
        super().__init__()
        self.network = network
        self.head = head
        self.note_noise = NoteNoise(note_noise)

    def forward(self, z: Tensor, lengths: Tensor, positions: Tensor, x: Tensor) -> Tensor:
        """z `[K * B, T, D]`, positions `[K * B, T, F]`, x `[B, T]` or `[B, T, P]` -> logits `[K, B, T, num_logits]`."""
        context = self.context(z, lengths, positions)
        return self.head(context.unflatten(0, (-1, len(x))), x, self.note_noise(x))

    def sample(self, z: Tensor, lengths: Tensor, positions: Tensor, uniform: Tensor, temperature: float) -> Tensor:
        """z `[N, T, D]`, uniform `[N, T, ...]` -> x `[N, T]` or `[N, T, P]`."""
        context, draw = self.context(z, lengths, positions), self.head.sampler(temperature)
        if not self.head.reads_past:
            return draw(context, uniform)
        with looping(context):
            return torch.stack([draw(*step) for step in zip(context.unbind(1), uniform.unbind(1), strict=True)], 1)

    def context(self, z: Tensor, lengths: Tensor, positions: Tensor) -> Tensor:
        """The input of the head at each step: z `[N, T, D]`, positions `[N, T, F]` -> `[N, T, C]`."""
        if self.network is None:
            return z
        return torch.cat([self.network(torch.cat([z, positions], -1), lengths), z, positions], -1)
