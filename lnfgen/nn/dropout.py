"""Dropout that is fast on a CPU."""

from typing import Any

import torch
from torch import Tensor, nn

RESOLUTION = 1 << 16
"""Probabilities are rounded to multiples of 1 / RESOLUTION, so that one random 64-bit number serves four elements."""


class Dropout(nn.Dropout):
    """The same as nn.Dropout, but with cheaper random numbers on a CPU.

    There, nn.Dropout draws a double for each element, which takes a tenth of a training step at the paper's sizes, and
    keeps a float32 mask. This class draws 16 bits for each element and keeps a mask of bytes. Compiled, it is
    nn.Dropout, which is then drawn in the kernel that needs it.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0 or x.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(x)
        threshold = round((1 - self.p) * RESOLUTION)  # how many of the RESOLUTION possible draws keep an element
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)  # all 64 bits are random
        mask = words.view(torch.int16)[: x.numel()].view(x.shape) <= threshold - RESOLUTION // 2 - 1  # fits in 16 bits
        return _Mask.apply(x, mask.view(torch.uint8), RESOLUTION / threshold)  # torch multiplies by bytes faster


class _Mask(torch.autograd.Function):
    """`x * mask * scale`. It saves only the mask for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.scale = scale
        return (x * mask).mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (mask,) = ctx.saved_tensors
        return (gradient * mask).mul_(ctx.scale), None, None
