"""The run folder: a model, its settings and its training on disk. No pickle is written or read.

config.json          the settings (`lnfgen.config.Config`)
dataset.json         the manifest of the dataset, with its path and fingerprint
model.safetensors    the averaged weights that were best on the valid split
last/                what a resumed run needs: weights, their average, optimizer, random states, progress
metrics.jsonl        a line for each validation
"""

import json
import os
import re
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
from lnfgen.data.storage import Dataset
from lnfgen.errors import DatasetError, RunError, is_out_of_memory
from lnfgen.files import new_folder, write_bytes, write_text
from lnfgen.models import Frames, LengthModel, Observation, SequenceModel, Symbols, build_model
from lnfgen.runs.records import METRICS, read_metrics, read_record

MODEL = "model.safetensors"
STATE_PARTS = ("weights", "average", "optimizer", "random")
State = tuple[dict[str, dict[str, Tensor]], dict[str, Any]]
"""All that a resumed run needs: the tensors of each of `STATE_PARTS`, and other values."""

_LEFT_BEHIND = re.compile(r"\.(\.next|config\.json|dataset\.json|metrics\.jsonl|model\.safetensors)\.\w{8}\.tmp")
"""The names under which `lnfgen.files` writes the files of a run before it renames them."""


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
        where = self.path / "dataset.json"
        self.dataset = read_record(where)
        for key in ("name", "path", "fingerprint"):
            if not isinstance(self.dataset.get(key), str):
                raise RunError(f"{where} is damaged: its {key!r} is no string; restore it, or train again")
        try:
            self.encoding = Encoding.from_json(self.dataset.get("encoding"))
        except DatasetError as error:
            raise RunError(f"{where} is damaged: it has {str(error).split(';')[0]}; train again") from error

    @classmethod
    def create(cls, path: Path, config: Config, dataset: Dataset, state: State | None = None) -> "RunFolder":
        """A new run folder with its settings and its first state; `path` must be new or empty."""
        with new_folder(path) as folder:
            _write_settings(folder, config, dataset)
            write_text(folder / METRICS, "")
            if state is not None:
                _write_state(folder / "last", state)
        return cls(path)

    def update(self, config: Config, dataset: Dataset) -> None:
        """Give the run other settings, or another place of its dataset."""
        self.config, self.dataset = config, _write_settings(self.path, config, dataset)

    def load_model(self, device: torch.device) -> SequenceModel:
        """The run's model in eval mode.

        Raises:
            RunError: if the model is missing or damaged, has other sizes than `config.json` says, or holds NaN.
        """
        path = self.path / MODEL
        if not path.is_file():
            raise RunError(f"{self.path} has no {MODEL} yet; finish it: lnfgen train --resume --out {self.path}")
        model = self.model_with(_read(path), path)
        if not all(value.isfinite().all() for value in model.state_dict().values()):
            raise RunError(f"{path} holds weights that are not finite; train again with a smaller learning rate")
        return model.to(device).eval()

    def model_with(self, weights: dict[str, Tensor], where: Path) -> SequenceModel:
        """A model of the run's sizes that has the weights that were read from `where`.

        Raises:
            RunError: if they have other sizes.
        """
        try:
            lengths = LengthModel(len(weights["length.lengths"]))
            model = build_model(self.config.model, observation_of(self.encoding), lengths)
            model.load_state_dict(weights)
        except (RuntimeError, KeyError, TypeError) as error:
            if is_out_of_memory(error):
                raise
            raise RunError(f"{where} does not fit the sizes in config.json; restore either, or train again") from error
        return model

    def save_model(self, state: dict[str, Tensor]) -> None:
        """Make these weights the run's model."""
        write_bytes(self.path / MODEL, _serialise(state))

    def save_state(self, tensors: dict[str, dict[str, Tensor]], values: dict[str, Any]) -> None:
        """Replace `last/` as a whole: another folder is written first and then takes its name."""
        self.tidy()
        last, following, previous = (self.path / name for name in ("last", ".next", ".previous"))
        _write_state(following, (tensors, values))
        if last.exists():
            os.replace(last, previous)
        os.replace(following, last)
        shutil.rmtree(previous, ignore_errors=True)

    def tidy(self) -> None:
        """Finish a save that was killed, and delete what it has left. Other files in the folder are not touched."""
        last, following, previous = (self.path / name for name in ("last", ".next", ".previous"))
        if not last.exists() and following.exists():  # it was killed between the two renames of `save_state`
            os.replace(following, last)
        for folder in (following, previous):
            shutil.rmtree(folder, ignore_errors=True)
        for item in self.path.iterdir():
            if _LEFT_BEHIND.fullmatch(item.name):
                shutil.rmtree(item, ignore_errors=True) if item.is_dir() else item.unlink(missing_ok=True)

    def load_state(self) -> State:
        """What `save_state` wrote. What a killed save has left is tidied away.

        Raises:
            RunError: if there is no state, or it is damaged.
        """
        self.tidy()
        last = self.path / "last"
        if not last.is_dir():
            raise RunError(f"{self.path} has no last/ to resume from; start again: lnfgen train --out a new folder")
        return {part: _read(last / f"{part}.safetensors") for part in STATE_PARTS}, read_record(last / "progress.json")

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
    write_text(folder / "dataset.json", json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    return manifest


def _write_state(folder: Path, state: State) -> None:
    tensors, values = state
    with new_folder(folder) as temporary:
        for part in STATE_PARTS:
            write_bytes(temporary / f"{part}.safetensors", _serialise(tensors[part]))
        write_text(temporary / "progress.json", json.dumps(values, indent=2) + "\n")


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
