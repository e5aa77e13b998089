"""Where the host waits for a device, and how it is spared waiting.

A GPU works through what it is told while the host goes on. Whenever the host asks it for a number, or copies from
memory that may move, the host waits until all earlier work is done, and then the GPU waits for the host.
"""

import torch
from torch import Tensor

ASK_EVERY = 8
"""A loop that ends once all has settled asks a device every so many rounds. A round more costs less than an answer, and
rounds after the last one that is needed change nothing. On a CPU, where answers are free, it asks each time."""


def asks(rounds: int, device: torch.device) -> bool:
    """Whether a loop that has made so many rounds now asks if all has settled."""
    return device.type == "cpu" or rounds % ASK_EVERY == 0


def pinned(x: Tensor, device: torch.device) -> Tensor:
    """The same tensor of the host in memory from which a copy to the device need not be waited for."""
    return x if device.type in ("cpu", "mps") else x.pin_memory()


def sent(x: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on the device, without waiting for the copy."""
    return pinned(x, device).to(device, non_blocking=True)
