"""Repeated random draws, so that several calls of a network with dropout compute the same function."""

from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")


def replaying(device: torch.device, draws: bool) -> Callable[[Callable[[], Result]], Result]:
    """A function that calls another one, and lets each call draw the same random numbers.

    It sets torch's global generators back to their present state before each call, so afterwards they are as after one
    call. If `draws` is False, the called functions draw nothing, and the generators are not touched.
    """
    if not draws:
        return lambda function: function()
    cpu_state = torch.get_rng_state()
    gpu_state = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def call(function: Callable[[], Result]) -> Result:
        torch.set_rng_state(cpu_state)
        if gpu_state is not None:
            torch.cuda.set_rng_state(gpu_state, device)
        return function()

    return call
