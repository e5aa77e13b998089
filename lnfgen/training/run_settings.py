"""What a person asks for, and the configuration that follows from it. It loads no torch.

Of several values for a key, the last in this order counts: the recipe; its overrides; the named
model, the output, the backbone and the transform that are asked for; what the size of the data
decides (`of_size`); the keys of `--config`; the length and the seed; `--set`.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from lnfgen.config import (
    NAMED_MODELS,
    WITHOUT_LAYERS,
    Config,
    checked,
    config_of,
    read_config,
)
from lnfgen.errors import ConfigError
from lnfgen.training.recipes import (
    AUTOREGRESSIVE,
    PRESETS,
    USUAL_PRESET,
    Corpus,
    Recipe,
    choose_recipe,
    of_size,
)

if TYPE_CHECKING:
    from typing import Unpack


class RunSettings(TypedDict, total=False):
    """The settings of a run that have an option of their own.

    None means that a person does not give an option.
    """

    transform: str | None
    emission: str | None
    backbone: str | None
    # A JSON or TOML file, a run or a dictionary, with keys of config.json.
    config: str | Path | Mapping[str, Any] | None
    epochs: int | None
    max_steps: int | None
    seed: int | None
    # Values by keys of config.json, as in {"training.learning_rate": 1e-3}
    set: Mapping[str, Any] | None


@dataclass(frozen=True)
class Asked:
    """The wishes of a person for a run: names, and keys of `config.json` with their values."""

    model: str | None
    preset: str
    choices: dict[str, str | None]  # emission, backbone, transform
    keys: dict[str, Any]

    def recipe(self, corpus: Corpus) -> Recipe:
        """The files that the run takes."""
        emission = self.choices["emission"]
        backbone = self.choices["backbone"]
        return choose_recipe(corpus, self.preset, self.model, emission, backbone)

    def config(self, corpus: Corpus, usual_seed: int = 0) -> Config:
        """The configuration for a corpus. `usual_seed` is the seed if nobody asks for another.

        Raises:
            ConfigError: if a value is impossible, or a key would change nothing with this model or
            this corpus.
        """
        keys = self.recipe(corpus).keys | {"training.seed": usual_seed}
        if self.model is not None:
            for key, value in NAMED_MODELS[self.model].items():
                keys[f"model.{key}"] = value
        for key, choice in self.choices.items():
            if choice is not None:
                keys[f"model.{key}"] = choice
        keys |= of_size(corpus, self.preset, keys, self.keys)
        config = config_of(keys | self.keys)
        _require_effect(config, corpus)
        return config

    def require_possible(self) -> None:
        """Check the settings before the data is known.

        Raises:
            ConfigError: if they are possible with no kind of data.
        """
        errors = []
        for corpus in (Corpus("music", has_onsets=True), Corpus("music"), Corpus("text")):
            try:
                self.config(corpus)
                return
            except ConfigError as error:
                errors.append(error)
        raise errors[0]


def asked_for(
    model: str | None = None, preset: str | None = None, **settings: Unpack[RunSettings]
) -> Asked:
    """Gather the arguments, and read a file.

    `epochs` or `max_steps`, given alone, is the whole length.

    Raises:
        ConfigError: if a name or a key is unknown, or a value has the wrong type.
    """
    if preset is None:
        preset = USUAL_PRESET
    _require_name("--model", model, NAMED_MODELS)
    _require_name("--preset", preset, PRESETS)
    file = settings.get("config")
    keys = {} if file is None else _read_settings(file)
    if model is not None:
        _require_agreement(model, keys)
    length = {f"training.{key}": settings.get(key) for key in ("epochs", "max_steps")}
    if any(value is not None for value in length.values()):
        keys |= length
    if settings.get("seed") is not None:
        keys["training.seed"] = settings["seed"]
    keys |= checked(settings.get("set") or {}, "--set")
    choices: dict[str, str | None] = {
        "emission": settings.get("emission"),
        "backbone": settings.get("backbone"),
        "transform": settings.get("transform"),
    }
    return Asked(model, preset, choices, keys)


def _read_settings(source: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """The keys of `--config`: of a JSON or TOML file, of a run or of a dictionary."""
    if isinstance(source, Mapping) or Path(source).suffix != ".toml":
        return read_config(source)
    try:
        content = tomllib.loads(Path(source).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{source}: {reason}; expected TOML with keys of config.json") from error
    try:
        return read_config(content)
    except ConfigError as error:  # which does not know the file
        raise ConfigError(f"{source}: {error}") from error


def _require_agreement(model: str, keys: Mapping[str, Any]) -> None:
    """Raise a `ConfigError` if a file gives a key that the named model has with another value."""
    for name, value in NAMED_MODELS[model].items():
        key = f"model.{name}"
        if keys.get(key, value) != value:
            raise ConfigError(
                f"--model {model}: found {key} {keys[key]!r} in --config, expected {value!r}; "
                "leave one out"
            )


def _require_effect(config: Config, corpus: Corpus) -> None:
    """Raise a `ConfigError` if a key would change nothing.

    It must have the value that stands for nothing.
    """
    keys = config.flat()
    for where, idle in _idle_keys(config, corpus):
        for key, nothing in idle.items():
            if keys[key] != nothing:
                raise ConfigError(
                    f"{key}: found {keys[key]!r}, which has no effect {where}; "
                    f"expected {nothing!r}; "
                    "--model, --emission and --backbone bring the settings that go with them"
                )


def _idle_keys(config: Config, corpus: Corpus) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where keys change nothing, in words, and their values that stand for nothing."""
    model = config.model
    reads_past = model.emission == AUTOREGRESSIVE
    if model.baseline:
        yield (
            "without a latent",
            {
                "model.time": "none",
                "model.features": "none",
                "model.backbone": "lstm",
                "training.kl_warmup_start": 0.0,
                "training.kl_warmup_end": 0.0,
                "training.free_bits": 0.0,
            },
        )
    if not model.has_transform:
        of_layers = {f"model.{key}": nothing for key, nothing in WITHOUT_LAYERS.items()}
        yield f"with {model.name}, which has no elementwise transform", of_layers
    if not reads_past:
        of_past = {"model.note_noise": 0.0, "training.calibration_rounds": 0}
        yield f"with the output {model.emission}, which reads no earlier frames", of_past
    prior_attends = model.time == "af" and not model.baseline
    if not reads_past and not prior_attends:
        where = f"with {model.name} and the output {model.emission}"
        yield where, {"model.copy_attention": False}
    if corpus.kind == "text":
        yield "on text", {"training.transpose": 0}
    if not corpus.knows_onsets:
        yield "on data that does not say where bars begin", {"model.reads_time_signature": False}


def _require_name(option: str, name: str | None, names: Iterable[str]) -> None:
    if name is not None and name not in names:
        raise ConfigError(f"{option}: found {name!r}, expected one of {', '.join(names)}")


def assignments(texts: Iterable[str]) -> dict[str, Any]:
    """The values that `--set KEY=VALUE` gives. A value is JSON, or else a string as it stands.

    Raises:
        ConfigError: if a text has no `=`.
    """
    values: dict[str, Any] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(
                f"--set {text}: expected KEY=VALUE, such as training.learning_rate=1e-3"
            )
        try:
            values[key] = json.loads(value)
        except (ValueError, RecursionError):
            values[key] = value
    return values
