"""All runs at a glance: what each is, how far it has come, and its best figures. It loads no model and no torch."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from lnfgen.config import DECAYS_BEFORE_STOP, read_run_config
from lnfgen.conventions import UNITS
from lnfgen.errors import RunError
from lnfgen.locks import try_lock
from lnfgen.pretrained import boxed_folder, is_boxed
from lnfgen.runs.facts import is_calibrated, is_run, run_facts
from lnfgen.runs.naming import RUNS, STATES
from lnfgen.runs.records import read_record

KEYS = ("dataset", "model", "backbone", "state", "step", "total_steps", "best_valid_elbo", "best_valid_kl")
"""What a row tells of a run, beside its folder, the unit of its figures, when it changed, and what is wrong with it."""


def overview(folders: Sequence[Path] = ()) -> list[dict[str, Any]]:
    """A row for each run under `runs/`, or in the given folders, in the order of their last change.

    A row has the state `training`, `finished`, `interrupted` or `damaged`. Of a damaged run, `problem` says what is
    wrong, and the figures are None.

    Args:
        folders: runs, folders that hold some, and names of models in the box.

    Raises:
        RunError: if a given folder is not there, or holds no run.
    """
    found: dict[Path, None] = {}
    for given in folders:
        folder = given if given.exists() else boxed_folder(given) or given
        if not folder.is_dir():
            raise RunError(f"{folder} is no folder; expected a run, or a folder of runs")
        runs = [folder] if is_run(folder) else _runs_in(folder)
        if not runs:
            raise RunError(f"{folder} holds no run; expected a run, or a folder of runs")
        found |= dict.fromkeys(runs)
    if not folders and RUNS.is_dir():
        found = dict.fromkeys(_runs_in(RUNS))
    return sorted(map(_row, found), key=lambda row: row["changed"])


def _runs_in(folder: Path) -> Iterable[Path]:
    inside = (path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith("."))
    return [path for path in inside if is_run(path)]


def _row(run: Path) -> dict[str, Any]:
    name = run.name if is_boxed(run) else str(run)  # what commands take
    row = {"run": name, **dict.fromkeys(KEYS), "unit": None, "changed": _changed(run), "problem": None}
    try:
        return row | _facts(run)
    except Exception as error:  # damage has as many forms as files have bytes, and must not hide the other runs
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        reason = reason or type(error).__name__
        return row | {"state": "damaged", "problem": " ".join(reason.split()).removeprefix(f"{run}/")}


def _facts(run: Path) -> dict[str, Any]:
    config = read_run_config(run / "config.json")
    manifest = read_record(run / "dataset.json")
    facts = run_facts(run)
    saved = _progress(run)
    # A model without a state was given away, as those in the box are. It cannot go on, and so it is finished.
    given_away = saved is None and facts["parameters"] is not None
    step, stale = saved or (facts["steps"] or 0 if given_away else 0, 0)
    total = config.training.total_steps(manifest["splits"]["train"]["sequences"])
    trained = given_away or step >= total or stale >= DECAYS_BEFORE_STOP * config.training.patience
    if trained and facts["parameters"] is None:
        raise RunError("it is finished and has no model.safetensors; restore it, or train again")
    finished = given_away or (trained and (not config.training.pieces_a_round(step) or is_calibrated(run)))
    with try_lock(run) as free:
        state = "training" if free is False else "finished" if finished else "interrupted"
    own = {"backbone": config.model.backbone, "state": state, "step": step, "total_steps": total}
    return {key: (facts | own)[key] for key in KEYS} | {"unit": UNITS[manifest["kind"]]}


def _progress(run: Path) -> tuple[int, int] | None:
    """The updates up to the last save, and the validations without improvement; None if there is no save."""
    for name in STATES:
        path = run / name / "progress.json"
        if path.is_file():
            values = read_record(path)
            step, stale = values.get("step"), values.get("stale", 0)
            if type(step) is not int or type(stale) is not int:
                raise RunError(f"{path} is damaged: found step {step!r} and stale {stale!r}; expected whole numbers")
            return step, stale
    return None


def _changed(run: Path) -> str:
    """When a validation was written last, else when the run was begun, as ISO 8601 in local time."""
    files = [path for path in (run / "metrics.jsonl", run / "config.json", run) if path.exists()]
    return datetime.fromtimestamp(files[0].stat().st_mtime).astimezone().isoformat(timespec="seconds")
