"""Read damaged files one after another in a fork of this process, under the limits that `lnfgen.formats.sandbox` sets.

A damaged file may end the process that reads it. In the program this is a child process, and the next one imports
music21 anew; a fork of a process that has imported it starts at once. The limit of time counts the seconds that the
processor works: a busy machine makes a file take longer, and that is no fault of its reader.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from lnfgen.errors import LnfgenError
from lnfgen.formats import sandbox as children

SILENCE = 600.0  # seconds by the clock in which a reader that does no work must end

Result = tuple[str, str, float]
"""What became of a file (`read`, `refused`, ...), how that breaks a rule or nothing, and the seconds it took."""


@dataclass
class Report:
    """What became of the files of one reader."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def add(self, label: str, result: Result) -> bool:
        """Count a file; False if it breaks a rule."""
        outcome, failure, seconds = result
        self.outcomes[outcome] += 1
        self.slowest = max(self.slowest, seconds)
        if seconds > _limit():
            failure = failure or f"it takes {seconds:.1f} seconds"
        if failure:
            self.failures.append(f"{label}: {failure}")
        return not failure


def read_all(
    label: str,
    count: int,
    damage: Callable[[random.Random], Any],
    read: Callable[[], object],
    keep: Callable[[int], Any] = lambda number: None,
) -> Report:
    """Damage and read files 0 to `count` - 1.

    Args:
        label: names the failures, and gives each file its random numbers: see `numbers_of`.
        damage: puts a damaged file in its place.
        read: reads it.
        keep: is called with the number of a file that breaks a rule.
    """
    report = Report()
    while (first := report.outcomes.total()) < count:
        answers, questions = Pipe(duplex=False)
        process = os.fork()
        if process == 0:
            _work(questions, label, range(first, count), damage, read)
        questions.close()
        with answers:
            for number in range(first, count):
                result = _answer(answers, process)
                if not report.add(f"{label} {number}", result or _death(process)):
                    keep(number)
                if result is None:
                    break
            else:
                os.waitpid(process, 0)
    return report


def numbers_of(label: str, number: int) -> random.Random:
    """The random numbers that damage a file. Each file has its own, so that it can be made without the others."""
    return random.Random(f"{label} {number}")


def _limit() -> float:
    return children._limit("LNFGEN_READ_SECONDS", children.SECONDS)


def _answer(answers: Connection, process: int) -> Result | None:
    """What the fork says of its next file; None if it ends instead. It is ended where it waits and does no work."""
    worked = -1.0
    while not answers.poll(SILENCE):
        before, worked = worked, _work_of(process)
        if worked <= before:
            os.kill(process, signal.SIGKILL)
            break
    try:
        return answers.recv()
    except EOFError:
        return None


def _work_of(process: int) -> float:
    """The seconds that the processor has worked for a process; 0 where the system does not tell (it is no Linux)."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _death(process: int) -> Result:
    """What a file did that ended the fork."""
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if status == -signal.SIGPROF:
        return "seconds", "", _limit()
    if status == -signal.SIGKILL:
        return "silence", f"it does nothing for {SILENCE:g} seconds, or was killed", 0.0
    if status == children._OUT_OF_MEMORY:
        return "MB of memory", "", 0.0
    return "crash", f"the process ends with status {status}", 0.0


def _work(
    questions: Connection,
    label: str,
    numbers: range,
    damage: Callable[[random.Random], Any],
    read: Callable[[], object],
) -> NoReturn:
    """What a fork does: damage and read the files, and say what became of each."""
    code = 1
    gc.freeze()  # what is there now is no garbage of the files
    try:
        children._limit_memory(int(children._limit("LNFGEN_READ_MB", children.MEGABYTES) * 1e6))
        _stay_here()
        for number in numbers:
            damage(numbers_of(label, number))
            questions.send(_result(read))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _result(read: Callable[[], object]) -> Result:
    began = time.process_time()
    failure = ""
    try:
        outcome = "read" if read() else "nothing"
        if outcome == "nothing":
            failure = "an empty result"
    except LnfgenError as error:
        outcome, message = "refused", str(error)
        if "\n" in message or not message:
            failure = f"a message of several lines: {message!r}"
    except BaseException:
        outcome, failure = "traceback", traceback.format_exc()
    return outcome, failure, time.process_time() - began


class _Here:
    """Stands for the child processes of `children`: a call runs in this process and ends it at the same limits."""

    def call(self, function: Callable[..., Any], *args: object, name: str) -> Any:
        self.restart_clock()
        try:
            return function(*args)
        except MemoryError:
            os._exit(children._OUT_OF_MEMORY)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    @staticmethod
    def restart_clock() -> None:
        """SIGPROF ends the process when its processor time is over."""
        signal.setitimer(signal.ITIMER_PROF, _limit())


def _stay_here() -> None:
    """Have this process take itself for one of the child processes, which start no more and may restart the clock."""
    here = _Here()
    children._shared = here  # type: ignore[assignment]
    children._seconds = _limit()
    children._end_after = lambda seconds: here.restart_clock()
