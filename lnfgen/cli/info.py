"""`lnfgen info`: what a file, a dataset folder or a run folder is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from lnfgen.cli import console, options
from lnfgen.cli.sources import for_each, read_pieces
from lnfgen.errors import LnfgenError
from lnfgen.pretrained import boxed_folder


def command(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH", help="A piece or text, a dataset folder, a run or a model of `lnfgen models`; - is stdin."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each PATH, one a line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a run's figures, a row for each validation.")] = False,
    steps_per_quarter: options.StepsPerQuarter = 4,
    drums: options.Drums = False,
    tracks: options.Tracks = "all",
    quiet: options.Quiet = False,
) -> None:
    """Tell what a file, a dataset folder or a run folder is; of music also its tracks, and which are kept."""

    if as_csv and as_json:
        raise LnfgenError("found --csv beside --json; expected one of them")

    def tell(path: str) -> None:
        if as_csv:
            console.result(_csv(path))
            return
        each: list[dict[str, Any]] = []
        folder = Path(path) if path == "-" or Path(path).exists() else boxed_folder(path) or Path(path)
        if path != "-" and folder.is_dir():
            facts = _folder_facts(folder)
        else:
            from lnfgen.data.facts import file_facts, piece_facts

            each = [piece_facts(piece) for piece in read_pieces(path, steps_per_quarter, drums, tracks)]
            facts = file_facts(each)
        if as_json:
            console.result_json({"path": path, **facts}, lines=True)
            return
        if path != paths[0]:
            console.result("")
        listed = facts.pop("tracks", [])
        shared = _shared(each, facts)
        facts |= shared
        rows = [(key.replace("_", " "), _shown(value)) for key, value in facts.items()]
        # As a title, Rich would fold a long path to the table's width.
        console.result_table("", [("path", path), *rows])
        _show_list("piece", each if len(each) > 1 else [], left_out=("kind", "number", "tracks", *shared))
        _show_list("track", listed, left_out=("number", "channel"))

    if for_each(paths, tell):
        raise typer.Exit(1)


def _csv(path: str) -> str:
    """The figures of a run, a row for each validation."""
    from lnfgen.runs.folder import metrics_csv
    from lnfgen.runs.naming import METRICS, find_run, is_run

    run = find_run(path)
    if not is_run(run):
        raise LnfgenError(f"{path} is no run; expected one, whose figures --csv prints; or leave --csv out")
    return metrics_csv(run / METRICS).rstrip()


def _shared(pieces: list[dict[str, Any]], facts: dict[str, Any]) -> dict[str, Any]:
    """The facts that all of several pieces share, and that do not contradict the facts of their file.

    They are told once, among the facts of the file, as the table of pieces would else be too wide for a screen.
    """
    first = pieces[0] if len(pieces) > 1 else {}
    same = {key: value for key, value in first.items() if all(piece[key] == value for piece in pieces)}
    return {key: value for key, value in same.items() if key != "tracks" and facts.get(key, value) == value}


def _show_list(what: str, items: list[dict[str, Any]], left_out: Sequence[str]) -> None:
    """A table of things alike, below the facts of their file."""
    if items:
        columns = [key for key in items[0] if key not in left_out]
        table = [[number, *(_shown(item[key]) for key in columns)] for number, item in enumerate(items, start=1)]
        console.result("")
        console.result_table("", table, [what, *(key.replace("_", " ") for key in columns)])


def _folder_facts(folder: Path) -> dict[str, Any]:
    from lnfgen.data.dataset import is_dataset
    from lnfgen.data.facts import dataset_facts
    from lnfgen.runs.listing import run_facts
    from lnfgen.runs.naming import is_run

    if is_run(folder):
        return run_facts(folder)
    if is_dataset(folder):
        return dataset_facts(folder)
    found = ", ".join(sorted(item.name for item in folder.iterdir())[:4]) or "nothing"
    raise LnfgenError(
        f"{folder} holds {found}; expected a dataset folder (dataset.json), a run folder (config.json) or a file"
    )


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}" if isinstance(value, float) else str(value)
