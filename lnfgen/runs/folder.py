"""The run folder: a model, its settings and its training on disk. No pickle is written or read.

config.json          the settings (`lnfgen.config.Config`)
dataset.json         the manifest of the dataset, with its path and fingerprint
model.safetensors    the averaged weights that were kept: the best on the valid split, or the last ones
last/                what a resumed run needs: weights, their average, optimizer, random states, progress
previous/            the state before that one, in case `last/` gets damaged
metrics.jsonl        a line for each validation
calibration.json     which model.safetensors has calibrated rules, if any (`lnfgen.training.calibration`)

This module loads no torch; `checkpoint.py` reads and writes the tensors, which are the model and `last/`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lnfgen.config import Config, read_run_config
from lnfgen.data.dataset import FORMAT_VERSION, Dataset
from lnfgen.data.encoding import Encoding
from lnfgen.errors import DatasetError, RunError
from lnfgen.files import new_folder, write_json, write_text
from lnfgen.pretrained import BOXED, is_boxed
from lnfgen.runs.records import METRICS, read_metrics, read_record


class RunFolder:
    """A run on disk. Each file is written under another name and then renamed, so it is whole at any moment."""

    def __init__(self, path: Path) -> None:
        """Open an existing run.

        Raises:
            RunError: if the folder is missing or is not a run.
        """
        self.path = path
        if not (self.path / "config.json").is_file():
            found = "found no config.json in it" if self.path.is_dir() else "there is no such folder"
            raise RunError(
                f"{self.path} is not a run: {found}; train one first: lnfgen train; "
                f"or name a model in the box: {', '.join(BOXED)}"
            )
        self.config = read_run_config(self.path / "config.json")
        where = self.path / "dataset.json"
        self.dataset = read_record(where)
        version = self.dataset.get("format_version", FORMAT_VERSION)
        if type(version) is not int or version > FORMAT_VERSION:
            found = f"{where} has the dataset format {version!r:.40}"
            raise RunError(f"{found}; this lnfgen reads up to {FORMAT_VERSION}; upgrade lnfgen")
        for key in ("name", "path", "fingerprint"):
            if not isinstance(self.dataset.get(key), str):
                raise RunError(f"{where} is damaged: its {key!r} is no string; restore it, or train again")
        try:
            self.encoding = Encoding.from_json(self.dataset.get("encoding"))
        except DatasetError as error:
            raise RunError(f"{where} is damaged: it has {str(error).split(';')[0]}; train again") from error

    @property
    def name(self) -> str:
        """What a person calls the run, and commands take: its path, or the name of a model in the box."""
        return self.path.name if is_boxed(self.path) else str(self.path)

    @classmethod
    def create(
        cls, path: Path, config: Config, dataset: Dataset, fill: Callable[[Path], None] = lambda folder: None
    ) -> "RunFolder":
        """A new run folder with its settings; `path` must be new or empty. `fill` adds to it before it appears."""
        with new_folder(path) as folder:
            _write_settings(folder, config, dataset)
            write_text(folder / METRICS, "")
            fill(folder)
        return cls(path)

    def update(self, config: Config, dataset: Dataset) -> None:
        """Give the run other settings, or another place of its dataset."""
        self.config, self.dataset = config, _write_settings(self.path, config, dataset)

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`.

        Raises:
            RunError: if the file is missing or damaged.
        """
        return read_metrics(self.path / METRICS)

    def write_metrics(self, lines: list[dict[str, Any]]) -> None:
        """Replace `metrics.jsonl`. A run has about fifty lines."""
        write_text(self.path / METRICS, "".join(json.dumps(line) + "\n" for line in lines))


def _write_settings(folder: Path, config: Config, dataset: Dataset) -> dict[str, Any]:
    """Write `config.json` and `dataset.json`, and return the content of the latter."""
    manifest = {**dataset.manifest, "path": str(dataset.path.resolve()), "fingerprint": dataset.fingerprint}
    write_text(folder / "config.json", config.to_json())
    write_json(folder / "dataset.json", manifest, indent=2)
    return manifest
