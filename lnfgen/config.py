"""What a model is and how it is trained: frozen dataclasses, JSON in and out, presets and named models.

The fields of the dataclasses are all settings there are: `config.json` holds them, and a preset sets some of them. An
unknown key or an impossible value is an error before any work is done.
"""

import dataclasses
import difflib
import json
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

from lnfgen.config_formats import CONFIG_FORMAT, RENAMED, in_present_format, split_version
from lnfgen.errors import ConfigError
from lnfgen.files import read_object
from lnfgen.nn.backbones import BACKBONES  # names alone: it does not load torch
from lnfgen.transforms import TRANSFORMS  # names alone as well

TIMES = ("af", "iaf", "coupling", "blocks", "none")
FEATURES = ("af", "scf", "none", "codes")
PRECISIONS = ("float32", "bfloat16")
KEPT = ("best", "last")
EMISSIONS = {"text": ("categorical",), "music": ("bernoulli", "nade", "past")}
"""The outputs that fit each kind of data; `auto` stands for the first."""

MAX_SIZE = 65_536
"""The greatest size or count of a model. No computer holds a network of such layers, so a greater one is a mistake."""


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and choices of a model. The baseline has no latent and ignores what only concerns the latent."""

    baseline: bool = False  # true: the autoregressive LSTM baseline, which has no latent
    time: str = "af"  # how the flow runs across time: af, iaf, coupling, blocks, none
    features: str = "scf"  # across the features of a step: af, scf, none; codes: z_t says the symbol of a text
    backbone: str = "lstm"  # the network through time of posterior, prior and emission: one of nn.backbones.BACKBONES
    transform: str = "nlsq"  # the elementwise transform: one of transforms.TRANSFORMS
    emission: str = "auto"  # the output: auto, categorical (text), bernoulli, nade or past (music)
    num_flow_layers: int = 5  # layers of the flow within a step
    conditioner_size: int = 100  # units in each of the two hidden layers of a flow layer's conditioner
    latent_size: int = 50  # features of z_t
    hidden_size: int = 200  # units of each layer of the backbone
    num_layers: int = 2  # layers of the backbone
    embedding_size: int = 200  # features that a symbol or frame is embedded in
    position_size: int = 16  # features of "steps since the start" and "steps to the end", together
    near_end: bool = False  # these features also say how near the end is, so that a text ends as a whole
    in_metre: bool = False  # they also say each piece's time signature, and the place in its bars
    dropout: float = 0.4  # around and after the backbone
    input_dropout: float = 0.1  # on embeddings, and on z before the prior's context
    note_noise: float = 0.0  # share of earlier keys hidden or moved in training, for an output that reads them (past)
    copy_attention: bool = False  # the output past, or else the prior of af, is told what came next where it was alike
    copy_melody: bool = False  # the output past is told so of the melody alone too, where other voices differ

    @property
    def name(self) -> str:
        """The named model that this is, or its way across time and across features, as in `iaf-af`."""
        for name, point in NAMED_MODELS.items():
            if all(getattr(self, key) == value for key, value in point.items()):
                return name
        return f"{self.time}-{self.features}"

    @property
    def has_transform(self) -> bool:
        """Whether the model has layers with an elementwise transform."""
        return not self.baseline and self.features != "codes"

    @property
    def prior_copies(self) -> bool:
        """Whether copy attention is in the prior: where z is drawn step by step and the output does not copy."""
        return self.copy_attention and self.time == "af" and self.emission != "past"

    @property
    def work_size(self) -> int:
        """How wide a step's products are, by which the number of threads is chosen (see `lnfgen.device`).

        It is `hidden_size`, but the output `past` has a quarter to a half of that for each of some fifty keys. At
        `tiny`, two threads take 0.55 to 0.7 of the time that one takes for an update with it.
        """
        return self.hidden_size * (16 if self.emission == "past" else 1)

    def facts(self, kind: str) -> dict[str, str | None]:
        """What a report says of the model: its name and choices. For the emission `auto`, the kind of data decides."""
        emission = EMISSIONS.get(kind, ("auto",))[0] if self.emission == "auto" else self.emission
        transform = self.transform if self.has_transform else None
        return {"model": self.name, "backbone": self.backbone, "transform": transform, "emission": emission}

    def __post_init__(self) -> None:
        _one_of("model.time", self.time, TIMES)
        _one_of("model.features", self.features, FEATURES)
        _one_of("model.backbone", self.backbone, BACKBONES)
        _one_of("model.transform", self.transform, TRANSFORMS)
        _one_of("model.emission", self.emission, ("auto", *(name for names in EMISSIONS.values() for name in names)))
        for number in dataclasses.fields(self):
            if number.type is int:  # every whole number is a size or a count
                _within(f"model.{number.name}", getattr(self, number.name), 1, MAX_SIZE)
        if self.baseline and self.backbone != "lstm":
            raise ConfigError(
                f"model.backbone: found {self.backbone!r} for the baseline, which is an LSTM by name; expected 'lstm', "
                "or a model with a latent, as af-scf"
            )
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
        if (self.features == "scf" or self.time == "coupling") and self.latent_size < 2:
            raise ConfigError("model.latent_size: found 1, expected at least 2, one on each side of a split")
        for name in ("dropout", "input_dropout", "note_noise"):
            _within(f"model.{name}", getattr(self, name), 0, 0.95)


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
    num_samples: int = 1  # samples K of the latent for each sequence of an update
    precision: str = "float32"  # of the networks, in training and its validations: float32, bfloat16
    learning_rate: float = 2e-3
    learning_rate_decay: float = 0.3  # the learning rate is multiplied by this when validation no longer improves
    cooldown_start: float = 1.0  # fraction of the run after which the learning rate falls linearly to 0; 1: never
    patience: int = 4  # validations without improvement before the rate decays; three times that ends the run
    weight_decay: float = 0.05
    max_grad_norm: float = 5.0  # gradients are clipped to this norm
    ema_decay: float = 0.995  # of the exponential moving average of the weights, which is what is scored and sampled
    keep: str = "best"  # which averaged weights become the model: best, of the lowest valid ELBO, or last
    kl_warmup_start: float = 0.06  # fraction of the run after which the KL weight begins to rise from 0
    kl_warmup_end: float = 0.35  # fraction of the run after which it is 1
    free_bits: float = 0.0  # nats of KL a step that cost nothing in training, so that z is used beside a strong output
    transpose: int = 0  # music: each sequence is moved by up to so many semitones, drawn anew in each epoch
    filling_steps: int = 0  # updates after training that fit the flow with which fill draws z; 0: fill uses the prior
    calibration_pieces: int = 0  # samples a round that calibrate rules of parallel motion after training; 0: none
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_steps is None and self.epochs is None:
            raise ConfigError("training: found neither max_steps nor epochs; expected one of them, or both")
        _one_of("training.precision", self.precision, PRECISIONS)
        _one_of("training.keep", self.keep, KEPT)
        for name in ("max_steps", "epochs", "batch_size", "num_samples", "patience"):
            if getattr(self, name) is not None:
                _within(f"training.{name}", getattr(self, name), 1)
        _within("training.seed", self.seed, 0, 2**63 - 1)  # what torch's generators take
        _within("training.free_bits", self.free_bits, 0, 1000)
        _within("training.transpose", self.transpose, 0, 127)
        _within("training.filling_steps", self.filling_steps, 0, 10_000_000)
        _within("training.calibration_pieces", self.calibration_pieces, 0, 100_000)
        _within("training.learning_rate", self.learning_rate, 1e-9, 1)
        _within("training.weight_decay", self.weight_decay, 0, 10)
        _within("training.max_grad_norm", self.max_grad_norm, 1e-6, 1e9)
        _within("training.ema_decay", self.ema_decay, 0, 0.999999)
        _within("training.learning_rate_decay", self.learning_rate_decay, 0.001, 1)
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

    preset: str = "small"  # the preset that it started from
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        _one_of("preset", self.preset, PRESETS)

    @property
    def name(self) -> str:
        """The name of the model, which follows from the model's settings."""
        return self.model.name

    def to_json(self) -> str:
        """The content of `config.json`."""
        values = {"format_version": CONFIG_FORMAT, "name": self.name, **dataclasses.asdict(self)}
        return json.dumps(values, indent=2) + "\n"

    def flat(self) -> dict[str, Any]:
        """All settings by their keys, as in `training.learning_rate`."""
        values = dataclasses.asdict(self)
        sections = [section for section, value in values.items() if isinstance(value, dict)]
        inside = {f"{section}.{key}": value for section in sections for key, value in values[section].items()}
        return {key: value for key, value in values.items() if key not in sections} | inside

    def override(self, values: dict[str, Any], where: str = "config") -> "Config":
        """This configuration with the given keys replaced. A `name` among them must be that of the resulting model.

        Raises:
            ConfigError: if a key is unknown, or a value has the wrong type or is out of range.
        """
        if not isinstance(values, dict):
            raise ConfigError(f"{where}: found {values!r}, expected an object of settings")
        config: Config = _override(self, {key: value for key, value in values.items() if key != "name"}, where)
        if values.get("name", config.name) != config.name:
            raise ConfigError(
                f"{where}: name: found {values['name']!r}, expected {config.name!r}, which follows from the keys of "
                "model; leave name out, and choose a model with --model"
            )
        return config


