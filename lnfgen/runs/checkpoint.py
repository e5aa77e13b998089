"""The weights of a run's model on disk, and the state that a resumed run goes on from.

Both are safetensors files (https://huggingface.co/docs/safetensors): the length of the header in 8
bytes, a header in JSON, and the tensors. The header holds the SHA-256 of the whole file, computed
with zeros in its own place.
"""

import hashlib
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

import lnfgen.stepping  # noqa: F401  (the faster steps of the models that are loaded here)
from lnfgen.config import Config
from lnfgen.data.dataset import Dataset
from lnfgen.data.encoding import Encoding
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.errors import ConfigError, LnfgenWarning, RunError, is_out_of_memory
from lnfgen.files import new_folder, output_errors, read_object, write_bytes, write_json
from lnfgen.models.build import build_model
from lnfgen.models.homes import Homes
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Frames, Observation, Symbols
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.models.time_signatures import TimeSignatures
from lnfgen.runs.folder import CALIBRATED, CHECKSUM, RunFolder, read_part
from lnfgen.runs.naming import METRICS, MODEL, STATES

STATE_PARTS = ("weights", "average", "optimizer", "random")

# All that a resumed run needs: the tensors of each of `STATE_PARTS`, and other values.
State = tuple[dict[str, dict[str, Tensor]], dict[str, Any]]


class Saved(NamedTuple):
    """Which state is in `last/`."""

    step: int
    checksum: str  # of its settings and values


# These settings may differ from those that the state was trained with, as a resumed run can get
# another length.
_LENGTH = ("max_steps", "epochs", "kl_warmup_start", "kl_warmup_end")

_ZEROS = "0" * 64


def observation_of(encoding: Encoding) -> Observation:
    """The observation of a model of sequences in this encoding."""
    if isinstance(encoding, TextEncoding):
        return Symbols(encoding.num_symbols, encoding.spaces)
    assert isinstance(encoding, MusicEncoding)
    return Frames(encoding.num_pitches, encoding.has_onsets, encoding.num_parts)


def new_model(config: Config, dataset: Dataset) -> SequenceModel:
    """An untrained model for a dataset.

    The seed decides its weights, and the train split its length model.
    """
    torch.manual_seed(config.training.seed)
    train = dataset.split("train")
    encoding = dataset.encoding
    lengths = torch.from_numpy(train.lengths.copy())
    signatures = None
    if config.model.reads_time_signature and isinstance(encoding, MusicEncoding):
        each = train.time_signatures or [encoding.time_signature] * len(train)
        bar_shapes = torch.from_numpy(encoding.bar_shapes(each))
        signatures = TimeSignatures.fit(each, bar_shapes, lengths)
    homes = None
    if config.model.reads_home:
        homes = Homes.fit(torch.from_numpy(train.homes))
    return build_model(
        config.model, observation_of(encoding), LengthModel.fit(lengths), signatures, homes
    )


def load_model(run: RunFolder, device: torch.device) -> SequenceModel:
    """The run's model in eval mode, in float32 also if its weights are stored in half precision.

    Raises:
        RunError: if it is missing or damaged, not finite, or of other sizes than the run's.
    """
    path = run.path / MODEL
    if not path.is_file():
        advice = "train a new run: lnfgen train"
        if any((run.path / name).is_dir() for name in STATES):
            advice = f"finish it: lnfgen train --resume --out {run.path}"
        raise RunError(f"{run.path} has no {MODEL}; {advice}")
    model = model_with(run, read_tensors(path), path)
    _require_finite(model.state_dict(), path)
    return model.to(device).eval()


def model_with(run: RunFolder, weights: dict[str, Tensor], where: Path) -> SequenceModel:
    """A model of the run's sizes that has the weights that were read from `where`."""
    try:
        lengths = LengthModel(len(weights["length.lengths"]))
        config = run.config.model
        signatures = None
        if config.reads_time_signature:
            signatures = TimeSignatures.with_room_for(weights, "time_signatures.")
        model = build_model(config, observation_of(run.encoding), lengths, signatures)
        for name, own in model.state_dict().items():
            if weights[name].is_floating_point() != own.is_floating_point():
                raise TypeError(name)
        model.load_state_dict(weights)  # this copies values, so that half precision becomes float32
    except (RuntimeError, KeyError, TypeError) as error:
        if is_out_of_memory(error):
            raise
        raise RunError(
            f"{where} does not fit the sizes in config.json; restore either, or train again"
        ) from error
    return model


def save_model(run: RunFolder, weights: dict[str, Tensor], *, calibrated: bool = False) -> None:
    """Make these weights the run's model.

    Args:
        calibrated: `training.calibration` has moved them.
    """
    write_bytes(run.path / MODEL, serialise(weights, CALIBRATED if calibrated else ""))


def save_state(
    run: RunFolder, tensors: dict[str, dict[str, Tensor]], values: dict[str, Any]
) -> Saved:
    """Replace `last/` as a whole, and keep the state before it as `previous/`.

    The new state is written to another folder, which then takes its name, so a whole state is there
    at any moment. The result is what `saved_in` then finds.

    Raises:
        RunError, OutputError: if the state is not finite, or cannot be written. `last/` is then
        unchanged.
    """
    _tidy(run)
    last = run.path / "last"
    following = run.path / ".next"
    previous = run.path / "previous"
    for part in STATE_PARTS:
        _require_finite(tensors[part], last / f"{part}.safetensors")
    saved = write_state(following, run.config, (tensors, values))
    with output_errors(last):
        if last.exists():
            shutil.rmtree(previous, ignore_errors=True)
            os.replace(last, previous)
        os.replace(following, last)
    return saved


