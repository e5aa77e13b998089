"""The place of a time step in beats and bars of many lengths."""

import math

import torch
from torch import Tensor

BEATS = (2, 3, 4, 6, 8, 12, 16, 24)
"""Periods of beats and bars in steps. Each step has features of its place in them."""

NUM_BEAT_FEATURES = 2 * len(BEATS)

PERIODS = (*BEATS, 32, 48, 64, 96, 128)
"""These, and of several bars: the attention of a band scores distances by them."""


def beat_features(steps: Tensor) -> Tensor:
    """The place of steps `[...]` in each of the periods, float32 `[..., NUM_BEAT_FEATURES]`."""
    periods = torch.tensor(BEATS, device=steps.device)
    angle = 2 * math.pi * (steps[..., None] % periods) / periods
    return torch.cat([angle.sin(), angle.cos()], -1)
