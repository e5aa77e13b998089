"""All that a command prints: results on stdout, everything else on stderr.

No other module uses Rich.

A stream that nobody reads is as /dev/null: one that the shell has closed (`>&-`), and a pipe whose
reader went away (`| head -1`). The command goes on, so that all its files are written, and ends
with the exit code of its work.
"""

import io
import json
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from lnfgen.errors import LnfgenWarning, OutputError
from lnfgen.wording import in_short


class _Stream(io.FileIO):
    """A standard stream whose reader may go: all that is written after that goes nowhere."""

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except OSError as error:
            # It is reported once; the rest of a buffer must not fail again at the end.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if isinstance(error, BrokenPipeError):
                return len(content)
            raise


# Without emoji, because :cat: may be a part of a name.
_err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_quiet = False
_GAP = 2  # spaces between the columns of a table


def prepare_streams() -> None:
    """Open /dev/null for each standard stream that is closed, and let readers of the others leave.

    This is done here, once, because Rich and Typer write too, and end the program with 1 when a
    reader leaves.
    """
    for name in ("stdin", "stdout", "stderr"):  # in this order they get the numbers 0, 1 and 2
        stream = getattr(sys, name)
        if stream is None:  # Python's sign of a closed one
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif name != "stdin" and type(stream) is io.TextIOWrapper:
            if name == "stdout":
                # The name of a file may be any bytes, and is printed so.
                stream.reconfigure(errors="surrogateescape")
            if not stream.isatty():
                setattr(sys, name, _without_reader(stream))


