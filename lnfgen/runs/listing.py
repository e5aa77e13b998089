"""Runs at a glance: what each is, how far it has come, and its best figures.

No model and no torch is loaded.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from safetensors import safe_open

from lnfgen.config import DECAYS_BEFORE_STOP, Config, config_of, read_config
from lnfgen.conventions import UNITS
from lnfgen.errors import RunError
from lnfgen.files import read_object, try_lock
from lnfgen.pretrained import is_boxed
from lnfgen.runs.folder import CALIBRATED, CHECKSUM, read_metrics, read_part
from lnfgen.runs.naming import METRICS, MODEL, RUNS, STATES, find, is_run
from lnfgen.wording import frequencies

# The facts in a row of `overview`, beside the run, the unit of its figures, when it changed, and
# its problem.
KEYS = (
    "dataset",
    "model",
    "backbone",
    "state",
    "step",
    "total_steps",
    "best_valid_elbo",
    "best_valid_kl",
)


def overview(folders: Sequence[Path] = ()) -> list[dict[str, Any]]:
    """Return a row for each run under `runs/`, the last changed one last.

    If there are `folders`, they are runs or folders of runs, whose rows are returned. A row has the
    state `training`, `finished`, `interrupted` or `damaged`; then `problem` says what is wrong.

    Raises:
        RunError: if a named folder is missing, or holds no run.
    """
    found: list[Path] = []
    if not folders:
        found = _runs_in(RUNS)
    for given in folders:
        kind, folder = find(given, "run", "files")
        runs = [folder] if kind == "run" else _runs_in(folder)
        if not runs:
            raise RunError(f"{folder} holds no run; expected a run, or a folder of runs")
        found += runs
    rows = [_row(run) for run in dict.fromkeys(found)]
    return sorted(rows, key=lambda row: row["changed"])


def run_facts(folder: Path) -> dict[str, Any]:
    """Return the settings and the progress of a run as one flat dictionary. A fact of a missing
    file is None."""
    model = None
    manifest: dict[str, Any] = {}
    metrics: list[dict[str, Any]] = []
    if (folder / "config.json").exists():
        model = _config(folder).model
    if (folder / "dataset.json").exists():
        manifest = read_part(folder / "dataset.json", read_object)
    if (folder / METRICS).exists():
        metrics = read_metrics(folder / METRICS, cut=True)
    scored = [line for line in metrics if math.isfinite(line.get("valid_elbo", math.nan))]
    # As in training, validations count once the KL weight is 1. If it never came to 1, all of them
    # count.
    annealed = [line for line in scored if line.get("kl_weight") == 1.0] or scored
    best = min(annealed, key=lambda line: line["valid_elbo"], default={})
    last = metrics[-1] if metrics else {}
    architecture: dict[str, Any] = dict.fromkeys(("model", "backbone", "transform", "emission"))
    time_signatures = None
    if model is not None:
        architecture = model.facts()
        if model.reads_time_signature:
            time_signatures = _time_signatures(manifest)
    return {
        "kind": "run",
        **architecture,
        "dataset": manifest.get("name"),
        "dataset_path": manifest.get("path"),
        "holds": manifest.get("kind"),
        "time_signatures": time_signatures,
        "parameters": _count_parameters(folder / MODEL),
        "epochs": last.get("epoch"),
        "steps": last.get("step"),
        "best_epoch": best.get("epoch"),
        "best_valid_elbo": best.get("valid_elbo"),
        "best_valid_kl": best.get("valid_kl"),
    }


def is_calibrated(run: Path) -> bool:
    """True if the run's model is calibrated. It is not after training has chosen other weights."""
    checksum, _ = _header(run / MODEL)
    return checksum.endswith(CALIBRATED)


def _runs_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("[!.]*")) if is_run(path)]


