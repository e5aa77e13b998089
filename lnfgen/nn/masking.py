"""Padded batches: which steps are real, sums over them, and reversal in time that leaves the padding where it is."""

import torch
from torch import Tensor


def length_mask(lengths: Tensor, num_steps: int) -> Tensor:
    """lengths `[B]` -> bool `[B, T]`, True at the real steps."""
    return torch.arange(num_steps, device=lengths.device) < lengths[:, None]


def sum_real(steps: Tensor, lengths: Tensor) -> Tensor:
    """Sums over the real steps: `[..., B, T]` -> `[..., B]`, whatever the padding holds."""
    mask = length_mask(lengths, steps.shape[-1])
    return torch.where(mask, steps, torch.zeros_like(steps)).sum(-1)


def flip(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse the first `lengths[b]` steps of each sequence of x `[B, T, F]`; the padding stays at the end.

    Flipping twice gives x again. A causal network on flipped input reads from the end of each piece, and never its
    padding.
    """
    steps = torch.arange(x.shape[1], device=x.device)
    reverse = lengths[:, None] - 1 - steps
    index = torch.where(reverse >= 0, reverse, steps)
    return torch.gather(x, 1, index[..., None].expand_as(x))


def shift(x: Tensor) -> Tensor:
    """Delay x `[B, T, F]` by one step: step t holds x_{t-1}, step 0 holds 0."""
    return torch.nn.functional.pad(x[:, :-1], (0, 0, 1, 0))
