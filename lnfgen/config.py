"""A model's settings and how it is trained: two frozen dataclasses, JSON in and out.

Their fields are all settings there are, and `config.json` holds each of them. No field has a
default: `lnfgen.training.recipes` gives a new run its values. An impossible value is an error
before any work is done.
"""

import difflib
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

from lnfgen.errors import ConfigError
from lnfgen.files import read_object

# The `format_version` of `config.json`, one more when a key is renamed or means something else.
CONFIG_FORMAT = 1
TIMES = ("af", "iaf", "coupling", "blocks", "none")
FEATURES = ("af", "scf", "none", "codes")
BACKBONES = ("lstm", "scan", "conv-scan")
TRANSFORMS = ("affine", "nlsq", "mixture", "spline")
# The outputs that fit each kind of data.
EMISSIONS = {"text": ("categorical",), "music": ("bernoulli", "nade", "autoregressive")}

# The greatest size or count of a model; no computer holds a network with larger layers.
MAX_SIZE = 65_536

WITHOUT_LAYERS: dict[str, Any] = {"transform": "none", "num_flow_layers": 0, "conditioner_size": 0}
"""The keys of `model` that mean nothing for a model without an elementwise transform."""

NAMED_MODELS: dict[str, dict[str, Any]] = {
    "lstm": {
        "time": "none",
        "features": "none",
        "latent_size": 0,
        "backbone": "lstm",
        **WITHOUT_LAYERS,
    },
    "af-only": {"time": "none", "features": "af"},
    "af-af": {"time": "af", "features": "af"},
    "af-scf": {"time": "af", "features": "scf"},
    "af-codes": {"time": "af", "features": "codes", **WITHOUT_LAYERS},
    "blocks-scf": {"time": "blocks", "features": "scf"},
    "blocks-codes": {"time": "blocks", "features": "codes", **WITHOUT_LAYERS},
    "iaf-scf": {"time": "iaf", "features": "scf"},
    "coupling": {"time": "coupling", "features": "none"},
}
"""The keys of `model` that each name stands for. A key that means nothing for a model is `none` or
0."""

# So many times `patience` validations in a row without improvement end training.
DECAYS_BEFORE_STOP = 3
# The samples of each round of calibration for a band; twice as many where there are no parts.
CALIBRATION_PIECES = 40

