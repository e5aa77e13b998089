"""`lnfgen info`."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from lnfgen.cli import console, options
from lnfgen.errors import LnfgenError
from lnfgen.wording import shown


def command(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="A piece or text, a folder of these, a dataset, a run, or a model in the box; - is stdin.",
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object for each PATH, one a line.")
    ] = False,
    as_csv: Annotated[
        bool,
        typer.Option(
            "--csv", help="Print the training curves of a run, a row for each validation."
        ),
    ] = False,
    steps_per_quarter: options.StepsPerQuarter = 4,
    tracks: options.Tracks = "all",
    parts: options.Parts = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Print the contents of a file, a folder, a dataset or a run: sizes, notes, tracks, settings
    and best scores.

    Of a folder of music it says whether this suits a training, or what to do about it.
    """
    from lnfgen.cli.sources import for_each
    from lnfgen.runs.folder import metrics_csv
    from lnfgen.runs.naming import METRICS, find

    if as_csv and as_json:
        raise LnfgenError("found --csv beside --json; expected one of them")

    def tell(path: str) -> None:
        if as_csv:
            console.result(metrics_csv(find(path, "run").path / METRICS).rstrip())
            return
        facts, each = _facts(path, steps_per_quarter, tracks, parts)
        if as_json:
            console.result_json({"path": path, **facts}, lines=True)
            return
        if path != paths[0]:
            console.result("")
        if facts["kind"] == "folder":
            named = {"path": path, **facts}.items()
            console.result(
                "\n".join(f"{name}: {words}" for name, value in named if (words := shown(value)))
            )
            return
        listed = facts.pop("tracks", [])
        shared = _shared(each, facts)
        facts |= shared
        rows = [(key.replace("_", " "), shown(value)) for key, value in facts.items()]
        # As a title, Rich would fold a long path to the table's width.
        console.result_table("", [("path", path), *rows])
        _show_list(
            "piece", each if len(each) > 1 else [], left_out=("kind", "number", "tracks", *shared)
        )
        _show_list("track", listed, left_out=("number", "channel"))

    if for_each(paths, tell):
        raise typer.Exit(1)


def _facts(
    path: str, steps_per_quarter: int, tracks: str, parts: str
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the facts of what is at a path, and if it is a file those of each of its pieces."""
    from lnfgen.cli.sources import read_pieces
    from lnfgen.data.facts import dataset_facts, file_facts, piece_facts
    from lnfgen.data.gather import Options
    from lnfgen.data.rolls import folder_facts
    from lnfgen.runs.listing import run_facts
    from lnfgen.runs.material import open_source
    from lnfgen.runs.naming import find

    if path != "-":
        kind, place = find(path, "run", "dataset", "files")
        if kind == "run":
            return run_facts(place), []
        if kind != "files":
            return dataset_facts(open_source(place)), []
        if place.is_dir():
            with console.jobs() as progress:
                how = Options(steps_per_quarter=steps_per_quarter, tracks=tracks, parts=parts)
                return folder_facts(place, how, progress), []
    parts = "1" if parts == "auto" else parts
    each = [piece_facts(piece) for piece in read_pieces(path, steps_per_quarter, tracks, parts)]
    return file_facts(each), each


def _shared(pieces: list[dict[str, Any]], facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts that all of several pieces share, which the table of pieces, wide as it is,
    leaves out."""
    first = pieces[0] if len(pieces) > 1 else {}
    same = {
        key: value for key, value in first.items() if all(piece[key] == value for piece in pieces)
    }
    return {
        key: value
        for key, value in same.items()
        if key != "tracks" and facts.get(key, value) == value
    }


def _show_list(noun: str, items: list[dict[str, Any]], left_out: Sequence[str]) -> None:
    if items:
        columns = [key for key in items[0] if key not in left_out]
        table = [
            [number, *(shown(item[key]) for key in columns)]
            for number, item in enumerate(items, start=1)
        ]
        console.result("")
        console.result_table("", table, [noun, *(key.replace("_", " ") for key in columns)])
