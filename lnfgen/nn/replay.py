"""The same random draws again and again: a network with dropout as one fixed map."""

from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")


def replaying(device: torch.device, draws: bool) -> Callable[[Callable[[], Result]], Result]:
    """A caller of functions under which every call draws what the first one drew, from the state that torch's global
    generators have now; they are left as after one call. Where nothing `draws`, it calls alone."""
    if not draws:
        return lambda function: function()
    cpu = torch.get_rng_state()
    own = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def call(function: Callable[[], Result]) -> Result:
        torch.set_rng_state(cpu)
        if own is not None:
            torch.cuda.set_rng_state(own, device)
        return function()

    return call
