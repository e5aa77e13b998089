"""What a run has learned, on disk: the weights of its model, and the state that a resumed run goes on from."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import lnfgen.stepping  # noqa: F401  (the faster steps of the models that are loaded here)
from lnfgen.config import Config, config_from
from lnfgen.data.dataset import Dataset
from lnfgen.data.encoding import Encoding
from lnfgen.errors import ConfigError, RunError, is_out_of_memory
from lnfgen.files import new_folder, output_errors, write_bytes, write_text
from lnfgen.models import (
    Frames,
    LengthModel,
    Observation,
    SequenceModel,
    Symbols,
    TimeSignatures,
    build_model,
)
from lnfgen.runs.facts import CALIBRATION, MODEL
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.records import read_record
from lnfgen.runs.tensors import read_tensors, require_finite, serialise

STATE_PARTS = ("weights", "average", "optimizer", "random")
State = tuple[dict[str, dict[str, Tensor]], dict[str, Any]]
"""All that a resumed run needs: the tensors of each of `STATE_PARTS`, and other values."""

STATE_FORMAT = 1
"""The format of `last/`, in its `progress.json`. A state without one, as older versions wrote it, is read too."""

_WRITTEN = ("config.json", "dataset.json", "metrics.jsonl", CALIBRATION, MODEL)
_LEFT_BEHIND = re.compile(rf"\.(\.next|{'|'.join(map(re.escape, _WRITTEN))})\.\w{{8}}\.tmp")
"""The names under which `lnfgen.files` writes the files of a run before it renames them."""


def load_model(run: RunFolder, device: torch.device) -> SequenceModel:
    """The run's model in eval mode. It computes in float32, also where its weights are stored in half precision.

    Raises:
        RunError: if the model is missing or damaged, has other sizes than `config.json` says, or holds NaN.
    """
    path = run.path / MODEL
    if not path.is_file():
        raise RunError(f"{run.path} has no {MODEL} yet; finish it: lnfgen train --resume --out {run.path}")
    model = model_with(run, read_tensors(path), path)
    require_finite(model.state_dict(), path)
    return model.to(device).eval()


def model_with(run: RunFolder, weights: dict[str, Tensor], where: Path) -> SequenceModel:
    """A model of the run's sizes that has the weights that were read from `where`.

    Raises:
        RunError: if they have other sizes, or whole numbers in the place of others.
    """
    try:
        lengths = LengthModel(len(weights["length.lengths"]))
        config = run.config.model
        signatures = TimeSignatures.with_room_for(weights, "time_signatures.") if config.in_metre else None
        model = build_model(config, observation_of(run.encoding), lengths, signatures)
        for name, own in model.state_dict().items():
            if weights[name].is_floating_point() != own.is_floating_point():
                raise TypeError(name)
        model.load_state_dict(weights)  # this copies values, so that half precision becomes float32
    except (RuntimeError, KeyError, TypeError) as error:
        if is_out_of_memory(error):
            raise
        raise RunError(f"{where} does not fit the sizes in config.json; restore either, or train again") from error
    return model


def save_model(run: RunFolder, state: dict[str, Tensor]) -> None:
    """Make these weights the run's model."""
    write_bytes(run.path / MODEL, serialise(state))


def save_calibrated(run: RunFolder, state: dict[str, Tensor]) -> None:
    """Make these weights, whose rules were calibrated, the run's model.

    The record of it comes first and names the file that is to come. So a run that is killed between the two is
    calibrated again, from the same weights.
    """
    content = serialise(state)
    record = {"model_sha256": hashlib.sha256(content).hexdigest()}
    write_text(run.path / CALIBRATION, json.dumps(record, indent=1) + "\n")
    write_bytes(run.path / MODEL, content)


def save_state(run: RunFolder, tensors: dict[str, dict[str, Tensor]], values: dict[str, Any]) -> None:
    """Replace `last/` as a whole. The state before it is kept as `previous/`.

    The new state is written to another folder, read back and checked. Only then it takes its name, so that a whole
    state is there at any moment.

    Raises:
        RunError: if the state is not finite, or is not read back as it was written. `last/` is then unchanged.
        OutputError: if it cannot be written. `last/` is then unchanged.
    """
    tidy(run)
    last, following, previous = (run.path / name for name in ("last", ".next", "previous"))
    write_state(following, run.config, (tensors, values))
    try:
        _read_state(following)
    except RunError:
        shutil.rmtree(following, ignore_errors=True)
        raise
    with output_errors(last):
        if last.exists():
            shutil.rmtree(previous, ignore_errors=True)
            os.replace(last, previous)
        os.replace(following, last)


