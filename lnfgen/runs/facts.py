"""What `lnfgen info` tells of a run. It reads the run's files one by one, so that it loads no model and no torch."""

import json
import math
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from lnfgen.errors import RunError

FILES = ("config.json", "metrics.jsonl", "model.safetensors")
"""A folder that holds one of these is a run."""


def is_run(folder: Path) -> bool:
    """Whether a folder holds a file of a run, even if other files are missing."""
    return any((folder / name).exists() for name in FILES)


def run_facts(folder: Path) -> dict[str, Any]:
    """What a run is and how far it has come, as one flat dictionary.

    The run may have just begun, or may lack files: what is not there is None.

    Raises:
        RunError: if one of its files is damaged.
    """
    config = _json_object(folder / "config.json")
    manifest = _json_object(folder / "dataset.json")
    metrics = _whole_lines(folder / "metrics.jsonl")
    scored = [line for line in metrics if _is_number(line.get("valid_elbo"))]
    # As in training, validations count once the KL weight is 1; of a run that ended before that, all of them count.
    annealed = [line for line in scored if line.get("kl_weight") == 1.0] or scored
    best = min(annealed, key=lambda line: line["valid_elbo"], default={})
    weights = folder / "model.safetensors"
    return {
        "kind": "run",
        "model": config.get("name"),
        "preset": config.get("preset"),
        "dataset": manifest.get("name"),
        "dataset_path": manifest.get("path"),
        "holds": manifest.get("kind"),
        "parameters": _count_parameters(weights) if weights.exists() else None,
        "epochs": metrics[-1].get("epoch") if metrics else None,
        "steps": metrics[-1].get("step") if metrics else None,
        "best_epoch": best.get("epoch"),
        "best_valid_elbo": best.get("valid_elbo"),
        "best_valid_kl": best.get("valid_kl"),
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; an empty one if the file is missing."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}; expected a JSON object; restore it, or train again") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} holds a {type(value).__name__}; expected a JSON object; restore it, or train again")
    return value


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl` that are JSON objects. The last line may be half a line, if the run was killed."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            lines.append(value)
    return lines


def _count_parameters(path: Path) -> int:
    """The number of weights in a safetensors file, without loading them; those of the length model are left out."""
    try:
        with safe_open(path, framework="np") as tensors:
            names = [name for name in tensors.keys() if not name.startswith("length.")]  # noqa: SIM118
            return sum(math.prod(tensors.get_slice(name).get_shape()) for name in names)
    except (SafetensorError, ValueError) as error:
        raise RunError(
            f"{path} is damaged: {error}; expected safetensors weights; restore it, or train again"
        ) from error
