"""Dropout whose random numbers cost less than the products that it stands between."""

from typing import Any

import torch
from torch import Tensor, nn

RESOLUTION = 1 << 16
"""Probabilities are multiples of 1 / RESOLUTION: four draws of one 64-bit number."""


class Dropout(nn.Dropout):
    """As nn.Dropout, for a CPU, where that one draws a double for every number (a tenth of a training step at the
    paper's sizes) and keeps its mask in float32. Here the draws are 16 bits each and the mask is of bytes."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0 or x.device.type != "cpu":
            return super().forward(x)
        kept = round((1 - self.p) * RESOLUTION)
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)  # all 64 bits
        mask = words.view(torch.int16)[: x.numel()].view(x.shape) < kept - RESOLUTION // 2
        return _Mask.apply(x, mask, RESOLUTION / kept)


class _Mask(torch.autograd.Function):
    """`x * mask * scale`, which keeps the mask alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.scale = scale
        return (x * mask).mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (mask,) = ctx.saved_tensors
        return (gradient * mask).mul_(ctx.scale), None, None