def tidy(run: RunFolder) -> None:
    """Finish a save that was killed, and delete what it has left. Other files in the folder are not touched."""
    last, following = (run.path / name for name in ("last", ".next"))
    if not last.exists() and following.exists():  # it was killed between the two renames of `save_state`
        os.replace(following, last)
    for folder in (following, run.path / ".previous"):  # older versions left the latter, if they were killed
        shutil.rmtree(folder, ignore_errors=True)
    for item in run.path.iterdir():
        if _LEFT_BEHIND.fullmatch(item.name):
            shutil.rmtree(item, ignore_errors=True) if item.is_dir() else item.unlink(missing_ok=True)


def load_state(run: RunFolder, note: Callable[[str], None] = lambda message: None) -> State:
    """What `save_state` wrote. What a killed save has left is tidied away.

    If `last/` is damaged, the state before it takes its place, and `note` is told.

    Raises:
        RunError: if there is no state, or it and the one before are damaged.
        ConfigError: if it has a newer format, or `config.json` has changed since it was written.
    """
    tidy(run)
    last, previous = run.path / "last", run.path / "previous"
    if not last.is_dir() and not previous.is_dir():
        raise RunError(f"{run.path} has no last/ to resume from; start again: lnfgen train --out a new folder")
    try:
        state, config = _read_state(last)
    except RunError as error:
        try:
            state, config = _read_state(previous)
        except RunError:
            raise error from None
        shutil.rmtree(last, ignore_errors=True)
        os.replace(previous, last)
        reason = str(error).split(";")[0]
        note(f"{reason}; going on from the state before it, of update {state[1].get('step')}")
    if config is not None:
        _require_settings(run, config)
    return state


def write_state(folder: Path, config: Config, state: State) -> None:
    """Write a state, and the settings that it was trained with, into a new folder."""
    tensors, values = state
    record = {"format_version": STATE_FORMAT, "config": json.loads(config.to_json()), **values}
    with new_folder(folder) as temporary:
        for part in STATE_PARTS:
            write_bytes(temporary / f"{part}.safetensors", serialise(tensors[part]))
        write_text(temporary / "progress.json", json.dumps({"sha256": _digest(record), **record}, indent=2) + "\n")


def _read_state(folder: Path) -> tuple[State, Config | None]:
    """A state whose checksums are right and whose numbers are finite, and its settings, if it has them."""
    where = folder / "progress.json"
    values = read_record(where)
    version = values.pop("format_version", STATE_FORMAT)
    if type(version) is int and version > STATE_FORMAT:
        raise ConfigError(
            f"{where}: found format_version {version}, but this version of lnfgen reads formats up to "
            f"{STATE_FORMAT}; upgrade lnfgen"
        )
    digest = values.pop("sha256", None)
    if digest is not None and digest != _digest({"format_version": version, **values}):
        raise RunError(f"{where} is damaged: its checksum is not that of its content; restore it, or train again")
    tensors = {part: read_tensors(folder / f"{part}.safetensors") for part in STATE_PARTS}
    for part in STATE_PARTS:
        require_finite(tensors[part], folder / f"{part}.safetensors")
    config = values.pop("config", None)
    return (tensors, values), None if config is None else config_from(config, str(where))


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _require_settings(run: RunFolder, trained: Config) -> None:
    """Check that `config.json` says what the run was trained with.

    The length of the run may be another, and with it the updates over which the KL weight rises.
    """
    found, expected = run.config.flat(), trained.flat()
    length = {"training.max_steps", "training.epochs"}
    may_change = length
    if any(found[key] != expected[key] for key in length):
        may_change |= {"training.kl_warmup_start", "training.kl_warmup_end"}
    changed = [key for key in expected if found[key] != expected[key] and key not in may_change]
    if changed:
        each = ", ".join(f"{key} is {found[key]!r} and was {expected[key]!r}" for key in changed)
        raise ConfigError(
            f"{run.path / 'config.json'} has changed since the run was trained: {each}; "
            "put back what was there, or start a new run"
        )


def observation_of(encoding: Encoding) -> Observation:
    """What a model sees of sequences in this encoding."""
    if encoding.kind == "text":
        return Symbols(encoding.num_symbols)
    return Frames(encoding.num_pitches, encoding.has_onsets)


def new_model(config: Config, dataset: Dataset) -> SequenceModel:
    """An untrained model for a dataset. The seed decides its weights, and the train split its length model."""
    torch.manual_seed(config.training.seed)
    train, encoding = dataset.split("train"), dataset.encoding
    lengths = torch.from_numpy(train.lengths.copy())
    signatures = None
    if config.model.in_metre and encoding.kind == "music":
        each = train.time_signatures or [encoding.time_signature] * len(train)
        signatures = TimeSignatures.fit(each, torch.from_numpy(encoding.metres(each)), lengths)
    return build_model(config.model, observation_of(encoding), LengthModel.fit(lengths), signatures)
