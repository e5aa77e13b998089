"""Calls in child processes, with a limit of time and a limit of memory.

The parsers of other formats can crash, run for hours or fill the memory where a file is damaged or
malicious. In a child process this ends the child alone, and the file gets a reason.

A child is a new Python, not a fork, because a fork is unsafe beside the threads of torch and of a
progress bar. It is not started by multiprocessing either: that would run the script of somebody who
calls `lnfgen.read` a second time.
"""

import atexit
import contextlib
import math
import os
import pickle
import queue
import resource
import signal
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import IO, Any, NoReturn, TypeVar

from lnfgen.conventions import Progress, no_progress
from lnfgen.errors import LnfgenError, UnreadableFileError

# Of the processor that a call may take, unless `$LNFGEN_READ_SECONDS` is set
SECONDS = 20.0
MEGABYTES = 1500.0  # how much memory a child may use, unless `$LNFGEN_READ_MB` is set
_STARTING = 30.0  # more seconds that a call has to import what it needs, until `restart_clock`
# By the clock it may take so many times as long: a busy machine must not change what is read, but a
# call that sleeps must end too
_BY_THE_CLOCK = 100.0
_OUT_OF_MEMORY = 77  # the exit code of a child that needs more memory
# Threads need memory
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# Tasks for each process of `in_parallel`; for fewer, starting it takes longer than it saves
_LEAST = 8
_WAITING = 8  # tasks for each process that are begun or done before the first of them is taken

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")
# That the current call of this child process may take; None: this is no child
_seconds: float | None = None


def in_child(function: Callable[..., _Result], *args: object, name: str) -> _Result:
    """The result of `function(*args)`, from a child process that is kept for the next call.

    A child calls the function itself. A call that takes too long or too much memory, or ends the
    child, is an `UnreadableFileError` about the file `name`. The function must stand at the top of
    a module, where the child finds it.
    """
    return _shared.call(function, *args, name=name)


def restart_clock() -> None:
    """Have the time of the current call of a child count from here on.

    A parser calls it after its imports, and before each piece.
    """
    if _seconds is not None:
        _end_after(_seconds)


