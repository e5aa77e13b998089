"""Datasets and runs as commands name them, with a progress bar where it takes a while."""

from pathlib import Path
from typing import TYPE_CHECKING

from lnfgen.cli import console

if TYPE_CHECKING:
    from lnfgen.data.storage import Dataset


def resolve_dataset(source: str | None) -> "Dataset":
    """A dataset folder, a named set, or files: opened, made on the way if it must be."""
    from lnfgen.data.resolve import resolve

    with console.jobs() as progress:
        return resolve(source, progress)


def resolve_run(run: Path | None) -> Path:
    """The run given, or the newest under runs/, said on stderr."""
    from lnfgen.runs.naming import newest_run

    if run is None:
        run = newest_run()
        console.note(f"run {run}")
    return run