NAMED_MODELS: dict[str, dict[str, Any]] = {
    "lstm": {"baseline": True},
    "af-only": {"baseline": False, "time": "none", "features": "af"},
    "af-af": {"baseline": False, "time": "af", "features": "af"},
    "af-scf": {"baseline": False, "time": "af", "features": "scf"},
    "af-codes": {"baseline": False, "time": "af", "features": "codes"},
    "blocks-scf": {"baseline": False, "time": "blocks", "features": "scf"},
    "blocks-codes": {"baseline": False, "time": "blocks", "features": "codes"},
    "iaf-scf": {"baseline": False, "time": "iaf", "features": "scf"},
    "coupling": {"baseline": False, "time": "coupling", "features": "none"},
}

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    # A few minutes of two CPU cores: for a first song, and for tests.
    "tiny": {
        "model": {"hidden_size": 96, "embedding_size": 96, "latent_size": 24, "num_layers": 1, "num_flow_layers": 4,
                  "conditioner_size": 64, "dropout": 0.2},
        "training": {"max_steps": 1200, "learning_rate": 4e-3, "ema_decay": 0.98},
    },
    # Half an hour of a laptop.
    "small": {},
    # The sizes of Ziegler & Rush (2019), section 6: hidden 500, z 50, two-layer LSTMs, 5 layers of 2 x 100.
    "paper": {
        "model": {"hidden_size": 500, "embedding_size": 500},
        "training": {"max_steps": None, "epochs": 100, "learning_rate": 1e-3,
                     "kl_warmup_start": 0.1, "kl_warmup_end": 0.35},
    },
}  # fmt: skip


