"""Read many files in several processes, and say how far it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from lnfgen.children import Children
from lnfgen.errors import LnfgenError

Progress = Callable[[str, int, int], None]
"""A function that is told what is being done, how much of it is done, and how much there is in all."""

MIN_PARALLEL = 16  # tasks; for fewer, starting the processes takes longer than they save

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def no_progress(description: str, done: int, total: int) -> None:
    """A `Progress` that shows nothing."""


def in_parallel(
    function: Callable[[_Task], _Result],
    tasks: Sequence[_Task],
    description: str,
    progress: Progress = no_progress,
) -> list[_Result | LnfgenError]:
    """The result of `function` for each task, in the order of the tasks.

    A task that raises an `LnfgenError` has that as its result. So has a task that takes too long, takes too much memory
    or ends its process (see `lnfgen.children`).

    Args:
        function: it must be defined at the top of a module, so that other processes find it.
        tasks: `str` of a task is its name in errors.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(cores, 16, len(tasks) // (MIN_PARALLEL // 2))
    results: list[_Result | LnfgenError] = []

    def take(compute: Callable[[], _Result]) -> None:
        try:
            results.append(compute())
        except LnfgenError as error:
            results.append(error)
        progress(description, len(results), len(tasks))

    if len(tasks) < MIN_PARALLEL or workers < 2:
        for task in tasks:
            take(lambda task=task: function(task))  # type: ignore[misc]
        return results
    threads = ThreadPoolExecutor(workers)
    children = Children()
    try:
        futures = [threads.submit(children.call, function, task, name=str(task)) for task in tasks]
        for future in futures:
            take(future.result)
    finally:
        children.close()  # before the threads, which wait for them
        threads.shutdown(cancel_futures=True)
    return results
