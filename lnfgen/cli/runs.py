"""`lnfgen runs`: a table of the runs that are here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lnfgen.cli import console
from lnfgen.cli.options import Json, Quiet


def command(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Runs, folders that hold some, or models of `lnfgen models`.", show_default="runs/"),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List runs: what they are, their best scores on the valid split, and how far they have come; the newest last.

    A narrow screen has fewer columns; --json has all.
    """
    from lnfgen.runs.listing import overview

    rows = overview(folders or [])
    if as_json:
        console.result_json({"runs": rows})
    elif rows:
        columns = ["run", "dataset", "model, backbone", "valid ELBO", "changed", "state"]
        console.result_table("", map(_cells, rows), columns, optional=("changed", "model, backbone", "dataset"))
    else:
        console.note("no runs under runs/ yet; train one: lnfgen train; the models in the box: lnfgen models")


def _cells(row: dict[str, Any]) -> list[str]:
    state = row["state"]
    if state == "damaged":
        state += f": {row['problem'].split(';')[0]}"  # without the advice, which is the same for all
    elif state == "interrupted" and row["step"] >= row["total_steps"]:
        state += f" after its {row['total_steps']:,} updates"  # while its flow for `fill` or its rules were fitted
    elif state != "finished":
        state += f" at update {row['step']:,} of {row['total_steps']:,}"
    elbo = row["best_valid_elbo"]
    return [
        row["run"],
        row["dataset"] or "-",
        ", ".join(dict.fromkeys(row[key] for key in ("model", "backbone") if row[key])) or "-",
        "-" if elbo is None else f"{elbo:.3f} {row['unit'].split('_')[0]}",  # nats (a step) or bits (a character)
        row["changed"][:16].replace("T", " "),
        state,
    ]
