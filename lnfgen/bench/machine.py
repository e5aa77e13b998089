"""The machine that is measured on: what it is, how busy it is, and how fast its own matrix products are."""

import os
import platform
import statistics
from pathlib import Path
from typing import Any

import torch

from lnfgen.bench.timing import Call, take_turns, timed

BUSY = 0.5
"""Load for each core above which other programs change the measured times too much."""

SQUARE = (1024, 1024, 1024)
LSTM_STEP = (150, 500, 2000)
"""Shapes of products `[m, k] x [k, n]`: a large one, and a step of the paper's LSTM for 15 sequences of 10 samples."""

_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def machine_facts() -> dict[str, Any]:
    """What a reader must know of the machine to compare times, and how busy it is with other things."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return {
        "processor": _processor(),
        "cores": cores,
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load": round(load, 2),
        "busy": load > BUSY * cores,
    }


def product(shape: tuple[int, int, int], dtype: torch.dtype) -> Call:
    """A matrix product of random numbers, as a call to time."""
    rows, inner, columns = shape
    left, right = torch.rand(rows, inner).to(dtype), torch.rand(inner, columns).to(dtype)
    return lambda: timed(lambda: left @ right)


def product_operations(shape: tuple[int, int, int]) -> float:
    """Floating-point operations of a product of that shape."""
    return 2.0 * shape[0] * shape[1] * shape[2]


def product_rates(rounds: int) -> dict[str, dict[str, float]]:
    """GFLOP/s of products, by precision and shape: the median of the rounds."""
    cases = {(shape, dtype): product(shape, dtype) for shape in (SQUARE, LSTM_STEP) for dtype in _PRECISIONS.values()}
    turns = take_turns(cases, dict.fromkeys(cases, 0.0), rounds, float("inf"))
    rates = {
        (shape, dtype): product_operations(shape) / statistics.median(seconds) / 1e9
        for (shape, dtype), seconds in turns.seconds.items()
    }
    return {
        name: {" x ".join(map(str, shape)): rates[shape, dtype] for shape in (SQUARE, LSTM_STEP)}
        for name, dtype in _PRECISIONS.items()
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
