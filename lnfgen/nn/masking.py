"""Padded batches: a mask of the real steps, sums over them, and shifts and reversals in time."""

import torch
from torch import Tensor


def length_mask(lengths: Tensor, num_steps: int) -> Tensor:
    """A bool mask `[B, T]` that is True at the real steps, for lengths `[B]`."""
    return torch.arange(num_steps, device=lengths.device) < lengths[:, None]


def sum_real(steps: Tensor, lengths: Tensor) -> Tensor:
    """Sum over the real steps only: `[..., B, T]` -> `[..., B]`. The padding may hold anything, even infinity."""
    mask = length_mask(lengths, steps.shape[-1])
    return torch.where(mask, steps, torch.zeros_like(steps)).sum(-1)


def flip(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse the first `lengths[b]` steps of each sequence of x `[B, T, F]`. The padding stays at the end.

    A causal network reads a flipped sequence from its end and sees no padding. Flipping twice gives x again.
    """
    steps = torch.arange(x.shape[1], device=x.device)
    reverse = lengths[:, None] - 1 - steps
    index = torch.where(reverse >= 0, reverse, steps)
    return torch.gather(x, 1, index[..., None].expand_as(x))


def shift(x: Tensor) -> Tensor:
    """Delay x `[B, T, F]` by one step: step t holds x_{t-1}, and step 0 holds 0."""
    return torch.nn.functional.pad(x[:, :-1], (0, 0, 1, 0))
