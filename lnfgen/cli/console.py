"""All that a command prints. No other module uses Rich.

Results go to stdout, everything else to stderr. Rich leaves out escape codes off a terminal and under NO_COLOR.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from lnfgen.errors import OutputError

_err = Console(stderr=True, highlight=False, soft_wrap=True)
_quiet = False


def set_quiet(quiet: bool) -> None:
    """Silence `note` and progress; errors still show."""
    global _quiet
    _quiet = quiet


def result(text: str) -> None:
    """A line of a command's result, on stdout, as it stands."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def result_bytes(content: bytes) -> None:
    """A file as a command's result, on stdout.

    Raises:
        OutputError: if the content is not text and stdout is a terminal, which it would garble.
    """
    if b"\0" in content and sys.stdout.isatty():
        raise OutputError("found a terminal at stdout, which MIDI would garble; pipe it on, or give a file name")
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def result_json(value: dict[str, Any], *, lines: bool = False) -> None:
    """One JSON object on stdout; with `lines` on a line of its own, so that others may follow."""
    result(json.dumps(value, indent=None if lines else 2, ensure_ascii=False, allow_nan=False))


def result_table(title: str, rows: Iterable[Sequence[object]], columns: Sequence[str] = ()) -> None:
    """A table on stdout; without `columns`, a list of names and values."""
    out = Console(highlight=False)
    if not out.is_terminal:
        out.width = 200  # a pipe has no width: do not wrap what a script reads
    table = Table(title=escape(title), title_justify="left", box=None, show_header=bool(columns), pad_edge=False)
    cells = [[escape(str(cell)) for cell in row] for row in rows]
    for index in range(len(columns) or max(map(len, cells), default=0)):
        table.add_column(columns[index] if columns else "", style="bold" if index == 0 else None, overflow="fold")
    for row in cells:
        table.add_row(*row)
    out.print(table)


def note(message: str) -> None:
    """A remark on stderr; --quiet silences it."""
    if not _quiet:
        _err.print(escape(message))


def warn(message: str) -> None:
    """A remark that matters, on stderr; --quiet silences it."""
    if not _quiet:
        _err.print(f"[yellow]warning:[/] {escape(message)}")


def fail(message: str) -> None:
    """The one line of an error, on stderr, quiet or not."""
    _err.print(f"[bold red]error:[/] {escape(message)}")


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}"),
        TimeRemainingColumn(compact=True),
        console=_err,
        transient=True,
        disable=_quiet or not _err.is_terminal,
    )


@dataclass
class Live:
    """A progress bar that a long job drives, with a status text of its own. `note` prints above it."""

    _bar: Progress
    _task: TaskID

    def update(self, done: int, status: str = "", total: int | None = None) -> None:
        """Show how many are done, and a few words on how it goes."""
        self._bar.update(self._task, completed=done, status=status, total=total)


@contextmanager
def live(description: str, total: int, done: int = 0) -> Iterator[Live]:
    """A `Live` bar for the length of the block."""
    with _bar() as bar:
        yield Live(bar, bar.add_task(description, total=total, completed=done, status=""))


@contextmanager
def jobs() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that shows progress. It takes what is being done, how many are done, and of how many."""
    with _bar() as bar:
        tasks: dict[str, TaskID] = {}

        def report(description: str, done: int, total: int) -> None:
            if description not in tasks:
                tasks[description] = bar.add_task(description, status="")
            bar.update(tasks[description], completed=done, total=total)

        yield report
