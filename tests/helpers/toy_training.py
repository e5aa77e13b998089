"""A trainer at toy sizes on a tiny dataset, and what it says and saves."""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from toy_dataset import write_dataset

from lnfgen.config import NAMED_MODELS, Config, ModelConfig, TrainingConfig
from lnfgen.data.dataset import Dataset
from lnfgen.data.encoding import Encoding
from lnfgen.formats.text import UNKNOWN
from lnfgen.runs.checkpoint import new_model, save_state
from lnfgen.runs.folder import RunFolder
from lnfgen.training.calibration import Round
from lnfgen.training.trainer import Trainer

SIZES = ModelConfig(
    num_flow_layers=2,
    conditioner_size=8,
    latent_size=4,
    hidden_size=12,
    num_layers=2,
    embedding_size=8,
    dropout=0.2,
)
TRAINING = TrainingConfig(
    max_steps=30,
    batch_size=4,
    learning_rate=5e-3,
    kl_warmup_start=0.1,
    kl_warmup_end=0.5,
    ema_decay=0.9,
    patience=100,
    seed=3,
)


def make_dataset(path: Path, num_valid: int = 4) -> Dataset:
    """Twelve sequences of a repeating pattern, of lengths that make padding; some of them again to choose by."""
    encoding = Encoding("text", vocabulary=(UNKNOWN, "a", "b", "c", "d"))
    pattern = np.tile(np.array([1, 2, 3, 4, 4, 2], np.int32), 10)
    train = [pattern[i : i + 6 + i] for i in range(12)]
    valid = train[2 : 2 + num_valid]
    return write_dataset(path, name="toy", encoding=encoding, splits={"train": train, "valid": valid}, dropped={})


class Listener:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self.validations: list[dict[str, Any]] = []
        self.rounds: list[Round] = []
        self.notes: list[str] = []

    def step(self, metrics: dict[str, float]) -> None:
        self.steps.append(metrics)

    def validated(self, metrics: dict[str, Any]) -> None:
        self.validations.append(metrics)

    def calibrated(self, of_round: Round) -> None:
        self.rounds.append(of_round)

    def note(self, message: str) -> None:
        self.notes.append(message)


class Session:
    """A trainer with what it saved."""

    def __init__(
        self,
        dataset: Dataset,
        name: str = "af-scf",
        run: RunFolder | None = None,
        *,
        compiled: bool = False,
        **training: Any,
    ) -> None:
        model = dataclasses.replace(SIZES, **NAMED_MODELS[name])
        self.config = Config(model=model, training=dataclasses.replace(TRAINING, **training))
        self.listener = Listener()
        self.kept: list[dict[str, torch.Tensor]] = []

        def save_last(trainer: Trainer) -> None:
            if run is not None:
                save_state(run, trainer.state_tensors(), trainer.state_values())

        self.trainer = Trainer(
            new_model(self.config, dataset),
            dataset,
            self.config.training,
            torch.device("cpu"),
            self.listener,
            lambda state: self.kept.append({name: value.clone() for name, value in state.items()}),
            save_last,
            compiled=compiled,
        )


def after(updates: int) -> Callable[[], bool]:
    """An `interrupted` that says yes before update number `updates`."""
    calls = itertools.count()
    return lambda: next(calls) >= updates
