"""The precision that networks run in."""

import torch

PRECISIONS = ("float32", "bfloat16")


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context in which products and recurrent networks run in `precision`. Weights stay float32, and so do
    log-determinants and log-probabilities, by the casts of the modules that compute them."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
