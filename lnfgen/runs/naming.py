"""Where runs lie: `runs/DATASET-MODEL-NNN` under the present folder."""

import re
from pathlib import Path

from lnfgen.errors import RunError

RUNS = Path("runs")


def new_run_path(dataset: str, model: str) -> Path:
    """A name no run has yet: the number after the highest of this dataset and model."""
    stem = f"{re.sub(r'[^A-Za-z0-9_.]+', '-', dataset).strip('-.') or 'dataset'}-{model}"
    taken = [
        int(found.name.rsplit("-", 1)[1]) for found in RUNS.glob(f"{stem}-*") if found.name.rsplit("-", 1)[1].isdigit()
    ]
    return RUNS / f"{stem}-{max(taken, default=0) + 1:03d}"


def newest_run(*, resumable: bool = False) -> Path:
    """The run started last, among those with a model (or, `resumable`, with a state to go on from).

    Raises:
        RunError: if there is none.
    """
    # `.next` is a state that a crash left before it took the name `last`.
    needed = ("last", ".next") if resumable else ("model.safetensors",)
    runs = (found.parent for found in RUNS.glob("*/config.json"))
    candidates = [run for run in runs if any((run / name).exists() for name in needed)]
    if not candidates:
        raise RunError(f"found no run under {RUNS}/; train first: lnfgen train")
    return max(candidates, key=lambda run: ((run / "config.json").stat().st_mtime_ns, run.name))