# A string has its choices beside its type, and a number the least and the greatest value.
_Size = Annotated[int, (1, MAX_SIZE)]
_SizeOrNone = Annotated[int, (0, MAX_SIZE)]
_Rate = Annotated[float, (0, 0.95)]
_Count = Annotated[int, (1, math.inf)]
_Limit = Annotated[int | None, (1, math.inf)]
_Share = Annotated[float, (0, 1)]


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and choices of a model."""

    time: Annotated[str, TIMES]  # how the flow runs across time
    # How it runs across the features of a step; with codes, z stands for the symbol of a text.
    features: Annotated[str, FEATURES]
    backbone: Annotated[str, BACKBONES]  # the network through time of posterior, prior and emission
    transform: Annotated[str, ("none", *TRANSFORMS)]  # the elementwise transform; none with codes
    emission: Annotated[str, (*EMISSIONS["text"], *EMISSIONS["music"])]  # the output
    # Layers of the flow within a step, or of couplings through time; 0 with codes.
    num_flow_layers: _SizeOrNone
    # Units in each of the two hidden layers of a flow layer's conditioner; 0 with codes.
    conditioner_size: _SizeOrNone
    # Features of z_t; 0 is the autoregressive LSTM baseline, which has no latent and no flow.
    latent_size: _SizeOrNone
    hidden_size: _Size  # units of each layer of the backbone
    num_layers: _Size  # layers of the backbone
    embedding_size: _Size  # features that a symbol or frame is embedded in
    near_end: bool  # the networks also see how near the end is, so that a text ends as a whole
    reads_time_signature: (
        bool  # they also see each piece's time signature, and the place in its bars
    )
    # They also see the home of each piece, the key in which it closes.
    reads_home: bool
    dropout: _Rate  # around and after the backbone; above 0, 0.1 on its inputs goes with it
    # Share of earlier keys hidden or moved in training, for the autoregressive output, which reads
    # them.
    note_noise: _Rate
    # The autoregressive output, or else the prior of af, sees what came next where the piece was
    # alike.
    copy_attention: bool
    # What a temperature of 1 stands for when pieces are drawn; scores do not know it.
    usual_temperature: Annotated[float, (0.1, 10)]

    @property
    def name(self) -> str:
        """The named model that this is, or its ways across time and features, as in `iaf-af`."""
        if self.baseline:
            return "lstm"
        name = f"{self.time}-{self.features}"
        shorter = {"none-af": "af-only", "coupling-none": "coupling"}
        return shorter.get(name, name)

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
        return 0.1 if self.dropout else 0.0

    def facts(self) -> dict[str, str | None]:
        """The name and the choices of the model, for reports."""
        return {
            "model": self.name,
            "backbone": self.backbone,
            "transform": self.transform if self.has_transform else None,
            "emission": self.emission,
        }

    def __post_init__(self) -> None:
        if self.time == "coupling" and self.features != "none":
            raise ConfigError(
                f"model.features: found {self.features!r} beside time 'coupling'; expected 'none'"
            )
        if self.time == "iaf" and self.features == "codes":
            raise ConfigError(
                "model.features: found 'codes' beside time 'iaf', which reads eps; "
                "expected another one"
            )
        has_split = self.features == "scf" or self.time == "coupling"
        if has_split and self.latent_size == 1:
            raise ConfigError(
                "model.latent_size: found 1, expected at least 2, one on each side of a split"
            )
        for name, nothing in WITHOUT_LAYERS.items():
            if self.has_transform and getattr(self, name) == nothing:
                raise ConfigError(
                    f"model.{name}: found {nothing!r}; expected more, as {self.name} has layers"
                )


@dataclass(frozen=True)
class TrainingConfig:
    """A run's length, its optimizer and its schedules; the schedules are fractions of the run."""

    max_steps: _Limit  # updates; with `epochs` as well, whichever ends first
    epochs: _Limit  # passes over the training split
    batch_size: _Count  # sequences
    # Of the networks, in training and its validations.
    precision: Annotated[str, ("float32", "bfloat16")]
    learning_rate: Annotated[float, (1e-9, 1)]
    # Fraction of the run after which the learning rate falls linearly to 0; 1: never.
    cooldown_start: _Share
    # Validations without improvement before the rate decays; three times that ends the run.
    patience: _Count
    # Of the moving average of the weights, which is scored and sampled.
    ema_decay: Annotated[float, (0, 0.999999)]
    # The averaged weights that become the model; best: those of the best valid ELBO.
    keep: Annotated[str, ("best", "last")]
    kl_warmup_start: _Share  # fraction of the run after which the KL weight begins to rise from 0
    kl_warmup_end: _Share  # fraction of the run after which it is 1; 0: from the first update on
    free_bits: Annotated[float, (0, 1000)]  # nats of KL a step that cost nothing, so that z is used
    # Music: sequences move by up to so many semitones, within the pitch range of train.
    transpose: Annotated[int, (0, 127)]
    # Rounds in which samples are moved to the figures of train.
    calibration_rounds: Annotated[int, (0, 100_000)]
    seed: Annotated[int, (0, 2**63 - 1)]  # a seed that torch's generators take

    def __post_init__(self) -> None:
        if self.max_steps is None and self.epochs is None:
            raise ConfigError(
                "training: found neither max_steps nor epochs; expected one of them, or both"
            )
        if self.kl_warmup_start > self.kl_warmup_end:
            raise ConfigError(
                f"training.kl_warmup_start: found {self.kl_warmup_start}, "
                "expected at most kl_warmup_end"
            )

    def total_steps(self, num_sequences: int) -> int:
        """The updates of the whole run, where the training split has so many sequences."""
        limits = []
        if self.max_steps is not None:
            limits.append(self.max_steps)
        if self.epochs is not None:
            updates_per_epoch = math.ceil(num_sequences / self.batch_size)
            limits.append(self.epochs * updates_per_epoch)
        return min(limits)

    def rounds_after(self, step: int) -> int:
        """The rounds of calibration after `step` updates.

        They draw at most twice as many pieces as these updates saw.
        """
        num_seen = step * self.batch_size
        return min(self.calibration_rounds, num_seen // CALIBRATION_PIECES)


_SECTIONS: dict[str, Any] = {"model": ModelConfig, "training": TrainingConfig}


def _annotated_keys() -> dict[str, Any]:
    keys = {}
    for name, settings in _SECTIONS.items():
        annotations = get_type_hints(settings, include_extras=True)
        for key, annotation in annotations.items():
            keys[f"{name}.{key}"] = annotation
    return keys


KEYS: dict[str, Any] = _annotated_keys()
"""All keys of `config.json`, and their types with the values that they can take."""


@dataclass(frozen=True)
class Config:
    """All of a run's settings: the content of `config.json`."""

    model: ModelConfig
    training: TrainingConfig

    def __post_init__(self) -> None:
        checked(self.flat(), "config")

    def to_json(self) -> str:
        """The content of `config.json`."""
        content = {"format_version": CONFIG_FORMAT, **asdict(self)}
        return json.dumps(content, indent=2) + "\n"

    def flat(self) -> dict[str, Any]:
        """All settings by their keys, as in `training.learning_rate`."""
        keys = {}
        for name in _SECTIONS:
            for key, value in vars(getattr(self, name)).items():
                keys[f"{name}.{key}"] = value
        return keys


def config_of(keys: Mapping[str, Any], where: str = "config") -> Config:
    """The configuration with these values of all keys, as in `training.learning_rate`.

    Raises:
        ConfigError: if a key is unknown or missing, or a value is impossible. `where` begins its
            message.
    """
    keys = checked(keys, where)
    missing = [key for key in KEYS if key not in keys]
    if missing:
        absent = " and no ".join(missing)
        how_to_mend = "if an older version wrote it, train the run again"
        raise ConfigError(f"{where}: found no {absent}; expected all keys; {how_to_mend}")
    sections: dict[str, dict[str, Any]] = {name: {} for name in _SECTIONS}
    for key in KEYS:
        name, _, own = key.partition(".")
        sections[name][own] = keys[key]
    try:
        return Config(ModelConfig(**sections["model"]), TrainingConfig(**sections["training"]))
    except ConfigError as error:
        # Values that do not go together do not know where they come from.
        raise ConfigError(f"{where}: {error}") from error


def checked(keys: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The keys with their values, a whole number as a float where the key has one.

    Raises:
        ConfigError: if a key is unknown, or a value is impossible. `where` begins its message.
    """
    for key in keys:
        if key not in KEYS:
            raise ConfigError(f"{where}: unknown key {key!r}; {_hint(key)}")
    return {key: _possible(f"{where}: {key}", KEYS[key], value) for key, value in keys.items()}


def read_config(source: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """The keys in a file such as `config.json`, in a run folder, or in a dictionary of that form.

    Raises:
        ConfigError: if the file is missing or no JSON object, or a key is unknown or its value
            impossible.
    """
    where = "config"
    if isinstance(source, str | Path):
        where = str(source)
        if Path(source).is_dir():
            where = str(Path(source, "config.json"))
        try:
            source = read_object(Path(where))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"{where}: {reason}; expected a JSON object with keys of config.json"
            ) from error
    version = source.get("format_version", CONFIG_FORMAT)
    if type(version) is not int or version != CONFIG_FORMAT:
        raise ConfigError(
            f"{where}: format_version: found {version!r}, expected {CONFIG_FORMAT}; "
            "another version of lnfgen wrote it"
        )
    keys: dict[str, Any] = {}
    for name, inner in source.items():
        if name in _SECTIONS:
            if not isinstance(inner, Mapping):
                raise ConfigError(
                    f"{where}: {name}: found {inner!r}, expected an object of settings"
                )
            for key, value in inner.items():
                keys[f"{name}.{key}"] = value
        elif name != "format_version":
            keys[name] = inner  # an unknown key
    return checked(keys, where)


def _hint(key: str) -> str:
    """The known key that is most like an unknown one, in words for a message.

    It is found by its own name, its initials or its whole name.
    """
    known = {}
    if "." not in key and key not in _SECTIONS:  # it may be a misspelt section
        known = {name: name for name in _SECTIONS}
    for name in KEYS:
        own = name.partition(".")[2]
        initials = "".join(word[0] for word in own.split("_"))
        known[own] = name
        known[name] = name
        known[initials] = name
    own_key = key.rpartition(".")[2]
    near = difflib.get_close_matches(own_key, known, n=1)
    if not near:
        near = difflib.get_close_matches(key, known, n=1)
    if not near:
        return "expected one of " + ", ".join(KEYS)
    return f"did you mean {known[near[0]]!r}?"


_TYPE_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    type(None): "null",
}
"""The types of values, in words for a message."""


def _possible(where: str, annotation: Any, value: Any) -> Any:
    """The value, if it has the annotated type and is a choice or in the range beside that.

    Raises:
        ConfigError: if it is not. `where` begins its message.
    """
    annotated = annotation
    limits: Any = None
    if hasattr(annotation, "__metadata__"):
        annotated, limits = get_args(annotation)
    types = get_args(annotated) or (annotated,)
    if float in types and type(value) is int and abs(value) <= sys.float_info.max:
        value = float(value)
    if type(value) not in types:  # true and false are not numbers
        expected = " or ".join(_TYPE_NAMES[accept] for accept in types)
        raise ConfigError(f"{where}: found {value!r}, expected {expected}")
    if isinstance(value, str):
        if value not in limits:
            raise ConfigError(f"{where}: found {value!r}, expected one of {', '.join(limits)}")
    elif limits and value is not None:
        least, greatest = limits
        if not least <= value <= greatest:  # NaN is refused too
            expected = f"from {least:g} to {greatest:.15g}"
            if greatest == math.inf:
                expected = f"at least {least}"
            raise ConfigError(f"{where}: found {value}, expected {expected}")
    return value
