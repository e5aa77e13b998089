"""Padded batches, the temperature of a choice, and the precision of networks."""

import torch
from torch import Tensor


def length_mask(lengths: Tensor, num_steps: int) -> Tensor:
    """A bool mask `[B, T]` that is True at the real steps, for lengths `[B]`."""
    return torch.arange(num_steps, device=lengths.device) < lengths[:, None]


def sum_real(steps: Tensor, lengths: Tensor) -> Tensor:
    """Sum over the real steps only: `[..., B, T]` -> `[..., B]`.

    The padding may hold anything, even infinity.
    """
    mask = length_mask(lengths, steps.shape[-1])
    return torch.where(mask, steps, torch.zeros_like(steps)).sum(-1)


def flip(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse the first `lengths[b]` steps of each sequence b of x `[B, T, F]`.

    The padding stays at the end.
    """
    steps = torch.arange(x.shape[1], device=x.device)
    reverse = lengths[:, None] - 1 - steps
    index = torch.where(reverse >= 0, reverse, steps)
    return torch.gather(x, 1, index[..., None].expand_as(x))


def shift(x: Tensor, by: int = 1) -> Tensor:
    """Delay x `[B, T, F]` by one step or more.

    Step t holds x_{t - by}, and the first steps hold 0.
    """
    return torch.nn.functional.pad(x[:, :-by], (0, 0, by, 0))


# It replaces temperature 0, which means the likeliest value, so that logits can be divided by it.
MIN_TEMPERATURE = 1e-6


def tempered(scores: Tensor, temperature: float) -> Tensor:
    """The scores (logits) of a choice at a temperature: `[..., choices]` -> `[..., choices]`.

    A temperature below 1 makes likely values likelier, and 0 leaves the likeliest alone.
    """
    if temperature == 1:
        return scores
    return scores / max(temperature, MIN_TEMPERATURE)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context in which matrix products and recurrent networks run in `precision`.

    Weights stay float32. Log-determinants and log-probabilities do too: the modules that compute
    them cast to float32.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
