"""Position features: where a step lies in its sequence."""

import math

import torch
from torch import Tensor, nn

from lnfgen.nn.masking import flip

LONGEST_WAVE = 4096.0
"""Half a period of the slowest sinusoid, in steps. It is longer than the longest published piece (3857 frames), so no
two positions look the same."""

NEAR_END = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Steps in which a feature of nearness to the end falls to 1 / e."""

IN_BARS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 3.0, 6.0, 12.0, 24.0, 48.0, 96.0)
"""Periods in steps of beats, bars and phrases, in metres of two and of three, on any usual grid."""


class Positions(nn.Module):
    """Features of "steps since the start" and "steps to the end": lengths `[B]` -> `[B, T, features]`.

    The reference implementation uses two one-hot vectors as long as the longest training sequence. Sinusoids (Vaswani
    et al., 2017) carry the same information in fewer numbers and exist for every length. A learned projection selects
    from them.

    With `near_end` there are also features that are 1 at the last step and fall exponentially with the distance to it.
    Sinusoids say this as well, but only many of them together, and a network hardly learns it from the few ends that it
    sees. With these features a text ends where a sentence or a tune does.

    With `in_bars` there are also sinusoids with the periods of beats and bars. The other waves have none of these
    periods, and a sum of them is soon out of step with the bars.
    """

    frequency: Tensor  # [num_waves], radians per step
    reach: Tensor  # [num_near], steps

    def __init__(self, features: int, *, near_end: bool = False, in_bars: bool = False) -> None:
        super().__init__()
        waves = torch.exp(-math.log(LONGEST_WAVE) * torch.arange(16) / 15)  # half periods of 1 to LONGEST_WAVE
        waves = torch.cat([waves, 2 / torch.tensor(IN_BARS if in_bars else ())])
        num_waves = len(waves)
        self.register_buffer("frequency", math.pi * waves, persistent=False)
        self.register_buffer("reach", torch.tensor(NEAR_END if near_end else ()), persistent=False)
        self.project = nn.Linear(4 * num_waves + len(self.reach), features)
        nn.init.normal_(self.project.weight, std=(2 * num_waves) ** -0.5)  # unit scale: sinusoids have mean square 1/2

    def forward(self, lengths: Tensor, num_steps: int) -> Tensor:
        steps = torch.arange(num_steps, device=lengths.device)[:, None]
        angle = steps * self.frequency
        wave = torch.cat([angle.sin(), angle.cos()], -1)
        start = wave.to(self.project.weight.dtype).expand(len(lengths), -1, -1)
        to_end = torch.cat([start, torch.exp(-steps / self.reach).to(start.dtype).expand(len(lengths), -1, -1)], -1)
        return self.project(torch.cat([start, flip(to_end, lengths)], -1))
