"""What a model is and how it is trained: frozen dataclasses, JSON in and out, presets and named models.

The dataclasses are the one source of every option: a preset is a set of their values, `config.json` is their fields,
and an unknown key or an impossible value is an error before any work is done.
"""

import dataclasses
import difflib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lnfgen.errors import ConfigError
from lnfgen.nn.backbones import BACKBONES  # names: no torch
from lnfgen.transforms import TRANSFORMS  # likewise

TIMES = ("af", "iaf", "coupling", "none")
FEATURES = ("af", "scf", "none")


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and choices of a model; which of them a model uses depends on its `prior`."""

    prior: str = "flow"  # "flow", or "none": the autoregressive LSTM baseline, which has no latent
    time: str = "af"  # how the flow runs across time: af, iaf, coupling, none
    features: str = "scf"  # how it runs across the features of a step: af, scf, none
    backbone: str = "lstm"  # the network through time of posterior, prior and emission: one of nn.backbones.BACKBONES
    transform: str = "nlsq"  # the elementwise transform: one of transforms.TRANSFORMS
    emission: str = "auto"  # the output: auto, categorical (text), bernoulli or nade (music)
    flow_layers: int = 5  # couplings within a step
    flow_hidden: int = 100  # units in each of the two hidden layers of a coupling's conditioner
    latent: int = 50  # features of z_t
    hidden: int = 200  # units of each layer of the backbone
    lstm_layers: int = 2  # layers of the backbone, whichever it is
    embedding: int = 200  # features that a symbol or frame is embedded in
    positions: int = 16  # features of "steps since the start" and "steps to the end", together
    dropout: float = 0.4  # around and after the backbone
    input_dropout: float = 0.1  # on embeddings, and on z before the prior's context

    def __post_init__(self) -> None:
        _one_of("model.prior", self.prior, ("flow", "none"))
        _one_of("model.time", self.time, TIMES)
        _one_of("model.features", self.features, FEATURES)
        _one_of("model.backbone", self.backbone, tuple(BACKBONES))
        _one_of("model.transform", self.transform, tuple(TRANSFORMS))
        _one_of("model.emission", self.emission, ("auto", "categorical", "bernoulli", "nade"))
        for name in ("flow_layers", "flow_hidden", "latent", "hidden", "lstm_layers", "embedding", "positions"):
            _at_least(f"model.{name}", getattr(self, name), 1)
        if self.prior == "none" and self.backbone != "lstm":
            raise ConfigError(
                f"model.backbone: found {self.backbone!r} for the baseline, which is an LSTM by name; expected 'lstm', "
                "or a model with a latent, as af-scf"
            )
        if self.time == "coupling" and self.features != "none":
            raise ConfigError(
                f"model.features: found {self.features!r} beside time 'coupling', which splits the features itself; "
                "expected 'none'"
            )
        if (self.features == "scf" or self.time == "coupling") and self.latent < 2:
            raise ConfigError("model.latent: found 1, expected at least 2, a feature on each side of a split")
        for name in ("dropout", "input_dropout"):
            _within(f"model.{name}", getattr(self, name), 0, 0.95)


@dataclass(frozen=True)
class TrainingConfig:
    """A run's length, its optimizer and its schedules; the schedules are fractions of the run."""

    max_steps: int | None = 4000  # updates; with `epochs` as well, whichever ends first
    epochs: int | None = None  # passes over the training split
    batch_size: int = 16  # sequences
    samples: int = 1  # samples K of the latent for each sequence of an update
    precision: str = "float32"  # of the networks, in training and its validations: float32, bfloat16
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    gradient_norm: float = 5.0  # gradients are clipped to this norm
    kl_start: float = 0.06  # fraction of the run after which the KL weight begins to rise from 0
    kl_full: float = 0.35  # fraction of the run after which it is 1
    averaging: float = 0.995  # decay of the averaged weights, which are those that are scored and sampled
    decay: float = 0.3  # the learning rate is multiplied by this when validation no longer improves
    patience: int = 4  # validations without improvement before the rate decays; three times that ends the run
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_steps is None and self.epochs is None:
            raise ConfigError("training: found neither max_steps nor epochs; expected one of them, or both")
        for name in ("max_steps", "epochs"):
            if getattr(self, name) is not None:
                _at_least(f"training.{name}", getattr(self, name), 1)
        _at_least("training.batch_size", self.batch_size, 1)
        _at_least("training.samples", self.samples, 1)
        _one_of("training.precision", self.precision, ("float32", "bfloat16"))
        _at_least("training.patience", self.patience, 1)
        _within("training.seed", self.seed, 0, 2**63 - 1)  # what torch's generators take
        _within("training.learning_rate", self.learning_rate, 1e-9, 1)
        _within("training.weight_decay", self.weight_decay, 0, 10)
        _within("training.gradient_norm", self.gradient_norm, 1e-6, 1e9)
        _within("training.averaging", self.averaging, 0, 0.999999)
        _within("training.decay", self.decay, 0.001, 1)
        _within("training.kl_full", self.kl_full, 0, 1)
        _within("training.kl_start", self.kl_start, 0, self.kl_full)


