"""The configuration of a new run, from what a person asks for. It loads no torch."""

from pathlib import Path
from typing import Any

from lnfgen.config import Config, choose_config, read_config
from lnfgen.errors import ConfigError


def run_config(
    model: str | None = None,
    preset: str | None = None,
    *,
    transform: str | None = None,
    emission: str | None = None,
    backbone: str | None = None,
    config: str | Path | dict[str, Any] | None = None,
    epochs: int | None = None,
    max_steps: int | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
) -> Config:
    """A named model at a preset's sizes, then the keys of `config`, then each setting that is given by its own name.

    `config` is a JSON file or a dictionary with keys of `config.json`. A model or preset that is given goes before the
    one in `config`; without either it is `af-scf` at `small`. `epochs` or `max_steps`, given alone, is the whole length
    of the run.

    Raises:
        ConfigError: if a name, a key or a value is not known or not possible, or the settings do not fit together.
    """
    values, where = config or {}, "config"
    if isinstance(values, str | Path):
        values, where = read_config(Path(values)), str(values)
    settings = choose_config(model, preset, backbone, values, where)
    if epochs is not None or max_steps is not None:
        settings = settings.override({"training": {"epochs": epochs, "max_steps": max_steps}})
    if transform is not None:
        if settings.model.baseline:
            raise ConfigError(f"--transform {transform}: {settings.name} has no flow to transform; leave it out")
        settings = settings.override({"model": {"transform": transform}})
    if emission is not None:
        settings = settings.override({"model": {"emission": emission}})
    if backbone is not None:
        settings = settings.override({"model": {"backbone": backbone}})
    if batch_size is not None:
        settings = settings.override({"training": {"batch_size": batch_size}})
    if seed is not None:
        settings = settings.override({"training": {"seed": seed}})
    return settings
