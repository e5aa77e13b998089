"""The settings of a new run: a recipe, and what a person asks for in its place. It loads no torch.

A recipe is a file in `recipe_files/`: for one kind of data it has a whole configuration at each
preset. An override is a file in `recipe_files/overrides/`: it has the keys that go with a model, an
output or a backbone. `choose_recipe` decides which files a run takes. Of several values for a key,
the last in this order counts: the recipe; its overrides; the named model, the output, the backbone
and the transform that are asked for; what the size of the data decides (`of_size`); the keys of
`--config`; the length and the seed; `--set`.

It is one file because what a person asks for is checked against what the recipes give.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from lnfgen.config import (
    KEYS,
    NAMED_MODELS,
    WITHOUT_LAYERS,
    Config,
    checked,
    config_of,
    read_config,
)
from lnfgen.conventions import Kind
from lnfgen.errors import ConfigError

if TYPE_CHECKING:
    from typing import Unpack

    from lnfgen.data.dataset import Dataset

RECIPES = ("text", "music", "onsets", "band")
"""The names of the recipes, one for each kind of data."""

PRESETS = ("tiny", "small", "paper")
"""The presets of each recipe, from a few minutes of two CPU cores to the sizes of the paper."""

USUAL_PRESET = "small"

FILES = Path(__file__).parent / "recipe_files"

AUTOREGRESSIVE = "autoregressive"
"""The output that reads the frames before, which `onsets` and `band` are made for."""

TEXT_ON_LSTMS = ("lstm", "af-af", "iaf-scf", "coupling")
"""The models that learn text sooner on LSTMs than on `conv-scan`."""

MOST_CODES = 500
"""A text with more symbols has no codes by default, because the densities of all codes at all steps
take much memory."""

FEW_PASSES = 4.0
"""A text that a run sees fewer times has no dropout: there is no time to learn it by heart, and up
to so many passes old text teaches nearly as much as new text (Muennighoff et al. 2023, arXiv
2305.16264)."""

STEPS_OF_UPDATE = 1024
"""The most steps of an update on music with onsets: where pieces are long, it has fewer of them.
Seven chorales, which the recipe was chosen on, have as many, and an update on longer pieces would
take several times as long. Each part of a band counts, because a model draws one after the
other."""

FEWEST_EPOCHS = 3
"""A run at `small` on music with onsets sees each piece at least so often."""

MOST_TIMES_LONGER = 3
"""It has at most so many times the updates of the recipe for that, however large the data is."""

MADE_WITH = {"text": 908_000, "onsets": 37_700, "band": 37_700}
"""The steps of the train splits that recipes were chosen on: `folk-abc` as it is printed, and the
chorales."""


@dataclass(frozen=True)
class Corpus:
    """The facts of a dataset that decide its recipe."""

    kind: Kind
    has_onsets: bool = False
    # Of the train split. None: so few that a run sees each of them often.
    num_sequences: int | None = None
    num_symbols: int = 0  # of a text
    num_steps: int | None = None  # of the train split
    num_parts: int = 0  # of a band

    @classmethod
    def of(cls, dataset: Dataset) -> Corpus:
        """The facts of an open dataset."""
        from lnfgen.data.music_encoding import MusicEncoding
        from lnfgen.data.text_encoding import TextEncoding

        encoding = dataset.encoding
        train = dataset.split("train")
        has_onsets = isinstance(encoding, MusicEncoding) and encoding.has_onsets
        num_symbols = encoding.num_symbols if isinstance(encoding, TextEncoding) else 0
        return cls(
            kind=encoding.kind,
            has_onsets=has_onsets,
            num_sequences=len(train),
            num_symbols=num_symbols,
            num_steps=int(train.lengths.sum()),
            num_parts=len(encoding.roles),
        )

    @property
    def knows_onsets(self) -> bool:
        """True of music whose notes have onsets. Where bars begin is then known too."""
        return self.kind == "music" and self.has_onsets

    @property
    def recipe(self) -> str:
        """The name of its recipe, one of `RECIPES`."""
        if not self.knows_onsets:
            return self.kind
        return "band" if self.num_parts else "onsets"

    @property
    def shortage(self) -> str:
        """A line if train has less than half of the steps that its recipe was made with.

        It is empty otherwise.
        """
        made_with = MADE_WITH.get(self.recipe, 0)
        if self.num_steps is None or 2 * self.num_steps >= made_with:
            return ""
        unit = "characters" if self.kind == "text" else "steps"
        return (
            f"train holds {self.num_steps:,} {unit}, the recipe was made with {made_with:,}; "
            "of so little a model learns next to nothing, or all by heart; "
            "more data helps most, or --preset tiny with fewer --max-steps"
        )


# The files.
# -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """The files that a run takes, and the values that they give: all keys but the seed."""

    name: str
    preset: str
    overrides: tuple[str, ...]  # those that replace a key at this preset
    keys: dict[str, Any]

    def differences(self, config: Config) -> dict[str, Any]:
        """The keys of a configuration that have other values than in the files, but the seed."""
        found: dict[str, Any] = {}
        for key, value in config.flat().items():
            if key in self.keys and self.keys[key] != value:
                found[key] = value
        return found


@cache
def _tables(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def read_recipe(name: str, preset: str) -> dict[str, Any]:
    """The keys of a recipe as its file has them: all but the seed, in the order of `config.json`.

    TOML has no null: of the two limits of a run, the one that a file leaves out is None.
    """
    found = read_config(_tables(FILES / f"{name}.toml")[preset])
    for limit in ("training.max_steps", "training.epochs"):
        found.setdefault(limit, None)
    return {key: found[key] for key in KEYS if key in found}


def _read_override(name: str, recipe: str, preset: str) -> dict[str, Any]:
    """The keys that an override replaces at a preset of a recipe.

    There are none if its file has no table for it.
    """
    tables = _tables(FILES / "overrides" / f"{name}.toml")
    return read_config(tables.get(recipe, {}).get(preset, {}))


def choose_recipe(
    corpus: Corpus,
    preset: str,
    model: str | None = None,
    emission: str | None = None,
    backbone: str | None = None,
) -> Recipe:
    """The files for a corpus, and for the names that are asked for and not None."""
    name = corpus.recipe
    # The names of overrides, and the recipes whose tables in them count.
    chosen: list[tuple[str, str]] = []
    if corpus.knows_onsets and emission not in (None, AUTOREGRESSIVE):
        chosen.append(("other-outputs", name))
        name = "music"
    if name == "text":
        latent = _latent_of_text(corpus, model)
        if latent is not None:
            chosen.append((latent, name))
    if model == "lstm":
        chosen.append(("lstm", name))
    has_lstms = model == "lstm" or (name == "text" and model in TEXT_ON_LSTMS)
    if backbone == "lstm" or (backbone is None and has_lstms):
        chosen.append(("on-lstms", name))

    keys = read_recipe(name, preset)
    overrides: list[str] = []
    for override, recipe in chosen:
        replaced = _read_override(override, recipe, preset)
        if replaced:
            keys |= replaced
            overrides.append(override)
    return Recipe(name, preset, tuple(overrides), keys)


def _latent_of_text(corpus: Corpus, model: str | None) -> str | None:
    """The override that says what z is: `codes`, or `learned` by networks.

    It is None if the recipe says what z is.
    """
    if model == "lstm":
        return None
    if model is None:
        return "learned" if corpus.num_symbols > MOST_CODES else None
    if NAMED_MODELS[model]["features"] == "codes":
        return "codes"
    return "learned"


def of_size(
    corpus: Corpus, preset: str, keys: Mapping[str, Any], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """The keys whose values depend on the size of the train split, with these values.

    - An update on music with onsets has at most `STEPS_OF_UPDATE` steps. So where pieces are long,
      a batch has fewer of them, but always one.
    - At `small`, where more data than the recipe was chosen on is worth more time, a run on music
      with onsets has at least `FEWEST_EPOCHS`.
    - A text that the run sees fewer than `FEW_PASSES` times has no dropout. How often it is seen
      depends on the length of the run and the batches, which a person may have `asked` for.

    The number of symbols of a text counts as well: `choose_recipe` looks at that.
    """
    found: dict[str, Any] = {}
    if not corpus.num_sequences:
        return found
    reads_past = corpus.knows_onsets and keys["model.emission"] == AUTOREGRESSIVE
    if reads_past and corpus.num_steps:
        num_steps = corpus.num_steps * max(1, corpus.num_parts)
        fitting = max(1, STEPS_OF_UPDATE * corpus.num_sequences // num_steps)
        batch_size = min(keys["training.batch_size"], fitting)
        found["training.batch_size"] = batch_size
        if preset == USUAL_PRESET:
            of_recipe = keys["training.max_steps"]
            asked_size = asked.get("training.batch_size", batch_size)
            of_epochs = math.ceil(FEWEST_EPOCHS * corpus.num_sequences / asked_size)
            longer = min(of_epochs, MOST_TIMES_LONGER * of_recipe)
            found["training.max_steps"] = max(of_recipe, longer)
    if corpus.kind == "text":
        training = config_of({**keys, **asked}).training
        seen = training.total_steps(corpus.num_sequences) * training.batch_size
        if seen < FEW_PASSES * corpus.num_sequences:
            found["model.dropout"] = 0.0
    return found


# What a person asks for.
# -------------------------------------------------------------------------------------------------


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
