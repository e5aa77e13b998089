"""The recipes: whole configurations for each kind of data and preset. It loads no torch.

A recipe is a file in `recipe_files/`: for one kind of data it has a whole configuration at each
preset. An override is a file in `recipe_files/overrides/`: it has the keys that go with a model, an
output or a backbone. `choose_recipe` decides which files a run takes, and `of_size` which values
depend on the size of the data. `run_settings.py` puts a person's wishes over both.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnfgen.config import KEYS, NAMED_MODELS, Config, config_of, read_config
from lnfgen.conventions import Kind

if TYPE_CHECKING:
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
