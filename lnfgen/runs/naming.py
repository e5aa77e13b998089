"""Where runs lie: `runs/DATASET-MODEL-NNN` under the present folder, and the models in the box in the package."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from lnfgen.errors import OutputError, RunError
from lnfgen.pretrained import BOX, DEFAULT, boxed_folder, is_boxed

RUNS = Path("runs")
MODEL = "model.safetensors"
METRICS = "metrics.jsonl"
STATES = ("last", ".next", "previous")
"""Where a run can have a state to go on from. A crash can leave it in `.next`, before that takes the name `last`."""

Run = TypeVar("Run")


def is_run(folder: Path) -> bool:
    """True if a folder holds a file of a run, even if other files are missing."""
    return any((folder / name).is_file() for name in ("config.json", METRICS, MODEL))


def new_run_path(dataset: str, model: str) -> Path:
    """A name that no run has yet: its number follows the highest of this dataset and model."""
    stem = f"{re.sub(r'[^A-Za-z0-9_.]+', '-', dataset).strip('-.') or 'dataset'}-{model}"
    endings = [found.name.rpartition("-")[2] for found in RUNS.glob(f"{stem}-*")]
    highest = max((int(ending) for ending in endings if ending.isdigit()), default=0)
    return RUNS / f"{stem}-{highest + 1:03d}"


def create_numbered(dataset: str, model: str, create: Callable[[Path], Run]) -> Run:
    """What `create` makes at the first path that no run has. If another process takes that first, the next is tried."""
    while True:
        path = new_run_path(dataset, model)
        try:
            return create(path)
        except OutputError:
            if not path.exists():
                raise


def newest_run(*, resumable: bool = False) -> Path:
    """The run that was started last, among those with a model or, if `resumable`, with a state to go on from.

    Raises:
        RunError: if there is none.
    """
    needed = STATES if resumable else (MODEL,)
    runs = [found.parent for found in RUNS.glob("[!.]*/config.json")]  # a hidden folder is a run that is not whole yet
    candidates = [run for run in runs if any((run / name).exists() for name in needed)]
    if not candidates:
        raise RunError(f"found no run under {RUNS}/; train first: lnfgen train")
    return max(candidates, key=lambda run: ((run / "config.json").stat().st_mtime_ns, run.name))


def usual_run() -> Path:
    """The newest run with a model, or the usual model in the box where there is none."""
    try:
        return newest_run()
    except RunError:
        return BOX / DEFAULT


def find_run(run: str | Path) -> Path:
    """The folder of the run that a person names: a path, or the name of a model in the box.

    A run at that path goes first. If what is there is no run, such as a dataset with the same name, the model is meant.
    """
    path = Path(run)
    return path if is_run(path) else boxed_folder(run) or path


def resumable_run(run: str | Path) -> Path:
    """The folder of the run that a person wants to go on with.

    Raises:
        RunError: if it is a model in the box.
    """
    path = find_run(run)
    if is_boxed(path):
        raise RunError(
            f"{path.name} is a model in the box, which has no last/ to resume from; "
            f"train your own: lnfgen train {path.name}"
        )
    return path


def distinct_names(runs: Sequence[Path]) -> list[str]:
    """What to call runs that are shown together: their folders' names, or their paths if two names are the same."""
    names = [run.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]
