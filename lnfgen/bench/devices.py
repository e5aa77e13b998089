"""Timing on a device, which goes on computing when a call has returned, and the memory that it takes."""

import time
from collections.abc import Callable

import torch

CPU = torch.device("cpu")


def timed_on(device: torch.device, work: Callable[[], object]) -> float:
    """The seconds that `work` takes, until the GPU has done all that it was given."""
    _finish(device)
    began = time.perf_counter()
    work()
    _finish(device)
    return time.perf_counter() - began


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


class Memory:
    """The most memory of a GPU that tensors have taken since this was made."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    @property
    def megabytes(self) -> float | None:
        """It is None where torch does not count it, as on a CPU."""
        if self._device.type != "cuda":
            return None
        return round(torch.cuda.max_memory_allocated(self._device) / 1e6, 1)
