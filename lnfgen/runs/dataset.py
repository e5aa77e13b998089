"""The dataset of a run, wherever it is now. It is known by its content, not by its place."""

from pathlib import Path

from lnfgen.conventions import Progress, no_progress
from lnfgen.data import named
from lnfgen.data.dataset import Dataset, open_dataset
from lnfgen.data.resolve import resolve
from lnfgen.data.sources import Options
from lnfgen.errors import DatasetError, RunError
from lnfgen.music.tracks import ALL
from lnfgen.runs.folder import RunFolder


def reading_options(run: RunFolder) -> Options:
    """How to read other files for a run: as those of its own dataset were, and music on the model's grid.

    Raises:
        RunError: if the run's `dataset.json` is damaged there.
    """
    preprocessing = run.dataset.get("preprocessing", {})
    own = preprocessing.get("options", {}) if isinstance(preprocessing, dict) else None
    if not isinstance(own, dict) or not isinstance(own.get("max_length"), int | None):
        where = run.path / "dataset.json"
        raise RunError(f"{where} is damaged: found no preprocessing.options in it; restore it, or train again")
    kind, max_length = run.encoding.kind, own.get("max_length")
    if kind == "text":
        return Options(kind=kind, max_length=max_length, chunks=bool(own.get("chunks")))
    return Options(
        kind=kind,
        max_length=max_length,
        steps_per_quarter=run.encoding.steps_per_quarter,
        drums=bool(own.get("drums")),
        tracks=str(own.get("tracks", ALL)),
    )


def dataset_of(
    run: RunFolder, source: str | Path | Dataset | None = None, *, advice: str, progress: Progress = no_progress
) -> Dataset:
    """Open the dataset that a run was trained on.

    Without `source` it is looked for at the path that the run remembers. If it is not there, and has the name of a
    named dataset, that is taken from the cache, or made again without a download.

    Args:
        source: a copy of it: an open dataset, a dataset folder, or what it was made of.
        advice: what to type to name a copy of it, for the message of an error.
        progress: is told of a dataset being made.

    Raises:
        RunError: if it is not found, or what is found has another content.
    """
    name, fingerprint = run.dataset["name"], run.dataset["fingerprint"]
    if source is not None:
        found = source if isinstance(source, Dataset) else resolve(source, progress)
        if found.fingerprint != fingerprint:
            problem = f"{found.path} is not the dataset {name} of {run.name}: {_differences(run, found)}"
            raise RunError(f"{problem}; name a copy of it: {advice}")
        return found
    path = Path(run.dataset["path"])
    try:
        found = open_dataset(path)
        if found.fingerprint == fingerprint:
            return found
        problem = f"{path} has changed since {run.name} was trained on it: {_differences(run, found)}"
    except DatasetError as error:
        problem = f"the dataset {name} of {run.name} cannot be opened: {str(error).split(';')[0]}"
    if name in named.NAMED:
        try:
            found = resolve(name, progress)
            problem += f", and {name} is made otherwise by now"
            if found.fingerprint == fingerprint:
                return found
        except DatasetError as error:
            problem += f", and {error}"
    raise RunError(f"{problem}; name a copy of it: {advice}")


def _differences(run: RunFolder, found: Dataset) -> str:
    """Which fields of `dataset.json` are others than those of the run's dataset, of those that its content decides."""
    own, other = run.encoding.to_json(), found.encoding.to_json()
    fields = [f"encoding.{key}" for key in sorted({**own, **other}) if own.get(key) != other.get(key)]
    was, now = run.dataset.get("splits"), found.manifest.get("splits", {})
    was = was if isinstance(was, dict) else {}
    fields += [f"splits.{split}" for split in {**was, **now} if was.get(split) != now.get(split)]
    return "its content is another" + (f" ({', '.join(fields)})" if fields else "")
