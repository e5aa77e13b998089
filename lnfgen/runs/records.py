"""The JSON files of a run, as all who read a run need them. torch is not loaded."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from lnfgen.errors import RunError
from lnfgen.files import read_object

METRICS = "metrics.jsonl"


def read_record(path: Path) -> dict[str, Any]:
    """The JSON object in one of a run's files.

    Raises:
        RunError: if the file is missing or damaged.
    """
    try:
        return read_object(path)
    except FileNotFoundError:
        raise RunError(f"{path} is missing; restore it, or train again") from None
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}; restore it, or train again") from error


def read_metrics(path: Path, *, cut: bool = False) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`: the figures of each validation, and its `step`.

    `kept` says whether the weights of that validation became the model, until later ones took their place.
    If `cut`, a last line that does not end, as after a copy that failed, is left out.

    Raises:
        RunError: if the file is missing or damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RunError(f"{path} is missing; restore it, or train again") from None
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}; restore it, or train again") from error
    ended = text[: text.rfind("\n") + 1] if cut else text
    return [_figures(line, f"{path} is damaged: line {number}") for number, line in enumerate(ended.splitlines(), 1)]


def _figures(line: str, where: str) -> dict[str, Any]:
    try:
        figures = json.loads(line)
    except (ValueError, RecursionError):
        figures = None
    known = isinstance(figures, dict) and type(figures.get("step")) is int
    if not known or not all(isinstance(figure, int | float) for figure in figures.values()):
        raise RunError(f"{where} has no figures of a validation; restore it, or delete that line")
    return figures


def metrics_csv(path: Path) -> str:
    """The lines of `metrics.jsonl` as a table, with the figures' names in its first row.

    Raises:
        RunError: if the file is missing or damaged.
    """
    lines = read_metrics(path)
    columns = dict.fromkeys(name for line in lines for name in line)
    table = io.StringIO()
    writer = csv.DictWriter(table, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return table.getvalue()
