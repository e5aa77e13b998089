"""The configuration of a new run, from what a person asks for. It loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from lnfgen.config import PRESETS, Config, build_config, read_config
from lnfgen.errors import ConfigError

if TYPE_CHECKING:
    from typing import Unpack


class RunSettings(TypedDict, total=False):
    """The settings of a run that have an option of their own. None means that an option is not given."""

    transform: str | None
    emission: str | None
    backbone: str | None
    config: str | Path | dict[str, Any] | None  # a JSON file or a dictionary with keys of config.json
    epochs: int | None
    max_steps: int | None
    batch_size: int | None
    seed: int | None


def run_config(model: str | None = None, preset: str | None = None, **settings: Unpack[RunSettings]) -> Config:
    """A named model at a preset's sizes, then the keys of `config`, then the other settings that are given.

    A given model or preset goes before the one in `config`; without either it is `af-scf` at `small`. `epochs` or
    `max_steps`, given alone, is the whole length of the run.

    Raises:
        ConfigError: if a name, a key or a value is unknown or impossible, or the settings do not fit together.
    """
    given: dict[str, Any] = {key: value for key, value in settings.items() if value is not None}
    values, where = given.pop("config", {}), "config"
    if isinstance(values, str | Path):
        values, where = read_config(Path(values)), str(values)
    values = dict(values)
    file_preset = values.pop("preset", "small")
    if preset is None and file_preset not in list(PRESETS):
        raise ConfigError(f"{where}: preset: found {file_preset!r}, expected one of {', '.join(PRESETS)}")
    start = build_config(model or "af-scf", preset or file_preset, given.get("backbone", "lstm"))
    if model is not None:  # it replaces the file's model, but not the file's sizes
        values.pop("name", None)
        if isinstance(values.get("model"), dict):
            chosen = ("baseline", "time", "features")
            values["model"] = {key: value for key, value in values["model"].items() if key not in chosen}
    config = start.override(values, where)

    if "transform" in given and config.model.baseline:
        raise ConfigError(f"--transform {given['transform']}: {config.name} has no flow to transform; leave it out")
    if "epochs" in given or "max_steps" in given:
        given = {"epochs": None, "max_steps": None, **given}
    of_model = {key: given.pop(key) for key in ("transform", "emission", "backbone") if key in given}
    return config.override({"model": of_model, "training": given})
