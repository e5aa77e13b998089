"""Timing calls in turn under a deadline, and what the machine is that they are timed on."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

BUSY = 0.5
"""Load for each core above which figures say as much of the other programs as of this one."""

SQUARE = (1024, 1024, 1024)
LSTM_STEP = (150, 500, 2000)
"""Products `[m, k] x [k, n]`: a large one, and a step of the paper's LSTM for 15 sequences of 10 samples."""

MIN_ROUNDS = 2
"""Rounds that a figure needs at least; what has no time for them is left out."""

Call = Callable[[], float]
"""Does the work that is measured, and says how many seconds it took."""

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Turns(Generic[Key]):
    """Seconds of each call, round by round; and the seconds a call that those left out would have taken."""

    seconds: dict[Key, list[float]]
    left_out: dict[Key, float]


def take_turns(
    calls: Mapping[Key, Call],
    foretold: Mapping[Key, float],
    rounds: int,
    deadline: float,
    *,
    share: float = 1.0,
    fixed: int = 1,
) -> Turns[Key]:
    """Warm each call up, then time them in turn (A B C A B C) until there are enough rounds, or the deadline is near.

    `share` is the part of the time left after which no more than the least rounds are made: others wait for the rest.

    Those that would run past the deadline (of `time.perf_counter`) are left out, by what is `foretold` of their seconds
    and again by what warming up took, the slowest first. The first `fixed` calls are what the others are compared with:
    if they alone take too long, nothing is timed.
    """
    compared = list(calls)[:fixed]
    began = time.perf_counter()
    left_out: dict[Key, float] = {}

    def drop_until_fitting(seconds: dict[Key, float], times: int) -> None:
        while times * sum(seconds.values()) > deadline - time.perf_counter():
            others = [key for key in seconds if key not in compared]
            for key in [max(others, key=seconds.__getitem__)] if others else list(seconds):
                left_out[key] = seconds.pop(key)
            if not seconds:
                break

    expected = {key: foretold[key] for key in calls}
    drop_until_fitting(expected, MIN_ROUNDS + 1)
    warm = {key: calls[key]() for key in expected}
    drop_until_fitting(warm, MIN_ROUNDS)
    times: dict[Key, list[float]] = {key: [] for key in warm}
    for done in range(rounds if warm else 0):
        then = time.perf_counter() + sum(series[-1] for series in times.values() if series)
        if done >= MIN_ROUNDS and then > began + share * (deadline - began):
            break
        for key, series in times.items():
            series.append(calls[key]())
    return Turns(times, left_out)


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def product(shape: tuple[int, int, int], dtype: torch.dtype) -> Call:
    """A matrix product of the machine's own, as a call to time."""
    rows, inner, columns = shape
    left, right = torch.rand(rows, inner).to(dtype), torch.rand(inner, columns).to(dtype)
    return lambda: timed(lambda: left @ right)


def flops(shape: tuple[int, int, int]) -> float:
    return 2.0 * shape[0] * shape[1] * shape[2]


def product_rates(rounds: int) -> dict[str, dict[str, float]]:
    """GFLOP/s of products, by their shape and precision: medians."""
    cases = {(shape, dtype): product(shape, dtype) for shape in (SQUARE, LSTM_STEP) for dtype in _PRECISIONS.values()}
    turns = take_turns(cases, dict.fromkeys(cases, 0.0), rounds, float("inf"))
    rates = {key: flops(key[0]) / statistics.median(seconds) / 1e9 for key, seconds in turns.seconds.items()}
    return {
        name: {" x ".join(map(str, shape)): rates[shape, dtype] for shape in (SQUARE, LSTM_STEP)}
        for name, dtype in _PRECISIONS.items()
    }


_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def machine_facts() -> dict[str, Any]:
    """What figures are of no use without: processor, cores, threads, versions, and what else it is doing."""
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


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
