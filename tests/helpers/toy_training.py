"""A trainer and a session at toy sizes on a tiny dataset, with what they report and save."""

import copy
import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from toy_config import model_config, training_config
from toy_dataset import write_dataset

from lnfgen.config import NAMED_MODELS, Config
from lnfgen.data.dataset import Dataset
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.formats.text import UNKNOWN
from lnfgen.runs.checkpoint import STATE_PARTS, new_model, save_state
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.naming import MODEL
from lnfgen.training.calibration import Round
from lnfgen.training.session import TrainingSession
from lnfgen.training.trainer import Trainer

SIZES = model_config(
    num_flow_layers=2,
    conditioner_size=8,
    latent_size=4,
    hidden_size=12,
    num_layers=2,
    embedding_size=8,
    dropout=0.2,
)
TRAINING = training_config(
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
    """Twelve sequences of a repeating pattern, of lengths that make padding.

    Some of them are in valid too, to choose by.
    """
    encoding = TextEncoding((UNKNOWN, "a", "b", "c", "d"))
    pattern = np.tile(np.array([1, 2, 3, 4, 4, 2], np.int32), 10)
    train = [pattern[i : i + 6 + i] for i in range(12)]
    valid = train[2 : 2 + num_valid]
    return write_dataset(
        path, name="toy", encoding=encoding, splits={"train": train, "valid": valid}, dropped={}
    )


CPU = torch.device("cpu")


class Listener:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self.validations: list[dict[str, Any]] = []
        self.rounds: list[Round] = []

    def step(self, metrics: dict[str, float]) -> None:
        self.steps.append(metrics)

    def validated(self, metrics: dict[str, Any]) -> None:
        self.validations.append(metrics)

    def calibrated(self, of_round: Round) -> None:
        self.rounds.append(of_round)


class Session:
    """A trainer with what it saved."""

    def __init__(
        self,
        dataset: Dataset,
        name: str = "af-scf",
        run: RunFolder | None = None,
        device: torch.device = CPU,
        **training: Any,
    ) -> None:
        model = dataclasses.replace(SIZES, **NAMED_MODELS[name])
        self.config = Config(model, dataclasses.replace(TRAINING, **training))
        self.listener = Listener()
        self.kept: list[dict[str, torch.Tensor]] = []

        self.trainer = Trainer(
            new_model(self.config, dataset),
            dataset,
            self.config.training,
            device,
            save_model=lambda weights: self.kept.append(copy.deepcopy(weights)),
            save_state=lambda trainer: run and save_state(run, *trainer.state()),
            save_metrics=lambda lines: None,
        )

    def run(self, interrupted: Callable[[], bool] = lambda: False) -> bool:
        return self.trainer.run(self.listener, interrupted)

    def tensors(self, part: str) -> dict[str, torch.Tensor]:
        return self.trainer.state()[0][part]


def after(updates: int) -> Callable[[], bool]:
    """An `interrupted` that says yes before update number `updates`."""
    calls = itertools.count()
    return lambda: next(calls) >= updates


SMALL = {
    "model": {"hidden_size": 8, "embedding_size": 8, "latent_size": 4, "num_layers": 1},
    "training": {"batch_size": 4, "max_steps": 9},
}
"""A file of settings for the command."""


def begin(dataset: Dataset, path: Path) -> TrainingSession:
    """A session of 12 updates, four passes over the dataset."""
    training = dataclasses.replace(TRAINING, max_steps=12)
    return TrainingSession.begin(Config(SIZES, training), dataset, "cpu", path)


def without_clock(metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lines of metrics without the speed."""
    lines: list[dict[str, Any]] = []
    for line in metrics:
        lines.append({key: value for key, value in line.items() if "per_second" not in key})
    return lines


def figures(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl, without times."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return without_clock([json.loads(line) for line in lines])


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """The tensors are the same, bit for bit."""
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


def assert_same(one: Path, other: Path) -> None:
    """Two runs have the same figures, best model and last state."""
    assert figures(one) == figures(other)
    for file in (MODEL, *(f"last/{part}.safetensors" for part in STATE_PARTS)):
        assert (one / file).read_bytes() == (other / file).read_bytes(), file
