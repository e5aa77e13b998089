"""Datasets and runs as commands name them, with a progress bar where it takes a while."""

from pathlib import Path
from typing import TYPE_CHECKING

from lnfgen.cli import console
from lnfgen.errors import DatasetError, RunError

if TYPE_CHECKING:
    from lnfgen.checkpoint import RunFolder
    from lnfgen.data.storage import Dataset


def resolve_dataset(source: str | None) -> "Dataset":
    """A dataset folder, a named set, or files: opened, made on the way if it must be."""
    from lnfgen.data.resolve import resolve

    with console.jobs() as progress:
        return resolve(source, progress)


def resolve_run(run: Path | None) -> Path:
    """The run given, or the newest under runs/, said on stderr."""
    from lnfgen.runs import newest_run

    if run is None:
        run = newest_run()
        console.note(f"run {run}")
    return run


def dataset_of(run: "RunFolder") -> "Dataset":
    """The dataset that a run was trained on.

    Raises:
        RunError: if it has moved or changed.
    """
    from lnfgen.data.storage import open_dataset

    path = Path(run.dataset["path"])
    try:
        dataset = open_dataset(path)
    except DatasetError as error:
        raise RunError(f"the dataset of {run.path} cannot be opened: {error}") from error
    if dataset.fingerprint != run.dataset["fingerprint"]:
        raise RunError(
            f"{path} has changed since {run.path} was trained on it; name the dataset to use: lnfgen eval RUN DATASET"
        )
    return dataset
