"""Where in its piece a step lies."""

import math

import torch
from torch import Tensor, nn

from lnfgen.nn.masking import flip

LONGEST_WAVE = 4096.0
"""Steps in the slowest sinusoid: beyond the longest published piece (3857 frames), so that no two positions
coincide."""


class Positions(nn.Module):
    """Features of "steps since the start" and "steps to the end", for every length: lengths `[B]` -> `[B, T,
    features]`.

    The reference feeds two one-hot vectors of the longest training length. Sinusoids (Vaswani et al., 2017) carry the
    same information in a few numbers and are defined beyond that length; a learned projection picks the useful ones.
    """

    frequency: Tensor  # [num_waves], radians a step

    def __init__(self, features: int) -> None:
        super().__init__()
        num_waves = 16
        waves = torch.exp(-math.log(LONGEST_WAVE) * torch.arange(num_waves) / (num_waves - 1))
        self.register_buffer("frequency", math.pi * waves, persistent=False)  # from 2 steps a period to LONGEST_WAVE
        self.project = nn.Linear(4 * num_waves, features)
        nn.init.normal_(self.project.weight, std=(2 * num_waves) ** -0.5)  # unit scale: sinusoids have mean square 1/2

    def forward(self, lengths: Tensor, num_steps: int) -> Tensor:
        angle = torch.arange(num_steps, device=lengths.device)[:, None] * self.frequency
        wave = torch.cat([angle.sin(), angle.cos()], -1).to(self.project.weight.dtype)
        start = wave.expand(len(lengths), -1, -1)
        return self.project(torch.cat([start, flip(start, lengths)], -1))