def _without_reader(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """The same stream, which goes on when its reader has gone."""
    raw = io.BufferedWriter(_Stream(stream.fileno(), "w", closefd=False))
    return io.TextIOWrapper(
        raw, stream.encoding, stream.errors, line_buffering=stream.line_buffering
    )


def set_quiet(quiet: bool) -> bool:
    """Silence `note` and progress; errors still show.

    Typer calls this with the value of --quiet, and takes it back.
    """
    global _quiet
    _quiet = quiet
    return quiet


def result(text: str) -> None:
    """A line of a command's result, on stdout, as it stands."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def result_bytes(content: bytes) -> None:
    """A file as a command's result, on stdout.

    Raises:
        OutputError: if that is a terminal, which the file would garble.
    """
    if b"\0" in content and sys.stdout.isatty():
        raise OutputError(
            "found a terminal at stdout, which MIDI would garble; pipe it on, or give a file name"
        )
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def result_json(value: dict[str, Any], *, lines: bool = False) -> None:
    """One JSON object on stdout, on a single line with `lines`.

    What is not finite is null, with a warning.
    """
    lost: list[str] = []
    finite = {name: _finite(item, name, lost) for name, item in value.items()}
    indent = None if lines else 2
    text = json.dumps(finite, indent=indent, ensure_ascii=False, allow_nan=False)
    if lost:
        warn(f"null stands for a figure that is not finite: {', '.join(lost)}")
    # JSON has no bytes: they become escapes.
    result(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def _finite(value: Any, name: str, lost: list[str]) -> Any:
    """The value with None for numbers that are not finite, whose names are added to `lost`."""
    if isinstance(value, dict):
        return {key: _finite(item, f"{name}.{key}", lost) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item, f"{name}.{index}", lost) for index, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        lost.append(name)
        return None
    return value


def result_table(
    title: str,
    rows: Iterable[Sequence[object]],
    columns: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> None:
    """A table on stdout; without `columns`, a list of names and values.

    A screen that is too narrow for all columns gets fewer: those of `optional` go, the first one
    first.
    """
    out = Console(highlight=False)
    if not out.is_terminal:
        out.width = 200  # a pipe has no width: do not wrap what a script reads
    cells = [[str(cell) for cell in row] for row in rows]
    headers = list(columns)
    if not headers:
        headers = [""] * max(map(len, cells), default=0)
    lines = [headers, *cells]
    for name in optional:
        if _length(_least_widths(lines)) <= out.width:
            break
        place = lines[0].index(name)
        lines = [[*line[:place], *line[place + 1 :]] for line in lines]
    headers, *cells = lines
    widths = _widths(lines, out.width)
    table = Table(
        title=escape(title),
        title_justify="left",
        box=None,
        show_header=bool(columns),
        padding=(0, _GAP, 0, 0),
        pad_edge=False,
    )
    for index, header in enumerate(headers):
        style = "bold" if index == 0 else None
        table.add_column(escape(header), style=style, overflow="fold", width=widths[index])
    for row in cells:
        table.add_row(*map(escape, row))
    out.print(table)


def _least_widths(lines: Sequence[Sequence[str]]) -> list[int]:
    """Return the least widths of columns.

    No name in the first column breaks, and no other word of up to 12 characters.
    """
    widths: list[int] = []
    for column in zip(*lines, strict=True):
        words = " ".join(column).split()
        longest = max(map(cell_len, words), default=0)
        widths.append(min(longest, 12) if widths else longest)
    return widths


def _length(widths: Sequence[int]) -> int:
    """Return the length of a line of columns of these widths."""
    return sum(widths) + _GAP * (len(widths) - 1)


def _widths(lines: Sequence[Sequence[str]], length: int) -> list[int]:
    """Return widths of columns at which cells wrap between words.

    If a line of this length is too short for that, names break last.
    """
    widths = _least_widths(lines)
    while _length(widths) > length and max(widths) > 1:
        # Of the columns beside the first, the widest one, down to 4 characters; then of all.
        narrowed = max(
            range(len(widths)), key=lambda index: (index > 0 and widths[index] > 4, widths[index])
        )
        widths[narrowed] -= 1
    spare = length - _length(widths)
    columns = [[cell_len(cell) for cell in column] for column in zip(*lines, strict=True)]
    of_rows = [max(column[1:], default=0) for column in columns]
    of_all = [max(column) for column in columns]
    # The rows get their width before the header, because a header that wraps adds a line only once.
    for goals in (of_rows, of_all):
        missing = [goal - width for goal, width in zip(goals, widths, strict=True)]
        # Those that miss the least come first.
        for index in sorted(range(len(widths)), key=lambda index: missing[index]):
            given = max(0, min(spare, missing[index]))
            widths[index] += given
            spare -= given
    return widths


def _plain(message: str) -> str:
    """The words of a message for Rich, in short.

    A control character, which the name of a file may hold, is shown as `\\x1b`.
    """
    return escape(_CONTROL.sub(lambda found: ascii(found[0])[1:-1], in_short(message)))


def note(message: str) -> None:
    """A remark on stderr, unless --quiet is given."""
    if not _quiet:
        _err.print(_plain(message))


def warn(message: str) -> None:
    """A remark that matters, on stderr, unless --quiet is given."""
    if not _quiet:
        _err.print(f"[yellow]warning:[/] {_plain(message)}")


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """In the block, print the warnings of lnfgen's Python functions by `warn`.

    Python prints all others.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", LnfgenWarning)
        python_shows = warnings.showwarning

        def show(message: Any, category: type[Warning], *where: Any) -> None:
            if issubclass(category, LnfgenWarning):
                warn(str(message))
            else:
                python_shows(message, category, *where)

        warnings.showwarning = show  # type: ignore[assignment]
        yield


def fail(message: str) -> None:
    """The one line of an error, on stderr, quiet or not."""
    _err.print(f"[bold red]error:[/] {_plain(message)}")


class _Status(ProgressColumn):
    """The status text, in what the other columns leave of the line: its end gives way first."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["status"], no_wrap=True, overflow="ellipsis")


@contextmanager
def jobs() -> Iterator[Callable[..., None]]:
    """Yield a `Progress` that shows a bar for each description.

    Its fourth argument is a few words beside the bar.
    """
    # Rich makes the status narrower only when all others are as narrow as they can be.
    whole = Column(no_wrap=True)
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", table_column=whole),
        BarColumn(bar_width=20, table_column=whole),
        MofNCompleteColumn(table_column=whole),
        TimeRemainingColumn(compact=True, table_column=whole),
        _Status(),
    ]
    with Progress(
        *columns, console=_err, transient=True, disable=_quiet or not _err.is_terminal
    ) as bar:

        def report(description: str, done: int, total: int, status: str = "") -> None:
            name = _plain(description)
            known = {task.description: task.id for task in bar.tasks}
            if name not in known:
                known[name] = bar.add_task(name, total=total, status=status)
            bar.update(known[name], completed=done, total=total, status=status)

        yield report
