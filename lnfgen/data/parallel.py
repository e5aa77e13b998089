"""Read many files in several processes, and say how far it is."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TypeVar

from lnfgen.conventions import Progress, no_progress
from lnfgen.errors import LnfgenError
from lnfgen.formats.sandbox import Children

_LEAST = 8  # tasks for each process; for fewer, starting it takes longer than it saves
_WAITING = 8  # tasks for each process that are begun or done before the first of them is taken

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def in_parallel(
    function: Callable[[_Task], _Result],
    tasks: Sequence[_Task],
    description: str,
    progress: Progress = no_progress,
    jobs: int | None = None,
) -> Generator[_Result | LnfgenError, None, None]:
    """The result of `function` for each task, in the order of the tasks. Few of them wait in memory at a time.

    A task that raises an `LnfgenError` has that as its result. So has a task that takes too long, takes too much memory
    or ends its process (see `lnfgen.formats.sandbox`).

    Args:
        function: it must be defined at the top of a module, so that other processes find it.
        tasks: `str` of a task is its name in errors.
        jobs: how many processes work; None: as many as there are processors, but no more than 16.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(jobs or min(cores, 16), len(tasks) // _LEAST)

    def result_of(compute: Callable[[], _Result]) -> _Result | LnfgenError:
        try:
            return compute()
        except LnfgenError as error:
            return error

    if workers < 2:
        for done, task in enumerate(tasks, start=1):
            result = result_of(partial(function, task))
            progress(description, done, len(tasks))
            yield result
        return
    threads = ThreadPoolExecutor(workers)
    children = Children()
    try:
        futures: deque[Future[_Result]] = deque()
        waiting = iter(tasks)
        for done in range(1, len(tasks) + 1):
            for task in islice(waiting, workers * _WAITING - len(futures)):
                futures.append(threads.submit(children.call, function, task, name=str(task)))
            result = result_of(futures.popleft().result)
            progress(description, done, len(tasks))
            yield result
    finally:
        children.close()  # before the threads, which wait for them
        threads.shutdown(cancel_futures=True)
