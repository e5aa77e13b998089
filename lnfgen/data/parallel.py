"""Read many files in several processes, and say how far it is."""

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
"""A function that is told what is being done, how much of it is done, and how much there is in all."""

MIN_PARALLEL = 16  # tasks; for fewer, starting the processes takes longer than they save

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def no_progress(description: str, done: int, total: int) -> None:
    """A `Progress` that shows nothing."""


def in_parallel(
    function: Callable[[_Task], _Result], tasks: Sequence[_Task], description: str, progress: Progress = no_progress
) -> list[_Result]:
    """The result of `function` for each task, in the order of the tasks.

    Args:
        function: it must be defined at the top of a module, so that other processes find it. If a task can fail, let
            it return the reason; an exception would end all the others.

    Raises:
        LnfgenError: if a process ends early, for example because memory runs out.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(cores, 16, len(tasks) // (MIN_PARALLEL // 2))
    results: list[_Result] = []
    if len(tasks) < MIN_PARALLEL or workers < 2:
        for task in tasks:
            results.append(function(task))
            progress(description, len(results), len(tasks))
        return results
    # A forked process starts faster. But it is safe only without other threads (torch's or a progress bar's): a lock
    # that one of them holds would stay locked in the copy for ever.
    may_fork = sys.platform == "linux" and threading.active_count() == 1 and "torch" not in sys.modules
    context = multiprocessing.get_context("fork" if may_fork else "spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_interrupts)
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the main one ends the others
