"""The run folder: a model, its settings and its training on disk. No pickle is written or read.

config.json          the settings (`lnfgen.config.Config`)
dataset.json         the manifest of the dataset, with its path and fingerprint
model.safetensors    the averaged weights that were best on the valid split
last/                what a resumed run needs: weights, their average, optimizer, random states, progress
metrics.jsonl        a line for each validation
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from lnfgen.config import Config, read_run_config
from lnfgen.data.encoding import Encoding
from lnfgen.data.storage import Dataset, open_dataset
from lnfgen.errors import DatasetError, RunError
from lnfgen.files import new_folder, write_bytes, write_text
from lnfgen.models import Frames, LengthModel, Observation, SequenceModel, Symbols, build_model

MODEL = "model.safetensors"
STATE_PARTS = ("weights", "average", "optimizer", "random")


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
            raise RunError(f"{self.path} is not a run: {found}; train one first: lnfgen train")
        self.config = read_run_config(self.path / "config.json")
        try:
            self.dataset = json.loads((self.path / "dataset.json").read_text(encoding="utf-8"))
            self.encoding = Encoding.from_json(self.dataset["encoding"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self.path / 'dataset.json'} is missing or damaged; train the run again") from error

    @classmethod
    def create(cls, path: Path, config: Config, dataset: Dataset) -> "RunFolder":
        """A new run folder with its settings; `path` must be new or empty."""
        manifest = {**dataset.manifest, "path": str(dataset.path.resolve()), "fingerprint": dataset.fingerprint}
        with new_folder(path) as folder:
            write_text(folder / "config.json", config.to_json())
            write_text(folder / "dataset.json", json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
            write_text(folder / "metrics.jsonl", "")
        return cls(path)

    def load_model(self, device: torch.device) -> SequenceModel:
        """The run's model in eval mode.

        Raises:
            RunError: if the model is missing or damaged, or has other sizes than `config.json` says.
        """
        path = self.path / MODEL
        if not path.is_file():
            raise RunError(f"{self.path} has no {MODEL} yet; finish it: lnfgen train --resume --out {self.path}")
        state = _read(path)
        try:
            model = self.model_like(state)
            model.load_state_dict(state)
        except (RuntimeError, KeyError) as error:
            raise RunError(f"{path} does not fit the sizes in config.json; restore either, or train again") from error
        return model.to(device).eval()

    def model_like(self, state: dict[str, Tensor]) -> SequenceModel:
        """A model of the run's sizes, ready to take `state`."""
        lengths = LengthModel(len(state["length.lengths"]))
        return build_model(self.config.model, observation_of(self.encoding), lengths)

    def save_model(self, state: dict[str, Tensor]) -> None:
        """Make these weights the run's model."""
        write_bytes(self.path / MODEL, _serialise(state))

    def save_state(self, tensors: dict[str, dict[str, Tensor]], values: dict[str, Any]) -> None:
        """Replace `last/` as a whole: another folder is written first and then takes its name."""
        last, following, previous = (self.path / name for name in ("last", ".next", ".previous"))
        if not last.exists() and following.exists():  # a crash came between the two renames below
            os.replace(following, last)
        shutil.rmtree(following, ignore_errors=True)
        shutil.rmtree(previous, ignore_errors=True)
        with new_folder(following) as folder:
            for part in STATE_PARTS:
                write_bytes(folder / f"{part}.safetensors", _serialise(tensors[part]))
            write_text(folder / "progress.json", json.dumps(values, indent=2) + "\n")
        if last.exists():
            os.replace(last, previous)
        os.replace(following, last)
        shutil.rmtree(previous, ignore_errors=True)

    def load_state(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
        """What `save_state` wrote.

        Raises:
            RunError: if there is no state, or it is damaged.
        """
        last = self.path / "last"
        if not last.exists() and (self.path / ".next").exists():
            last = self.path / ".next"  # a crash came between the two renames of `save_state`
        if not (last / "progress.json").is_file():
            raise RunError(f"{self.path} has no last/ to resume from; start again: lnfgen train --out a new folder")
        tensors = {part: _read(last / f"{part}.safetensors") for part in STATE_PARTS}
        try:
            values = json.loads((last / "progress.json").read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunError(f"{last / 'progress.json'} is damaged: {error}; start a new run") from error
        return tensors, values

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`.

        Raises:
            RunError: if the file is missing or damaged.
        """
        path = self.path / "metrics.jsonl"
        try:
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is missing or damaged: {error}") from error

    def write_metrics(self, lines: list[dict[str, Any]]) -> None:
        """Replace `metrics.jsonl`. A run has about fifty lines."""
        write_text(self.path / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))


def observation_of(encoding: Encoding) -> Observation:
    """What a model sees of sequences in this encoding."""
    if encoding.kind == "text":
        return Symbols(encoding.num_symbols)
    return Frames(encoding.num_pitches, encoding.has_onsets)


def new_model(config: Config, dataset: Dataset) -> SequenceModel:
    """An untrained model for a dataset. The seed decides its weights, and the train split its length model."""
    torch.manual_seed(config.training.seed)
    lengths = LengthModel.fit(torch.from_numpy(dataset.split("train").lengths.copy()))
    return build_model(config.model, observation_of(dataset.encoding), lengths)


def dataset_of(run: RunFolder) -> Dataset:
    """Open the dataset that a run was trained on, at the path that the run remembers.

    Raises:
        RunError: if the dataset is no longer there, or its content has changed.
    """
    path = Path(run.dataset["path"])
    try:
        dataset = open_dataset(path)
    except DatasetError as error:
        raise RunError(f"the dataset of {run.path} cannot be opened: {error}") from error
    if dataset.fingerprint != run.dataset["fingerprint"]:
        raise RunError(
            f"{path} has changed since {run.path} was trained on it; name the dataset to use: lnfgen eval RUN DATASET"
        )
    return dataset


def _serialise(tensors: dict[str, Tensor]) -> bytes:
    return save_tensors({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_tensors(path.read_bytes())
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing; restore it, or train again") from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise RunError(
            f"{path} is damaged ({error}); expected a whole safetensors file; restore it, or train again"
        ) from error
