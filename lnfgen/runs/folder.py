"""The run folder: a model, its settings and its training on disk. No pickle is written or read.

    config.json          the settings (`lnfgen.config.Config`)
    dataset.json         the manifest of the dataset, with its path and fingerprint
    model.safetensors    the averaged weights that were kept: the best on the valid split, or the
                         last ones
    last/                what a resumed run needs: weights, their average, optimizer, random
                         states, progress
    previous/            the state before that one, in case `last/` gets damaged
    metrics.jsonl        a line for each validation

This module loads no torch; `checkpoint.py` reads and writes the tensors, which are the model and
`last/`.
"""

import csv
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError

from lnfgen.config import Config, config_of, read_config
from lnfgen.data.dataset import Dataset, check_manifest
from lnfgen.errors import DatasetError, RunError
from lnfgen.files import new_folder, read_object, write_json, write_text
from lnfgen.pretrained import BOXED, is_boxed
from lnfgen.runs.naming import METRICS

# The name of the checksum in the metadata of a safetensors file, and in `last/progress.json`.
CHECKSUM = "sha256"
# Follows the checksum of a model that is calibrated (`lnfgen.training.calibration`).
CALIBRATED = " calibrated"

Content = TypeVar("Content")


class RunFolder:
    """A run on disk.

    Each file is written under another name and then renamed, so it is whole at any moment.
    """

    def __init__(self, path: Path) -> None:
        """Open an existing run, or raise a `RunError` if the folder is missing or is not a run."""
        self.path = path
        settings = path / "config.json"
        where = path / "dataset.json"
        if not settings.is_file():
            found = "found no config.json in it" if path.is_dir() else "there is no such folder"
            raise RunError(
                f"{path} is not a run: {found}; train one first: lnfgen train; "
                f"or name a model in the box: {', '.join(BOXED)}"
            )
        self.config = config_of(read_config(settings), str(settings))
        self.dataset = read_part(where, read_object)
        try:
            advice = "restore it, or train again"
            self.encoding, _ = check_manifest(
                where, self.dataset, advice, path=str, fingerprint=str
            )
        except DatasetError as error:
            raise RunError(str(error)) from error

    @property
    def name(self) -> str:
        """The name that commands take: the path of the run, or the name of a model in the box."""
        return self.path.name if is_boxed(self.path) else str(self.path)

    @classmethod
    def create(
        cls,
        path: Path,
        config: Config,
        dataset: Dataset,
        fill: Callable[[Path], None] = lambda folder: None,
    ) -> "RunFolder":
        """A new run folder with its settings; `path` must be new or empty.

        Args:
            fill: adds files to the folder before it appears.
        """
        with new_folder(path) as folder:
            _write_settings(folder, config, dataset)
            write_text(folder / METRICS, "")
            fill(folder)
        return cls(path)

    def update(self, config: Config, dataset: Dataset) -> None:
        """Give the run other settings, or another place of its dataset."""
        self.config = config
        self.dataset = _write_settings(self.path, config, dataset)

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`, as `read_metrics` gives them."""
        return read_metrics(self.path / METRICS)

    def write_metrics(self, lines: list[dict[str, Any]]) -> None:
        """Replace `metrics.jsonl`. A run has about fifty lines."""
        content = "".join(json.dumps(line) + "\n" for line in lines)
        write_text(self.path / METRICS, content)


def _write_settings(folder: Path, config: Config, dataset: Dataset) -> dict[str, Any]:
    """Write `config.json` and `dataset.json`, and return the content of the latter."""
    manifest = {
        **dataset.manifest,
        "path": str(dataset.path.resolve()),
        "fingerprint": dataset.fingerprint,
    }
    write_text(folder / "config.json", config.to_json())
    write_json(folder / "dataset.json", manifest, indent=2)
    return manifest


def read_part(path: Path, read: Callable[[Path], Content]) -> Content:
    """Read one of a run's files, or raise a `RunError` if it is missing or damaged."""
    try:
        return read(path)
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing; restore it, or train again") from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise RunError(f"{path} is damaged: {error}; restore it, or train again") from error


def read_metrics(path: Path, *, cut: bool = False) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`: the figures of each validation, and its `step`.

    `kept` is true if the weights of that validation became the model, until later ones took their
    place. If `cut`, a last line that does not end, as after a copy that failed, is left out.
    """
    text = read_part(path, partial(Path.read_text, encoding="utf-8"))
    if cut:
        text = text[: text.rfind("\n") + 1]
    metrics = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            figures = json.loads(line)
        except (ValueError, RecursionError):
            figures = None
        if not _are_figures(figures):
            what = f"line {number} has no figures of a validation"
            raise RunError(f"{path} is damaged: {what}; restore it, or delete that line")
        metrics.append(figures)
    return metrics


def _are_figures(value: Any) -> bool:
    """True if this is a line of `metrics.jsonl`: its step, and numbers."""
    if not isinstance(value, dict) or type(value.get("step")) is not int:
        return False
    return all(isinstance(figure, int | float) for figure in value.values())


def metrics_csv(path: Path) -> str:
    """The lines of `metrics.jsonl` as a table, with the figures' names in its first row."""
    lines = read_metrics(path)
    columns: dict[str, None] = {}
    for line in lines:
        columns |= dict.fromkeys(line)
    table = io.StringIO()
    writer = csv.DictWriter(table, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return table.getvalue()
