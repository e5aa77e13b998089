"""Datasets, runs and pieces, as commands name them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lnfgen.cli import console
from lnfgen.errors import UnreadableFileError

if TYPE_CHECKING:
    from lnfgen.data.storage import Dataset
    from lnfgen.formats import Piece
    from lnfgen.runs.folder import RunFolder


def resolve_dataset(source: str | None) -> "Dataset":
    """Open a dataset folder, a named dataset or files, which are made into a dataset first."""
    from lnfgen.data.resolve import resolve

    with console.jobs() as progress:
        return resolve(source, progress)


def resolve_run_dataset(run: "RunFolder", source: str | None, advice: str) -> "Dataset":
    """The dataset that a run was trained on; `source` names a copy of it."""
    from lnfgen.runs.dataset import dataset_of

    with console.jobs() as progress:
        return dataset_of(run, source, advice=advice, progress=progress)


def resolve_run(run: Path | None) -> Path:
    """The run given, or the newest under runs/, said on stderr."""
    from lnfgen.runs.naming import newest_run

    if run is None:
        run = newest_run()
        console.note(f"run {run}")
    return run


def read_pieces(path: str, steps_per_quarter: int, drums: bool) -> "list[Piece]":
    """The pieces in a file, or in stdin if the path is -."""
    from lnfgen import formats

    if path != "-":
        return formats.read(path, steps_per_quarter=steps_per_quarter, drums=drums)
    content = sys.stdin.buffer.read()
    if not content:
        raise UnreadableFileError("stdin is empty; expected a piece of music or a text")
    return formats.read_bytes(content, "stdin", steps_per_quarter=steps_per_quarter, drums=drums)
