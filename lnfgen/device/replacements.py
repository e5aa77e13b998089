"""A dropout and an AdamW in place of those of torch, because they are faster on a CPU."""

from inspect import unwrap
from typing import Any

import torch
from torch import Tensor, nn


class AdamW(torch.optim.AdamW):
    """`torch.optim.AdamW`, to the bit, without guards that load the compiler of torch."""

    add_param_group = unwrap(torch.optim.AdamW.add_param_group)
    zero_grad = unwrap(torch.optim.AdamW.zero_grad)
    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))


class Dropout(nn.Dropout):
    """`nn.Dropout` with cheaper random numbers on a CPU.

    nn.Dropout draws a double for each element there, and keeps a float32 mask. This class draws 16
    bits and keeps a mask of bytes, so it rounds the probability to a multiple of 2^-16.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return super().forward(x)
        # of the 2^16 possible draws, the number that keeps an element
        num_kept = round((1 - self.p) * 2**16)
        num_words = -(-x.numel() // 4)
        words = torch.empty(num_words, dtype=torch.int64).random_(-(1 << 63), None)  # all 64 bits
        draws = words.view(torch.int16)[: x.numel()].view(x.shape)
        mask = draws <= num_kept - 2**15 - 1  # the limit fits in 16 bits
        # torch converts bytes faster than booleans
        return _Mask.apply(x, mask.view(torch.uint8), 2**16 / num_kept)


class _Mask(torch.autograd.Function):
    """`x * mask * scale`, which saves only the mask for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.scale = scale
        return (x * mask.to(x.dtype)).mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (mask,) = ctx.saved_tensors
        return (gradient * mask.to(gradient.dtype)).mul_(ctx.scale), None, None