def write_state(folder: Path, config: Config, state: State) -> Saved:
    """Write a state, and the settings that it was trained with, into a new folder.

    The result is what `saved_in` finds when that folder is `last/`.
    """
    tensors, values = state
    record = {"config": config.flat(), **values}
    checksum = _digest(record)
    with new_folder(folder) as temporary:
        for part in STATE_PARTS:
            write_bytes(temporary / f"{part}.safetensors", serialise(tensors[part]))
        write_json(temporary / "progress.json", {CHECKSUM: checksum, **record}, indent=2)
    return Saved(values["step"], checksum)


def saved_in(run: RunFolder) -> Saved | None:
    """Which state is in `last/`; None if there is none, or its values are damaged."""
    try:
        record = read_object(run.path / "last" / "progress.json")
    except (OSError, ValueError):
        return None
    checksum = record.pop(CHECKSUM, None)
    if checksum != _digest(record):
        return None
    return Saved(record["step"], checksum)


def load_state(run: RunFolder) -> State:
    """Read what `save_state` wrote, and delete what a killed save has left.

    If `last/` is damaged or lost, the state before it takes its place, with a warning.

    Raises:
        RunError: if there is no state, or it and the one before are damaged.
        ConfigError: if `config.json` has changed since the state was written.
    """
    _tidy(run)
    last = run.path / "last"
    previous = run.path / "previous"
    if not last.is_dir() and not previous.is_dir():
        raise RunError(f"{run.path} has no last/ to resume from; train a new run: lnfgen train")
    try:
        tensors, values = _read_state(last)
    except RunError as error:
        try:
            tensors, values = _read_state(previous)
        except RunError:
            raise error from None
        shutil.rmtree(last, ignore_errors=True)
        os.replace(previous, last)
        found = str(error).split(";")[0]
        remark = f"{found}; going on from the state before it, of update {values['step']}"
        warnings.warn(remark, LnfgenWarning, stacklevel=2)
    _require_settings(run, values.pop("config"))
    return tensors, values


def _tidy(run: RunFolder) -> None:
    """Finish a save that was killed, and delete what it has left, but no other file."""
    last = run.path / "last"
    following = run.path / ".next"
    # it was killed between the two renames of `save_state`
    if not last.exists() and following.exists():
        os.replace(following, last)
    shutil.rmtree(following, ignore_errors=True)
    for name in (".next", "config.json", "dataset.json", METRICS, MODEL):
        # so `lnfgen.files` names it before it is renamed
        for item in run.path.glob(f".{name}.????????.tmp"):
            if item.is_dir():
                shutil.rmtree(item, ignore_errors=True)
            else:
                item.unlink(missing_ok=True)


def _read_state(folder: Path) -> State:
    """A state whose checksums are right. Its values hold the settings as `config`."""
    values = read_part(folder / "progress.json", read_object)
    if values.pop(CHECKSUM, None) != _digest(values):
        found = f"{folder / 'progress.json'} is damaged: its checksum is not that of its content"
        raise RunError(f"{found}; restore it, or train again")
    tensors = {part: read_tensors(folder / f"{part}.safetensors") for part in STATE_PARTS}
    return tensors, values


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _require_settings(run: RunFolder, trained: dict[str, Any]) -> None:
    """Raise a `ConfigError` if settings that the run was trained with differ from `config.json`.

    Those of its length may differ.
    """
    found = run.config.flat()
    changed = []
    for key, value in trained.items():
        name = key.rpartition(".")[2]
        if found.get(key) != value and name not in _LENGTH:
            changed.append(f"{key} is {found.get(key)!r} and was {value!r}")
    if changed:
        where = run.path / "config.json"
        raise ConfigError(
            f"{where} has changed since the run was trained: {', '.join(changed)}; put back what "
            "was there, or start a new run"
        )


def serialise(tensors: dict[str, Tensor], mark: str = "") -> bytes:
    """The content of a safetensors file with a checksum, which `mark` follows in the metadata."""
    own = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = save_tensors(own, {CHECKSUM: _ZEROS + mark})
    checksum = hashlib.sha256(content).hexdigest()
    return content.replace(_ZEROS.encode(), checksum.encode(), 1)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a file, on the CPU, if its checksum is that of its content."""

    def read(path: Path) -> dict[str, Tensor]:
        content = path.read_bytes()
        tensors = load_tensors(content)
        header_length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + header_length])
        found = header["__metadata__"][CHECKSUM][: len(_ZEROS)]
        without_checksum = content.replace(found.encode(), _ZEROS.encode(), 1)
        if hashlib.sha256(without_checksum).hexdigest() != found:
            raise ValueError("its checksum is not that of its content")
        return tensors

    return read_part(path, read)


def _require_finite(tensors: dict[str, Tensor], where: Path) -> None:
    """Raise a `RunError` with the tensor's name, if one of them holds a NaN or an infinity."""
    for name, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise RunError(
                f"{where}: {name} is not finite; train again with a smaller learning rate"
            )
