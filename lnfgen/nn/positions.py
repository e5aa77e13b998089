"""Position features: where a step lies in its sequence."""

import math

import torch
from torch import Tensor, nn

from lnfgen.nn.masking import flip

LONGEST_WAVE = 4096.0
"""Half a period of the slowest sinusoid, in steps. It is longer than the longest published piece (3857 frames), so no
two positions look the same."""


class Positions(nn.Module):
    """Features of "steps since the start" and "steps to the end": lengths `[B]` -> `[B, T, features]`.

    The reference implementation uses two one-hot vectors as long as the longest training sequence. Sinusoids (Vaswani
    et al., 2017) carry the same information in fewer numbers and exist for every length. A learned projection selects
    from them.
    """

    frequency: Tensor  # [num_waves], radians per step

    def __init__(self, features: int) -> None:
        super().__init__()
        num_waves = 16
        waves = torch.exp(-math.log(LONGEST_WAVE) * torch.arange(num_waves) / (num_waves - 1))
        self.register_buffer("frequency", math.pi * waves, persistent=False)  # half periods of 1 to LONGEST_WAVE
        self.project = nn.Linear(4 * num_waves, features)
        nn.init.normal_(
            self.project.weight, std=(2 * num_waves) ** -0.5
        )  # unit scale, as sinusoids have mean square 1/2

    def forward(self, lengths: Tensor, num_steps: int) -> Tensor:
        angle = torch.arange(num_steps, device=lengths.device)[:, None] * self.frequency
        wave = torch.cat([angle.sin(), angle.cos()], -1).to(self.project.weight.dtype)
        start = wave.expand(len(lengths), -1, -1)
        return self.project(torch.cat([start, flip(start, lengths)], -1))
