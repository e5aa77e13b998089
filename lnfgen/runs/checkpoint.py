"""What a run has learned, on disk: the weights of its model, and the state that a resumed run goes on from."""

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

from lnfgen.config import Config
from lnfgen.data.encoding import Encoding
from lnfgen.data.storage import Dataset
from lnfgen.errors import RunError, is_out_of_memory
from lnfgen.files import new_folder, write_bytes, write_text
from lnfgen.models import Frames, LengthModel, Observation, SequenceModel, Symbols, build_model
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.records import read_record

MODEL = "model.safetensors"
STATE_PARTS = ("weights", "average", "optimizer", "random")
State = tuple[dict[str, dict[str, Tensor]], dict[str, Any]]
"""All that a resumed run needs: the tensors of each of `STATE_PARTS`, and other values."""

_LEFT_BEHIND = re.compile(r"\.(\.next|config\.json|dataset\.json|metrics\.jsonl|model\.safetensors)\.\w{8}\.tmp")
"""The names under which `lnfgen.files` writes the files of a run before it renames them."""


def load_model(run: RunFolder, device: torch.device) -> SequenceModel:
    """The run's model in eval mode. It computes in float32, also where its weights are stored in half precision.

    Raises:
        RunError: if the model is missing or damaged, has other sizes than `config.json` says, or holds NaN.
    """
    path = run.path / MODEL
    if not path.is_file():
        raise RunError(f"{run.path} has no {MODEL} yet; finish it: lnfgen train --resume --out {run.path}")
    model = model_with(run, _read(path), path)
    if not all(value.isfinite().all() for value in model.state_dict().values()):
        raise RunError(f"{path} holds weights that are not finite; train again with a smaller learning rate")
    return model.to(device).eval()


def model_with(run: RunFolder, weights: dict[str, Tensor], where: Path) -> SequenceModel:
    """A model of the run's sizes that has the weights that were read from `where`.

    Raises:
        RunError: if they have other sizes.
    """
    try:
        lengths = LengthModel(len(weights["length.lengths"]))
        model = build_model(run.config.model, observation_of(run.encoding), lengths)
        model.load_state_dict(weights)  # this copies values, so that half precision becomes float32
    except (RuntimeError, KeyError, TypeError) as error:
        if is_out_of_memory(error):
            raise
        raise RunError(f"{where} does not fit the sizes in config.json; restore either, or train again") from error
    return model


def save_model(run: RunFolder, state: dict[str, Tensor]) -> None:
    """Make these weights the run's model."""
    write_bytes(run.path / MODEL, _serialise(state))


def save_state(run: RunFolder, tensors: dict[str, dict[str, Tensor]], values: dict[str, Any]) -> None:
    """Replace `last/` as a whole: another folder is written first and then takes its name."""
    tidy(run)
    last, following, previous = (run.path / name for name in ("last", ".next", ".previous"))
    write_state(following, (tensors, values))
    if last.exists():
        os.replace(last, previous)
    os.replace(following, last)
    shutil.rmtree(previous, ignore_errors=True)


def tidy(run: RunFolder) -> None:
    """Finish a save that was killed, and delete what it has left. Other files in the folder are not touched."""
    last, following, previous = (run.path / name for name in ("last", ".next", ".previous"))
    if not last.exists() and following.exists():  # it was killed between the two renames of `save_state`
        os.replace(following, last)
    for folder in (following, previous):
        shutil.rmtree(folder, ignore_errors=True)
    for item in run.path.iterdir():
        if _LEFT_BEHIND.fullmatch(item.name):
            shutil.rmtree(item, ignore_errors=True) if item.is_dir() else item.unlink(missing_ok=True)


def load_state(run: RunFolder) -> State:
    """What `save_state` wrote. What a killed save has left is tidied away.

    Raises:
        RunError: if there is no state, or it is damaged.
    """
    tidy(run)
    last = run.path / "last"
    if not last.is_dir():
        raise RunError(f"{run.path} has no last/ to resume from; start again: lnfgen train --out a new folder")
    return {part: _read(last / f"{part}.safetensors") for part in STATE_PARTS}, read_record(last / "progress.json")


def write_state(folder: Path, state: State) -> None:
    """Write a state into a new folder."""
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