def _row(run: Path) -> dict[str, Any]:
    name = run.name if is_boxed(run) else str(run)  # what commands take
    row = {"run": name, **dict.fromkeys(KEYS), "unit": None}
    row |= {"changed": _time_of_change(run), "problem": None}
    try:
        return row | _state(run)
    # damage has as many forms as files have bytes, and must not hide the other runs
    except Exception as error:
        problem = " ".join(_reason(error).removeprefix(f"{run}/").split())
        return row | {"state": "damaged", "problem": problem}


def _time_of_change(run: Path) -> str:
    """The time of the last validation, or else of the beginning of the run."""
    dated = next(path for path in (run / METRICS, run / "config.json", run) if path.exists())
    changed = datetime.fromtimestamp(dated.stat().st_mtime).astimezone()
    return changed.isoformat(timespec="seconds")


def _reason(error: Exception) -> str:
    """What is wrong with a run that cannot be read."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, KeyError):
        return f"dataset.json is damaged at {error}; restore it, or train again"
    return str(error) or type(error).__name__


def _config(run: Path) -> Config:
    return config_of(read_config(run / "config.json"), str(run / "config.json"))


def _state(run: Path) -> dict[str, Any]:
    config = _config(run)
    manifest = read_part(run / "dataset.json", read_object)
    facts = run_facts(run)
    training = config.training
    total_steps = training.total_steps(manifest["splits"]["train"]["sequences"])
    progress = _progress(run)
    if progress is not None:
        step, stale = progress
        is_trained = step >= total_steps or stale >= DECAYS_BEFORE_STOP * training.patience
        if is_trained and facts["parameters"] is None:
            raise RunError(
                "it is finished and has no model.safetensors; restore it, or train again"
            )
        is_finished = is_trained and (not training.rounds_after(step) or is_calibrated(run))
    else:
        # A model without a state was given away, as those in the box are. It cannot go on, and so
        # it is finished.
        is_finished = facts["parameters"] is not None
        step = (facts["steps"] or 0) if is_finished else 0
    state = "finished" if is_finished else "interrupted"
    with try_lock(run) as free:
        if free is False:
            state = "training"
    facts |= {"backbone": config.model.backbone, "state": state}
    facts |= {"step": step, "total_steps": total_steps}
    row = {key: facts[key] for key in KEYS}
    return row | {"unit": UNITS[manifest["kind"]]}


def _progress(run: Path) -> tuple[int, int] | None:
    """The updates up to the last save, and the validations without improvement since the best.

    It is None if there is no save.
    """
    for name in STATES:
        path = run / name / "progress.json"
        if path.is_file():
            values = read_part(path, read_object)
            step = values.get("step")
            stale = values.get("stale", 0)
            if type(step) is not int or type(stale) is not int:
                raise RunError(
                    f"{path} is damaged: found step {step!r} and stale {stale!r}; expected whole "
                    "numbers"
                )
            return step, stale
    return None


def _time_signatures(manifest: dict[str, Any]) -> str | None:
    """The time signatures of the train split, the most common one first, with their numbers."""
    try:
        return frequencies(manifest["splits"]["train"]["time_signatures"].split())
    except (KeyError, TypeError, AttributeError):  # the manifest is damaged
        return None


def _count_parameters(path: Path) -> int | None:
    """The number of weights in a safetensors file, but those of lengths and time signatures.

    It is None if there is no file.
    """
    if not path.exists():
        return None
    _, shapes = _header(path)
    total = 0
    for name, shape in shapes.items():
        if not name.startswith(("length.", "time_signatures.")):
            total += math.prod(shape)
    return total


def _header(path: Path) -> tuple[str, dict[str, list[int]]]:
    """The checksum in a safetensors file, and the shapes of the tensors, which are not loaded."""

    def read(path: Path) -> tuple[str, dict[str, list[int]]]:
        shapes = {}
        with safe_open(path, framework="np") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (it is no dictionary)
                shapes[name] = tensors.get_slice(name).get_shape()
            metadata = tensors.metadata() or {}
        return metadata.get(CHECKSUM, ""), shapes

    return read_part(path, read)
