"""Reading many files in several processes, in order, with progress."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from lnfgen.errors import LnfgenError

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and of how much."""

MIN_PARALLEL = 16  # files; for fewer, starting processes costs more than it gains

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def no_progress(description: str, done: int, total: int) -> None:
    """A `Progress` that shows nothing."""


def in_parallel(
    function: Callable[[_Task], _Result], tasks: Sequence[_Task], description: str, progress: Progress = no_progress
) -> list[_Result]:
    """`function` of each task, in order; a module-level function whose errors are results.

    Raises:
        LnfgenError: if a process dies, as when memory runs out.
    """
    workers = min(_num_cores(), 16, len(tasks) // (MIN_PARALLEL // 2))
    results: list[_Result] = []
    if len(tasks) < MIN_PARALLEL or workers < 2:
        for task in tasks:
            results.append(function(task))
            progress(description, len(results), len(tasks))
        return results
    pool = ProcessPoolExecutor(workers, mp_context=_context(), initializer=_leave_interrupts)
    try:
        for result in pool.map(function, tasks, chunksize=max(1, min(16, len(tasks) // (4 * workers)))):
            results.append(result)
            progress(description, len(results), len(tasks))
    except BrokenProcessPool:
        raise LnfgenError(
            f"a process ended while {description}, after {len(results)} of {len(tasks)}; "
            "most likely memory ran out; close other programs or give fewer files"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return results


def _leave_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first one alone answers it


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _context() -> multiprocessing.context.BaseContext:
    # A fork starts at once, but copies locks that other threads hold (torch's, a progress bar's) in their locked state.
    safe = threading.active_count() == 1 and "torch" not in sys.modules
    method = "fork" if sys.platform == "linux" and safe else "spawn"
    return multiprocessing.get_context(method)
