"""The dataset that a run was trained on."""

from pathlib import Path

from lnfgen.data.storage import Dataset, open_dataset
from lnfgen.errors import DatasetError, RunError
from lnfgen.runs.folder import RunFolder


def dataset_of(run: RunFolder) -> Dataset:
    """Open the dataset that a run was trained on, at the path that the run remembers.

    Raises:
        RunError: if the dataset is no longer there, or its content has changed.
    """
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
