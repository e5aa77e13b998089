"""What a model is and how it is trained: two frozen dataclasses, JSON in and out.

Their fields are all settings there are, and `config.json` holds each of them. `lnfgen.training.recipes` says which
values a new run has. An unknown key or an impossible value is an error before any work is done.
"""

import dataclasses
import difflib
import json
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

from lnfgen.errors import ConfigError
from lnfgen.files import read_object

CONFIG_FORMAT = 1
"""The `format_version` of `config.json`. It grows by one when a key is renamed or gets another meaning."""

TIMES = ("af", "iaf", "coupling", "blocks", "none")
FEATURES = ("af", "scf", "none", "codes")
BACKBONES = ("lstm", "scan", "conv-scan")
TRANSFORMS = ("affine", "nlsq", "mixture", "spline")
PRECISIONS = ("float32", "bfloat16")
KEPT = ("best", "last")
EMISSIONS = {"text": ("categorical",), "music": ("bernoulli", "nade", "past")}
"""The outputs that fit each kind of data."""

MAX_SIZE = 65_536
"""The greatest size or count of a model. No computer holds a network of such layers, so a greater one is a mistake."""

_WITHOUT_LAYERS: dict[str, Any] = {"transform": "none", "num_flow_layers": 0, "conditioner_size": 0}

NAMED_MODELS: dict[str, dict[str, Any]] = {
    "lstm": {"time": "none", "features": "none", "latent_size": 0, "backbone": "lstm", **_WITHOUT_LAYERS},
    "af-only": {"time": "none", "features": "af"},
    "af-af": {"time": "af", "features": "af"},
    "af-scf": {"time": "af", "features": "scf"},
    "af-codes": {"time": "af", "features": "codes", **_WITHOUT_LAYERS},
    "blocks-scf": {"time": "blocks", "features": "scf"},
    "blocks-codes": {"time": "blocks", "features": "codes", **_WITHOUT_LAYERS},
    "iaf-scf": {"time": "iaf", "features": "scf"},
    "coupling": {"time": "coupling", "features": "none"},
}
"""The keys of `model` that each name stands for. A key that means nothing for a model is `none` or 0."""


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and choices of a model."""

    time: str = "af"  # how the flow runs across time: af, iaf, coupling, blocks, none
    features: str = "scf"  # how it runs across the features of a step: af, scf, none, codes (z says the symbol of text)
    backbone: str = "lstm"  # the network through time of posterior, prior and emission: lstm, scan, conv-scan
    transform: str = "nlsq"  # the elementwise transform: affine, nlsq, mixture, spline; none with codes
    emission: str = "categorical"  # the output: categorical (text), bernoulli, nade or past (music)
    num_flow_layers: int = 5  # layers of the flow within a step, or of couplings through time; 0 with codes
    conditioner_size: int = 100  # units in each of the two hidden layers of a flow layer's conditioner; 0 with codes
    latent_size: int = 50  # features of z_t; 0 is the autoregressive LSTM baseline, which has no latent and no flow
    hidden_size: int = 200  # units of each layer of the backbone
    num_layers: int = 2  # layers of the backbone
    embedding_size: int = 200  # features that a symbol or frame is embedded in
    near_end: bool = False  # the networks also see how near the end is, so that a text ends as a whole
    in_metre: bool = False  # they also see each piece's time signature, and the place in its bars
    dropout: float = 0.4  # around and after the backbone; above 0, INPUT_DROPOUT on its inputs goes with it
    note_noise: float = 0.0  # share of earlier keys hidden or moved in training, for the output past, which reads them
    copy_attention: bool = False  # past, or else the prior of af, sees what came next where the piece was alike before
    copy_melody: bool = False  # past sees so of the melody alone too, where other voices differ

    @property
    def name(self) -> str:
        """The named model that this is, or its way across time and across features, as in `iaf-af`."""
        if self.baseline:
            return "lstm"
        name = f"{self.time}-{self.features}"
        return {"none-af": "af-only", "coupling-none": "coupling"}.get(name, name)

    @property
    def baseline(self) -> bool:
        """True of the autoregressive LSTM, which has no latent."""
        return self.latent_size == 0

    @property
    def has_transform(self) -> bool:
        """True of a model whose flow has layers with an elementwise transform."""
        return not self.baseline and self.features != "codes"

    @property
    def input_dropout(self) -> float:
        """Dropout on embeddings, and on z before the prior's context."""
        return INPUT_DROPOUT if self.dropout else 0.0

    def facts(self) -> dict[str, str | None]:
        """The name and the choices of the model, for reports."""
        transform = self.transform if self.has_transform else None
        return {"model": self.name, "backbone": self.backbone, "transform": transform, "emission": self.emission}

    def __post_init__(self) -> None:
        _one_of("model.time", self.time, TIMES)
        _one_of("model.features", self.features, FEATURES)
        _one_of("model.backbone", self.backbone, BACKBONES)
        _one_of("model.transform", self.transform, ("none", *TRANSFORMS))
        _one_of("model.emission", self.emission, [name for names in EMISSIONS.values() for name in names])
        for name in ("hidden_size", "num_layers", "embedding_size"):
            _within(f"model.{name}", getattr(self, name), 1, MAX_SIZE)
        for name in ("latent_size", "num_flow_layers", "conditioner_size"):
            _within(f"model.{name}", getattr(self, name), 0, MAX_SIZE)
        for name in ("dropout", "note_noise"):
            _within(f"model.{name}", getattr(self, name), 0, 0.95)
        if self.time == "coupling" and self.features != "none":
            raise ConfigError(
                f"model.features: found {self.features!r} beside time 'coupling', which splits the features itself; "
                "expected 'none'"
            )
        if self.time == "iaf" and self.features == "codes":
            raise ConfigError(
                "model.features: found 'codes' beside time 'iaf', whose network reads eps and not the codes; "
                "expected af, scf or none"
            )
        if (self.features == "scf" or self.time == "coupling") and self.latent_size == 1:
            raise ConfigError("model.latent_size: found 1, expected at least 2, one on each side of a split")
        for name, nothing in _WITHOUT_LAYERS.items():
            if self.has_transform and getattr(self, name) == nothing:
                raise ConfigError(
                    f"model.{name}: found {nothing!r} for {self.name}, whose flow has layers; expected another value; "
                    "--model chooses a model with all that goes with it"
                )


