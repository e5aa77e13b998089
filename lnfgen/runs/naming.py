"""Where runs lie: `runs/DATASET-MODEL-NNN` under the present folder."""

import re
from pathlib import Path

from lnfgen.errors import RunError

RUNS = Path("runs")


def new_run_path(dataset: str, model: str) -> Path:
    """A name that no run has yet: its number follows the highest of this dataset and model."""
    stem = f"{re.sub(r'[^A-Za-z0-9_.]+', '-', dataset).strip('-.') or 'dataset'}-{model}"
    endings = [found.name.rpartition("-")[2] for found in RUNS.glob(f"{stem}-*")]
    highest = max((int(ending) for ending in endings if ending.isdigit()), default=0)
    return RUNS / f"{stem}-{highest + 1:03d}"


def newest_run(*, resumable: bool = False) -> Path:
    """The run that was started last, among those with a model or, if `resumable`, with a state to go on from.

    Raises:
        RunError: if there is none.
    """
    # A crash can leave the state in `.next`, before that takes the name `last`.
    needed = ("last", ".next") if resumable else ("model.safetensors",)
    runs = [found.parent for found in RUNS.glob("*/config.json")]
    candidates = [run for run in runs if any((run / name).exists() for name in needed)]
    if not candidates:
        raise RunError(f"found no run under {RUNS}/; train first: lnfgen train")
    return max(candidates, key=lambda run: ((run / "config.json").stat().st_mtime_ns, run.name))
