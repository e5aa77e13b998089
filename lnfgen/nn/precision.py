"""The floating-point precision that networks run in."""

import torch


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context in which matrix products and recurrent networks run in `precision`.

    Weights stay float32. Log-determinants and log-probabilities do too: the modules that compute them cast to float32.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