@dataclass(frozen=True)
class Config:
    """All of a run's settings: the content of `config.json`."""

    name: str = "af-scf"  # the named model it started from
    preset: str = "small"
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    def override(self, values: dict[str, Any], where: str = "config") -> "Config":
        """This configuration with the given keys replaced.

        Raises:
            ConfigError: on an unknown key, with the nearest known one, or on a value of the wrong type or range.
        """
        return _override(self, values, where)


NAMED_MODELS: dict[str, dict[str, Any]] = {
    "lstm": {"prior": "none"},
    "af-only": {"time": "none", "features": "af"},
    "af-af": {"time": "af", "features": "af"},
    "af-scf": {"time": "af", "features": "scf"},
    "iaf-scf": {"time": "iaf", "features": "scf"},
    "coupling": {"time": "coupling", "features": "none"},
}

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    # A few minutes of two CPU cores: for a first song, and for tests.
    "tiny": {
        "model": {"hidden": 96, "embedding": 96, "latent": 24, "lstm_layers": 1, "flow_layers": 4, "flow_hidden": 64,
                  "dropout": 0.2},
        "training": {"max_steps": 1200, "learning_rate": 4e-3, "averaging": 0.98},
    },
    # Half an hour of a laptop.
    "small": {},
    # The sizes of Ziegler & Rush (2019), section 6: hidden 500, z 50, two-layer LSTMs, 5 layers of 2 x 100.
    "paper": {
        "model": {"hidden": 500, "embedding": 500},
        "training": {"max_steps": None, "epochs": 100, "learning_rate": 1e-3, "kl_start": 0.1, "kl_full": 0.35},
    },
}  # fmt: skip


def build_config(model: str = "af-scf", preset: str = "small", backbone: str = "lstm") -> Config:
    """The configuration of a named model at a preset's sizes, on a backbone, which the learning rate and dropout suit.

    Raises:
        ConfigError: if a name is unknown, or the model has another backbone by its own.
    """
    _one_of("--model", model, tuple(NAMED_MODELS))
    _one_of("--preset", preset, tuple(PRESETS))
    values = {"name": model, "preset": preset, **PRESETS[preset]}
    config = Config().override(values).override({"model": {**NAMED_MODELS[model], "backbone": backbone}})
    own = BACKBONES[backbone]
    dropout, rate = config.model.dropout * own.dropout, config.training.learning_rate * own.pace
    return config.override({"model": {"dropout": dropout}, "training": {"learning_rate": rate}})


def read_config(path: Path) -> dict[str, Any]:
    """The JSON object in a file, unchecked but for being one."""
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested without end
        raise ConfigError(f"{path}: not JSON ({error}); expected an object with the keys of config.json") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: found a JSON {type(values).__name__}, expected an object like config.json")
    return values


def _override(settings: Any, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: found {values!r}, expected an object of settings")
    fields = {f.name: f for f in dataclasses.fields(settings)}
    changed: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "expected one of " + ", ".join(fields)
            raise ConfigError(f"{where}: unknown key {key!r}; {hint}")
        current = getattr(settings, key)
        if dataclasses.is_dataclass(current):
            changed[key] = _override(current, value, f"{where}: {key}")
        else:
            changed[key] = _typed(f"{where}: {key}", str(fields[key].type), value)
    return dataclasses.replace(settings, **changed)


_TYPES: dict[str, tuple[type, ...]] = {
    "<class 'str'>": (str,),
    "<class 'int'>": (int,),
    "<class 'float'>": (int, float),
    "int | None": (int, type(None)),
}


def _typed(where: str, annotation: str, value: Any) -> Any:
    accepted = _TYPES[annotation]
    if isinstance(value, bool) or not isinstance(value, accepted):
        names = " or ".join("null" if t is type(None) else t.__name__ for t in accepted)
        raise ConfigError(f"{where}: found {value!r}, expected {names}")
    return float(value) if float in accepted else value  # type: ignore[arg-type]


def _one_of(where: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{where}: found {value!r}, expected one of {', '.join(choices)}")


def _at_least(where: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"{where}: found {value}, expected at least {least}")


def _within(where: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also refuses NaN
        raise ConfigError(f"{where}: found {value}, expected a number from {low:g} to {high:g}")