def in_parallel(
    function: Callable[[_Task], _Result],
    tasks: Sequence[_Task],
    description: str,
    progress: Progress = no_progress,
    jobs: int | None = None,
) -> Generator[_Result | LnfgenError, None, None]:
    """The result of `function` for each task in their order, or the error that `in_child` raises.

    The error is an `LnfgenError`. Few results wait in memory. `str` of a task is its name in
    errors. `jobs` are by default the processors, up to 16.
    """
    workers = min(jobs or min(_num_cores(), 16), len(tasks) // _LEAST)
    threads = ThreadPoolExecutor(max(workers, 1))
    children = Children()
    futures: deque[Future[_Result]] = deque()
    waiting = iter(tasks)
    result: _Result | LnfgenError
    try:
        for done, task in enumerate(tasks, start=1):
            try:
                if workers < 2:
                    result = function(task)
                else:
                    num_free = workers * _WAITING - len(futures)
                    for begun in islice(waiting, num_free):
                        future = threads.submit(children.call, function, begun, name=str(begun))
                        futures.append(future)
                    result = futures.popleft().result()
            except LnfgenError as error:
                result = error
            progress(description, done, len(tasks))
            yield result
    finally:
        children.close()  # before the threads, which wait for them
        threads.shutdown(cancel_futures=True)


def _num_cores() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Children:
    """Child processes for calls from several threads, each call in a child of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: set[_Child] = set()
        self._idle: list[_Child] = []
        self._closed = False

    def close(self) -> None:
        """End all children at once, whatever they do; then calls fail."""
        with self._lock:
            self._closed = True
            for child in self._children:
                child.end()

    def call(self, function: Callable[..., _Result], *args: object, name: str) -> _Result:
        """Call as `in_child` does, in one of these children."""
        if _seconds is not None:
            return function(*args)
        seconds = limit("LNFGEN_READ_SECONDS", SECONDS)
        megabytes = limit("LNFGEN_READ_MB", MEGABYTES)
        child = self._take(megabytes)
        try:
            result = child.call(function, args, seconds, name)
        except BaseException:
            child.end()
            raise
        finally:
            with self._lock:
                self._idle.append(child)
        if isinstance(result, LnfgenError):
            raise result
        return result

    def _take(self, megabytes: float) -> "_Child":
        """A child that waits for a call, or a new one."""
        with self._lock:
            if self._closed:
                raise RuntimeError("these child processes are ended already")
            while self._idle:
                child = self._idle.pop()
                if child.process.poll() is None and child.megabytes == megabytes:
                    return child
                child.end()
                self._children.discard(child)
            child = _Child(megabytes)
            self._children.add(child)
            return child


class _Child:
    """A child process, as its parent sees it."""

    def __init__(self, megabytes: float) -> None:
        self.megabytes = megabytes
        same_path = f"import sys; sys.path[:] = {sys.path!r}"
        serve = f"from lnfgen.formats import sandbox; sandbox.serve({megabytes})"
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{same_path}; {serve}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | _ONE_THREAD,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.requests = self.process.stdin
        self.answers = self.process.stdout

    def call(self, function: object, args: object, seconds: float, name: str) -> Any:
        try:
            pickle.dump((function, args, seconds), self.requests)
            self.requests.flush()
            succeeded, result = pickle.load(self.answers)
        except (OSError, EOFError, pickle.UnpicklingError):
            raise UnreadableFileError(f"{name} {self._death(seconds)}") from None
        if not succeeded:
            raise RuntimeError(f"reading {name} in a child process failed:\n{result}")
        return result

    def _death(self, seconds: float) -> str:
        """Why the child has ended, in words that follow the name of the file."""
        status = self.process.wait()
        damaged = "; it is damaged, or large; allow more with"
        if status == -signal.SIGPROF:
            return f"takes over {seconds:g} seconds{damaged} LNFGEN_READ_SECONDS"
        if status == -signal.SIGALRM:
            by_the_clock = f"{_BY_THE_CLOCK * seconds:g} seconds by the clock"
            return f"takes over {by_the_clock}{damaged} LNFGEN_READ_SECONDS"
        if status == _OUT_OF_MEMORY:
            return f"takes over {self.megabytes:g} MB of memory{damaged} LNFGEN_READ_MB"
        # Of a process that a signal ended, the status is minus its number.
        how = f"signal {-status}" if status < 0 else f"exit code {status}"
        more = f"needs more memory than {self.megabytes:g} MB; allow more with LNFGEN_READ_MB"
        return f"ends the process that reads it ({how}); it is damaged, or {more}"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.requests, self.answers):
            with contextlib.suppress(OSError):  # what is left to write has no reader any more
                pipe.close()


def serve(megabytes: float) -> NoReturn:
    """Answer the calls from stdin on stdout until stdin ends; a child does nothing else."""
    global _seconds
    # Ctrl-C reaches all processes; the parent ends its children
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What a parser prints must not get among the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _limit_memory(int(megabytes * 1e6))
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests,), daemon=True).start()
    while True:
        function, args, _seconds = requests.get()
        _end_after(_seconds + _STARTING)
        try:
            _send(answers, (True, function(*args)))
        except LnfgenError as error:
            _send(answers, (True, error))
        except MemoryError:
            os._exit(_OUT_OF_MEMORY)
        except Exception:
            _send(answers, (False, traceback.format_exc()))


def _receive(requests: "queue.SimpleQueue[Any]") -> NoReturn:
    """Put the calls that come on stdin into a queue. When stdin ends, end this process."""
    try:
        while True:
            requests.put(pickle.load(sys.stdin.buffer))
    finally:
        os._exit(2)  # a child whose parent is gone ends in the middle of a call too


def _send(answers: IO[bytes], answer: object) -> None:
    _end_after(0)
    pickle.dump(answer, answers, protocol=5)  # this protocol writes large arrays without a copy
    answers.flush()


def _end_after(seconds: float) -> None:
    """Have the system end this process after some time of the processor from now on; 0: do not."""
    # At the end of a timer the system sends a signal, SIGPROF or SIGALRM, which ends a process
    # whatever it does.
    by_the_clock = _BY_THE_CLOCK * seconds
    signal.setitimer(signal.ITIMER_PROF, min(seconds, threading.TIMEOUT_MAX))
    signal.setitimer(signal.ITIMER_REAL, min(by_the_clock, threading.TIMEOUT_MAX))


def _limit_memory(size: int) -> None:
    """Have the system refuse more memory than this, where it can, and write no core dumps."""
    for kind, value in ((resource.RLIMIT_DATA, size), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        with contextlib.suppress(ValueError, OverflowError, OSError):
            soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (soft, hard))


def limit(variable: str, default: float) -> float:
    """The limit that an environment variable sets, or else the default."""
    text = os.environ.get(variable) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise LnfgenError(
            f"the environment variable {variable} is {text!r}; expected a number above 0"
        )
    return value


def _renew() -> None:
    global _shared
    _shared = Children()


_shared = Children()
atexit.register(lambda: _shared.close())
# A copy of this process must not talk to the same children.
os.register_at_fork(after_in_child=_renew)