def build_config(model: str = "af-scf", preset: str = "small", backbone: str = "lstm") -> Config:
    """A named model at a preset's sizes, with the learning rate and the dropout that suit the backbone.

    Raises:
        ConfigError: if a name is unknown, or the model cannot have this backbone.
    """
    _one_of("--model", model, NAMED_MODELS)
    _one_of("--preset", preset, PRESETS)
    config = Config(preset).override(PRESETS[preset])
    config = config.override({"model": {**NAMED_MODELS[model], "backbone": backbone}})
    dropout = config.model.dropout * BACKBONES[backbone].dropout
    rate = config.training.learning_rate * BACKBONES[backbone].pace
    return config.override({"model": {"dropout": dropout}, "training": {"learning_rate": rate}})


def read_config(path: Path) -> dict[str, Any]:
    """The settings in a file that a person wrote, or in a run folder. Only the format is checked.

    Raises:
        ConfigError: if the file is missing or not a JSON object of a known format, or the folder is no run's.
    """
    if path.is_dir():
        if not (path / "config.json").exists():
            raise ConfigError(f"{path} is a folder without a config.json; expected a JSON file, or the folder of a run")
        path = path / "config.json"
    if not path.exists():
        raise ConfigError(f"{path} is not there; expected a JSON file with keys of config.json, or the folder of a run")
    return split_version(_read(path), str(path))[1]


def read_run_config(path: Path) -> Config:
    """The configuration in a run's `config.json`, of the present format or an older one.

    Raises:
        ConfigError: if the file is not a JSON object of a known format, or its settings are not possible.
    """
    return config_from(_read(path), str(path))


def config_from(values: dict[str, Any], where: str) -> Config:
    """The configuration in the content of a `config.json`, of the present format or an older one; errors as above."""
    return Config().override(in_present_format(values, where), where)


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_object(path)
    except ValueError as error:
        raise ConfigError(f"{path}: no JSON object ({error}); expected one with the keys of config.json") from error


def _override(settings: Any, values: Any, where: str, section: str = "") -> Any:
    """A dataclass of settings with the given values replaced; `section` is its key in the dataclass that holds it."""
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: found {values!r}, expected an object of settings")
    types = get_type_hints(type(settings))
    changed: dict[str, Any] = {}
    for key, value in values.items():
        if key not in types:
            raise ConfigError(f"{where}: unknown key {key!r}; {_hint(key, settings, section)}")
        current = getattr(settings, key)
        if dataclasses.is_dataclass(current):
            changed[key] = _override(current, value, f"{where}: {key}", key)
        else:
            changed[key] = _typed(f"{where}: {key}", types[key], value)
    try:
        return dataclasses.replace(settings, **changed)
    except ConfigError as error:  # a value out of range, which does not know where it comes from
        raise ConfigError(f"{where.removesuffix(f': {section}')}: {error}") from error


def _hint(key: str, settings: Any, section: str) -> str:
    if key in RENAMED.get(section, {}):
        return f"it is now {RENAMED[section][key]!r}"
    keys = [setting.name for setting in dataclasses.fields(settings)]
    known = {key: key for key in keys}
    for name in keys:  # the keys of a section, for one that stands outside it
        if dataclasses.is_dataclass(inner := getattr(settings, name)):
            known |= {setting.name: f"{name}.{setting.name}" for setting in dataclasses.fields(inner)}
    near = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {known[near[0]]!r}?" if near else "expected one of " + ", ".join(keys)


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
