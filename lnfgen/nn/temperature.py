"""The temperature of a choice."""

from torch import Tensor

MIN_TEMPERATURE = 1e-6
"""It replaces temperature 0, which means the likeliest value, so that logits can be divided by it."""


def tempered(scores: Tensor, temperature: float) -> Tensor:
    """The scores of a choice at a temperature: those below 1 make likely values likelier, and 0 gives the likeliest."""
    return scores if temperature == 1 else scores / max(temperature, MIN_TEMPERATURE)
