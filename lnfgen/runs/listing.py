"""Runs at a glance: what each is, how far it has come, and its best figures. No model and no torch
is loaded."""

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
"""The facts in a row of `overview`, beside the run, the unit of its figures, when it changed, and
its problem."""


def overview(folders: Sequence[Path] = ()) -> list[dict[str, Any]]:
    """Return a row for each run under `runs/`, or for those named or in the named folders, the last
    changed one last.

    A row has the state `training`, `finished`, `interrupted` or `damaged`; then `problem` says what
    is wrong.

    Raises:
        RunError: if a named folder is missing, or holds no run.
    """
    found: dict[Path, None] = {} if folders else dict.fromkeys(_runs_in(RUNS))
    for given in folders:
        kind, folder = find(given, "run", "files")
        runs = [folder] if kind == "run" else _runs_in(folder)
        if not runs:
            raise RunError(f"{folder} holds no run; expected a run, or a folder of runs")
        found |= dict.fromkeys(runs)
    return sorted(map(_row, found), key=lambda row: row["changed"])


def run_facts(folder: Path) -> dict[str, Any]:
    """Return the settings and the progress of a run as one flat dictionary. A fact of a missing
    file is None."""
    known, has_dataset, has_metrics = (
        (folder / name).exists() for name in ("config.json", "dataset.json", METRICS)
    )
    model = _config(folder).model if known else None
    manifest = read_part(folder / "dataset.json", read_object) if has_dataset else {}
    metrics = read_metrics(folder / METRICS, cut=True) if has_metrics else []
    scored = [line for line in metrics if math.isfinite(line.get("valid_elbo", math.nan))]
    # As in training, validations count once the KL weight is 1. If it never came to 1, all of them
    # count.
    annealed = [line for line in scored if line.get("kl_weight") == 1.0] or scored
    best = min(annealed, key=lambda line: line["valid_elbo"], default={})
    last = metrics[-1] if metrics else {}
    return {
        "kind": "run",
        **(
            model.facts()
            if model
            else dict.fromkeys(("model", "backbone", "transform", "emission"))
        ),
        "dataset": manifest.get("name"),
        "dataset_path": manifest.get("path"),
        "holds": manifest.get("kind"),
        "time_signatures": _time_signatures(manifest) if model and model.in_metre else None,
        "parameters": _count_parameters(folder / MODEL),
        "epochs": last.get("epoch"),
        "steps": last.get("step"),
        "best_epoch": best.get("epoch"),
        "best_valid_elbo": best.get("valid_elbo"),
        "best_valid_kl": best.get("valid_kl"),
    }


def is_calibrated(run: Path) -> bool:
    """True if the run's model is calibrated. It is not after training has chosen other weights."""
    return _header(run / MODEL)[0].endswith(CALIBRATED)


def _runs_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("[!.]*")) if is_run(path)]


def _row(run: Path) -> dict[str, Any]:
    name = run.name if is_boxed(run) else str(run)  # what commands take
    # The time of the last validation, or else of the beginning of the run.
    dated = next(path for path in (run / METRICS, run / "config.json", run) if path.exists())
    changed = (
        datetime.fromtimestamp(dated.stat().st_mtime).astimezone().isoformat(timespec="seconds")
    )
    row = {"run": name, **dict.fromkeys(KEYS), "unit": None, "changed": changed, "problem": None}
    try:
        return row | _state(run)
    # damage has as many forms as files have bytes, and must not hide the other runs
    except Exception as error:
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        if isinstance(error, KeyError):
            reason = f"dataset.json is damaged at {error}; restore it, or train again"
        reason = reason or type(error).__name__
        return row | {
            "state": "damaged",
            "problem": " ".join(reason.removeprefix(f"{run}/").split()),
        }


def _config(run: Path) -> Config:
    return config_of(read_config(run / "config.json"), str(run / "config.json"))


def _state(run: Path) -> dict[str, Any]:
    config = _config(run)
    manifest = read_part(run / "dataset.json", read_object)
    facts = run_facts(run)
    saved = _progress(run)
    # A model without a state was given away, as those in the box are. It cannot go on, and so it is
    # finished.
    given_away = saved is None and facts["parameters"] is not None
    step, stale = saved or (facts["steps"] or 0 if given_away else 0, 0)
    training, total = (
        config.training,
        config.training.total_steps(manifest["splits"]["train"]["sequences"]),
    )
    trained = given_away or step >= total or stale >= DECAYS_BEFORE_STOP * training.patience
    if trained and facts["parameters"] is None:
        raise RunError("it is finished and has no model.safetensors; restore it, or train again")
    finished = given_away or (trained and (not training.rounds_after(step) or is_calibrated(run)))
    with try_lock(run) as free:
        state = "training" if free is False else "finished" if finished else "interrupted"
    own = {"backbone": config.model.backbone, "state": state, "step": step, "total_steps": total}
    return {key: (facts | own)[key] for key in KEYS} | {"unit": UNITS[manifest["kind"]]}


def _progress(run: Path) -> tuple[int, int] | None:
    """The updates up to the last save, and the validations without improvement; None if there is no
    save."""
    for name in STATES:
        path = run / name / "progress.json"
        if path.is_file():
            values = read_part(path, read_object)
            step, stale = values.get("step"), values.get("stale", 0)
            if type(step) is not int or type(stale) is not int:
                raise RunError(
                    f"{path} is damaged: found step {step!r} and stale {stale!r}; expected whole numbers"
                )
            return step, stale
    return None


def _time_signatures(manifest: dict[str, Any]) -> str | None:
    """Return the time signatures of the train split, which `--want metre=` takes, the most common
    one first."""
    try:
        return frequencies(manifest["splits"]["train"]["time_signatures"].split())
    except (KeyError, TypeError, AttributeError):  # the manifest is damaged
        return None


def _count_parameters(path: Path) -> int | None:
    """The number of weights, but those of lengths and time signatures, in a safetensors file; None
    if it is missing."""
    if not path.exists():
        return None
    counted = {name: math.prod(shape) for name, shape in _header(path)[1].items()}
    return sum(
        count
        for name, count in counted.items()
        if not name.startswith(("length.", "time_signatures."))
    )


def _header(path: Path) -> tuple[str, dict[str, list[int]]]:
    """The checksum in a safetensors file, and the shapes of the tensors by their names. No tensor
    is loaded."""

    def read(path: Path) -> tuple[str, dict[str, list[int]]]:
        with safe_open(path, framework="np") as tensors:
            shapes = {name: tensors.get_slice(name).get_shape() for name in tensors.keys()}  # noqa: SIM118
            return (tensors.metadata() or {}).get(CHECKSUM, ""), shapes

    return read_part(path, read)
