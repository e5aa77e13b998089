"""What `lnfgen info` tells of a run. It reads the files one by one, so that it loads no model and no torch."""

import math
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from lnfgen.config import Config, read_run_config
from lnfgen.errors import RunError
from lnfgen.files import sha256_of
from lnfgen.runs.records import METRICS, read_metrics, read_record
from lnfgen.wording import frequencies

MODEL = "model.safetensors"
FILES = ("config.json", METRICS, MODEL)
"""A folder that holds one of these is a run."""


CALIBRATION = "calibration.json"
"""The record of the model whose rules were calibrated (`lnfgen.training.calibration`)."""

_NO_WEIGHTS = ("length.", "time_signatures.")


def is_run(folder: Path) -> bool:
    """Whether a folder holds a file of a run, even if other files are missing."""
    return any((folder / name).is_file() for name in FILES)


def is_calibrated(run: Path) -> bool:
    """Whether the rules of the run's model were calibrated. They are not after training has chosen other weights.

    Raises:
        RunError: if the record of it is damaged.
    """
    record, model = run / CALIBRATION, run / MODEL
    if not record.is_file() or not model.is_file():
        return False
    return bool(read_record(record).get("model_sha256") == sha256_of(model))


def run_facts(folder: Path) -> dict[str, Any]:
    """What a run is and how far it has come, as one flat dictionary. What a missing file would tell is None.

    Raises:
        LnfgenError: if one of its files is damaged.
    """
    known, has_dataset, has_metrics = ((folder / name).exists() for name in ("config.json", "dataset.json", METRICS))
    config = read_run_config(folder / "config.json") if known else Config()  # whose facts do not count
    manifest = read_record(folder / "dataset.json") if has_dataset else {}
    metrics = read_metrics(folder / METRICS, cut=True) if has_metrics else []
    scored = [line for line in metrics if math.isfinite(line.get("valid_elbo", math.nan))]
    # As in training, validations count once the KL weight is 1. If it never came to 1, all of them count.
    annealed = [line for line in scored if line.get("kl_weight") == 1.0] or scored
    best = min(annealed, key=lambda line: line["valid_elbo"], default={})
    last = metrics[-1] if metrics else {}
    facts = config.model.facts()
    return {
        "kind": "run",
        **(facts if known else dict.fromkeys(facts)),
        "dataset": manifest.get("name"),
        "dataset_path": manifest.get("path"),
        "holds": manifest.get("kind"),
        "time_signatures": _time_signatures(manifest) if config.model.in_metre else None,
        "parameters": _count_parameters(folder / MODEL),
        "epochs": last.get("epoch"),
        "steps": last.get("step"),
        "best_epoch": best.get("epoch"),
        "best_valid_elbo": best.get("valid_elbo"),
        "best_valid_kl": best.get("valid_kl"),
    }


def _time_signatures(manifest: dict[str, Any]) -> str | None:
    """Those of the train split, which `sample --metre` takes, the most common one first."""
    try:
        words = manifest["splits"]["train"]["time_signatures"].split()
    except (KeyError, TypeError, AttributeError):  # an older dataset, or a damaged one
        return None
    return frequencies(words)


def _count_parameters(path: Path) -> int | None:
    """The number of weights in a safetensors file; None if it is not there.

    Those of lengths and time signatures do not count.
    """
    if not path.exists():
        return None
    return sum(math.prod(shape) for name, shape in weight_shapes(path).items() if not name.startswith(_NO_WEIGHTS))


def weight_shapes(path: Path) -> dict[str, list[int]]:
    """The sizes of the tensors in a safetensors file, by their names. None of them is loaded.

    Raises:
        RunError: if the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="np") as tensors:
            return {name: tensors.get_slice(name).get_shape() for name in tensors.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise RunError(f"{path} is missing; restore it, or train again") from None
    except (SafetensorError, ValueError) as error:
        raise RunError(
            f"{path} is damaged: {error}; expected safetensors weights; restore it, or train again"
        ) from error
