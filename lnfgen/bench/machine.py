"""The machine that is measured on: what it is, how busy it is, its time and memory, and its own matrix products."""

import math
import os
import platform
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lnfgen.bench.timing import Call, take_turns

CPU = torch.device("cpu")

BUSY = 0.5
"""Load for each core above which other programs change the measured times too much."""

SQUARE = (1024, 1024, 1024)
LSTM_STEP = (150, 500, 2000)
"""Shapes of products `[m, k] x [k, n]`: a large one, and a step of the paper's LSTM for 15 sequences of 10 samples."""

_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def machine_facts(device: torch.device = CPU) -> dict[str, Any]:
    """What a reader must know of the machine to compare times, and how busy it is with other programs."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return {
        "processor": _processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cores": cores,
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load": round(load, 2),
        "busy": load > BUSY * cores,
    }


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", facts.read_text(encoding="utf-8") if facts.exists() else "")
    return found[1] if found else platform.processor() or platform.machine()


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


def product_call(shape: tuple[int, int, int], dtype: torch.dtype = torch.float32, device: torch.device = CPU) -> Call:
    """A matrix product of random numbers, as a call to time. It takes `2 * prod(shape)` operations."""
    rows, inner, columns = shape
    left, right = torch.rand(rows, inner).to(device, dtype), torch.rand(inner, columns).to(device, dtype)
    return lambda: timed_on(device, lambda: left @ right)


def product_rates(rounds: int, device: torch.device = CPU) -> dict[str, dict[str, float]]:
    """GFLOP/s of products, by precision and shape: the median of the rounds."""
    calls = {
        (name, shape): product_call(shape, dtype, device)
        for name, dtype in _PRECISIONS.items()
        for shape in (SQUARE, LSTM_STEP)
    }
    seconds, _ = take_turns(calls, dict.fromkeys(calls, 0.0), rounds, math.inf)
    rates: dict[str, dict[str, float]] = {name: {} for name in _PRECISIONS}
    for (name, shape), series in seconds.items():
        rates[name][" x ".join(map(str, shape))] = 2 * math.prod(shape) / statistics.median(series) / 1e9
    return rates
