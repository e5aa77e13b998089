"""Settings for tests, which name what matters to them.

All else is as in a recipe at middling sizes, on LSTMs.
"""

from typing import Any

from lnfgen.config import Config, ModelConfig, TrainingConfig, config_of
from lnfgen.training.recipes import Corpus, choose_recipe
from lnfgen.training.run_settings import asked_for

KEYS = choose_recipe(Corpus("music"), "small", backbone="lstm").keys | {
    "model.emission": "categorical",
    "training.seed": 0,
}


def toy_config(keys: dict[str, Any] | None = None) -> Config:
    """A configuration with these values of keys such as `training.learning_rate`."""
    return config_of(KEYS | (keys or {}))


def model_config(**keys: Any) -> ModelConfig:
    """The part of it that is the model's, whose keys need no `model.`."""
    return toy_config({f"model.{key}": value for key, value in keys.items()}).model


def training_config(**keys: Any) -> TrainingConfig:
    """The part of it that is training's."""
    return toy_config({f"training.{key}": value for key, value in keys.items()}).training


def run_config(
    model: str | None = None, preset: str | None = None, *, corpus: Corpus, **settings: Any
) -> Config:
    """The configuration that `lnfgen train` gives a run on a corpus."""
    return asked_for(model, preset, **settings).config(corpus)
