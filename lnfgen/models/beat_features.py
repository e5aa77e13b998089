"""The place of a time step in beats and bars of many lengths."""

import math

import torch
from torch import Tensor, nn

BEATS = (2, 3, 4, 6, 8, 12, 16, 24)
"""Periods of beats and bars in steps. Each step has features of its place in them."""

NUM_BEAT_FEATURES = 2 * len(BEATS)

PERIODS = (*BEATS, 32, 48, 64, 96, 128)
"""These, and of several bars: the attention of a band scores distances by them."""


class BeatFeatures(nn.Module):
    """The periods stay on the device of the model, so that no step of a loop waits for a copy."""

    periods: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("periods", torch.tensor(BEATS), persistent=False)

    def forward(self, steps: Tensor) -> Tensor:
        """The place of steps `[...]` in each of the periods, float32 `[..., NUM_BEAT_FEATURES]`."""
        angle = 2 * math.pi * (steps[..., None] % self.periods) / self.periods
        return torch.cat([angle.sin(), angle.cos()], -1)
