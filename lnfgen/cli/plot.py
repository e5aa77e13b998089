"""`lnfgen plot`."""

from pathlib import Path
from typing import Annotated

import typer

from lnfgen.cli import console
from lnfgen.cli.options import USUAL_RUN, Quiet
from lnfgen.conventions import UNIT_WORDS
from lnfgen.errors import LnfgenError
from lnfgen.files import real_path, write_bytes


def command(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Runs, or models of `lnfgen list --models`; several to compare.",
            show_default=USUAL_RUN,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="File to write: .png, .svg or .pdf.")] = Path(
        "curves.png"
    ),
    quiet: Quiet = False,
) -> None:
    """Draw the training curves of a run, or of several together, and print the file written.

    For several runs, only the valid ELBO of each is drawn.
    """
    from lnfgen.cli.sources import resolve_run
    from lnfgen.plots.canvas import require_picture
    from lnfgen.plots.curves import Course, compared_curves, training_curves
    from lnfgen.runs.naming import METRICS

    suffix = require_picture(out)
    paths: list[Path | None] = [*runs] if runs else [None]
    folders = [resolve_run(path) for path in paths]
    units = {run.encoding.unit: run for run in folders}
    if len(units) > 1:
        found = ", ".join(f"{run.name} is in {UNIT_WORDS[unit]}" for unit, run in units.items())
        raise LnfgenError(
            f"cannot draw runs of different units together: {found}; draw each kind by itself"
        )
    names = [real_path(run.path).name for run in folders]
    if len(set(names)) < len(names):
        names = [str(run.path) for run in folders]
    if len(names) == 1:
        names = [f"{names[0]}: {folders[0].config.model.name} on {folders[0].dataset['name']}"]
    courses = [
        Course(name, run.metrics(), str(run.path / METRICS))
        for name, run in zip(names, folders, strict=True)
    ]
    (unit,) = units
    if len(courses) > 1:
        picture = compared_curves(courses, unit, suffix)
    else:
        picture = training_curves(courses[0], unit, suffix)
    write_bytes(out, picture)
    console.result(str(out))