INPUT_DROPOUT = 0.1

DECAYS_BEFORE_STOP = 3
"""So many times `patience` validations in a row without improvement end training."""

CALIBRATION_ROUNDS = 12
"""Each draws pieces of its own (`lnfgen.training.calibration`)."""


@dataclass(frozen=True)
class TrainingConfig:
    """A run's length, its optimizer and its schedules; the schedules are fractions of the run."""

    max_steps: int | None = 4000  # updates; with `epochs` as well, whichever ends first
    epochs: int | None = None  # passes over the training split
    batch_size: int = 16  # sequences
    precision: str = "float32"  # of the networks, in training and its validations: float32, bfloat16
    learning_rate: float = 2e-3
    cooldown_start: float = 1.0  # fraction of the run after which the learning rate falls linearly to 0; 1: never
    patience: int = 4  # validations without improvement before the rate decays; three times that ends the run
    ema_decay: float = 0.995  # of the exponential moving average of the weights, which is what is scored and sampled
    keep: str = "best"  # which averaged weights become the model: best, of the lowest valid ELBO, or last
    kl_warmup_start: float = 0.06  # fraction of the run after which the KL weight begins to rise from 0
    kl_warmup_end: float = 0.35  # fraction of the run after which it is 1; 0: from the first update on
    free_bits: float = 0.0  # nats of KL a step that cost nothing in training, so that z is used beside a strong output
    transpose: int = 0  # music: each sequence is moved by up to so many semitones, drawn anew in each epoch
    calibration_pieces: int = 0  # samples a round that calibrate rules of parallel motion after training; 0: none
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_steps is None and self.epochs is None:
            raise ConfigError("training: found neither max_steps nor epochs; expected one of them, or both")
        _one_of("training.precision", self.precision, PRECISIONS)
        _one_of("training.keep", self.keep, KEPT)
        for name in ("max_steps", "epochs", "batch_size", "patience"):
            if getattr(self, name) is not None:
                _within(f"training.{name}", getattr(self, name), 1)
        _within("training.seed", self.seed, 0, 2**63 - 1)  # what torch's generators take
        _within("training.free_bits", self.free_bits, 0, 1000)
        _within("training.transpose", self.transpose, 0, 127)
        _within("training.calibration_pieces", self.calibration_pieces, 0, 100_000)
        _within("training.learning_rate", self.learning_rate, 1e-9, 1)
        _within("training.ema_decay", self.ema_decay, 0, 0.999999)
        _within("training.cooldown_start", self.cooldown_start, 0, 1)
        _within("training.kl_warmup_end", self.kl_warmup_end, 0, 1)
        _within("training.kl_warmup_start", self.kl_warmup_start, 0, self.kl_warmup_end)

    def total_steps(self, num_sequences: int) -> int:
        """The updates of the whole run, where the training split has so many sequences."""
        limits = [self.max_steps, self.epochs and self.epochs * math.ceil(num_sequences / self.batch_size)]
        return min(limit for limit in limits if limit is not None)

    def passes(self, num_sequences: int) -> float:
        """How often the whole run sees each of so many sequences."""
        return self.total_steps(num_sequences) * self.batch_size / num_sequences

    def pieces_a_round(self, step: int) -> int:
        """The samples of each round of calibration, after so many updates; 0: there is none.

        All rounds draw at most half as many as training has seen. So a run of a few updates, which makes no music yet,
        does not go on for minutes.
        """
        return min(self.calibration_pieces, step * self.batch_size // (2 * CALIBRATION_ROUNDS))


@dataclass(frozen=True)
class Config:
    """All of a run's settings: the content of `config.json`."""

    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    @property
    def name(self) -> str:
        """The name of the model, which follows from the model's settings."""
        return self.model.name

    def to_json(self) -> str:
        """The content of `config.json`."""
        return json.dumps({"format_version": CONFIG_FORMAT, **dataclasses.asdict(self)}, indent=2) + "\n"

    def flat(self) -> dict[str, Any]:
        """All settings by their keys, as in `training.learning_rate`."""
        return {
            f"{name}.{key}": value for name, keys in dataclasses.asdict(self).items() for key, value in keys.items()
        }

    def override(self, keys: Mapping[str, Any], where: str = "config") -> "Config":
        """This configuration with the values of some keys, as in `training.learning_rate`, replaced.

        Raises:
            ConfigError: if a key is unknown, or a value has the wrong type or is out of range. `where` begins the line.
        """
        changed: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
        for key, value in checked(keys, where).items():
            name, _, own = key.partition(".")
            changed[name][own] = value
        try:
            return Config(**{name: dataclasses.replace(getattr(self, name), **changed[name]) for name in _SECTIONS})
        except ConfigError as error:  # a value out of range, which does not know where it comes from
            raise ConfigError(f"{where}: {error}") from error


_SECTIONS: dict[str, Any] = {"model": ModelConfig, "training": TrainingConfig}
KEYS: dict[str, Any] = {
    f"{name}.{key.name}": get_type_hints(settings)[key.name]
    for name, settings in _SECTIONS.items()
    for key in dataclasses.fields(settings)
}
"""All keys of `config.json`, and their types."""


def checked(keys: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The same keys and values, which are known and have the right types. A whole number becomes a float where need be.

    Raises:
        ConfigError: if a key is unknown, or a value has the wrong type.
    """
    found = {}
    for key, value in keys.items():
        if key not in KEYS:
            raise ConfigError(f"{where}: unknown key {key!r}; {_hint(key)}")
        found[key] = _typed(f"{where}: {key}", KEYS[key], value)
    return found


def read_config(source: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """The keys in a file that a person wrote, in the folder of a run, or in a dictionary of the same form.

    Raises:
        ConfigError: if the file is missing or no JSON object, the folder is no run's, or a key is unknown.
    """
    if not isinstance(source, str | Path):
        return _flattened(source, "config")
    path = Path(source)
    if path.is_dir():
        if not (path / "config.json").exists():
            raise ConfigError(f"{path} is a folder without a config.json; expected a JSON file, or the folder of a run")
        path = path / "config.json"
    if not path.exists():
        raise ConfigError(f"{path} is not there; expected a JSON file with keys of config.json, or the folder of a run")
    return _flattened(_read(path), str(path))


def read_run_config(path: Path) -> Config:
    """The configuration in a run's `config.json`.

    Raises:
        ConfigError: if the file is not a JSON object of the known format with all keys, or a value is impossible.
    """
    return config_from(_read(path), str(path))


def config_from(values: Mapping[str, Any], where: str) -> Config:
    """The configuration in the content of a `config.json`; errors as above."""
    keys = _flattened(values, where)
    if missing := [key for key in KEYS if key not in keys]:
        raise ConfigError(f"{where}: found no {' and no '.join(missing)}; expected all keys; restore the file")
    return Config().override(keys, where)


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_object(path)
    except ValueError as error:
        raise ConfigError(f"{path}: no JSON object ({error}); expected one with the keys of config.json") from error


def _flattened(values: Any, where: str) -> dict[str, Any]:
    """The keys of an object in objects, checked: {"training": {"seed": 1}} -> {"training.seed": 1}."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: found {values!r}, expected an object of settings")
    version = values.get("format_version", CONFIG_FORMAT)
    if type(version) is not int or version != CONFIG_FORMAT:
        raise ConfigError(
            f"{where}: format_version: found {version!r}, expected {CONFIG_FORMAT}; another version of lnfgen wrote it"
        )
    keys: dict[str, Any] = {}
    for name, inner in values.items():
        if name in _SECTIONS:
            if not isinstance(inner, Mapping):
                raise ConfigError(f"{where}: {name}: found {inner!r}, expected an object of settings")
            keys |= {f"{name}.{key}": value for key, value in inner.items()}
        elif name != "format_version":
            keys[name] = inner  # unknown, which `checked` says
    return checked(keys, where)


def _hint(key: str) -> str:
    known = {own: name for name in KEYS for own in (name.partition(".")[2], name)}
    known |= {name: name for name in _SECTIONS if "." not in key and key != name}
    near = difflib.get_close_matches(key, known, n=1) or difflib.get_close_matches(key.partition(".")[2], known, n=1)
    return f"did you mean {known[near[0]]!r}?" if near else "expected one of " + ", ".join(KEYS)


def _typed(where: str, annotation: Any, value: Any) -> Any:
    """The value, if it has the annotated type. A whole number is a float too, but true and false are not numbers."""
    accepted = get_args(annotation) or (annotation,)
    if float in accepted and type(value) is int and abs(value) <= sys.float_info.max:
        return float(value)
    if type(value) not in accepted:
        names = {bool: "true or false", int: "a whole number", float: "a number", str: "a string", NoneType: "null"}
        raise ConfigError(f"{where}: found {value!r}, expected {' or '.join(names[accept] for accept in accepted)}")
    return value


def _one_of(where: str, value: str, choices: Iterable[str]) -> None:
    if value not in list(choices):
        raise ConfigError(f"{where}: found {value!r}, expected one of {', '.join(choices)}")


def _within(where: str, value: float, low: float, high: float = math.inf) -> None:
    if not low <= value <= high:  # NaN is refused too
        expected = f"at least {low}" if high == math.inf else f"a number from {low:g} to {high:.15g}"
        raise ConfigError(f"{where}: found {value}, expected {expected}")
