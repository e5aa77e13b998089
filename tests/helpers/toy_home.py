"""A folder as a person has it, with datasets and runs at toy sizes."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import torch
from toy_config import training_config
from toy_dataset import write_dataset
from toy_models import ODD_SIZES

from lnfgen.config import NAMED_MODELS, Config
from lnfgen.data.dataset import Dataset
from lnfgen.data.encoding import Encoding
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.formats.read_write import write
from lnfgen.models.latent_flow import LatentFlow
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.runs.checkpoint import new_model, save_model
from lnfgen.runs.folder import RunFolder


def config_of(encoding: Encoding) -> Config:
    """The settings of a small run on data in this encoding."""
    emission = "bernoulli" if encoding.kind == "music" else "categorical"
    model = dataclasses.replace(ODD_SIZES, **NAMED_MODELS["af-scf"], emission=emission)
    return Config(model, training_config(max_steps=1200, learning_rate=4e-3, ema_decay=0.98))


def make_run(path: Path, dataset: Dataset) -> None:
    """Make a run with random weights."""
    torch.manual_seed(0)
    config = config_of(dataset.encoding)
    save_model(RunFolder.create(path, config, dataset), new_model(config, dataset).state_dict())


def make_home(home: Path) -> None:
    """Fill a folder with an untrained run of music and one of text, and their datasets.

    Beside them are small.json of their sizes, a text and a melody. The run of music samples nothing
    but silence.
    """
    rng = np.random.default_rng(0)
    music = MusicEncoding(time_signature=(3, 4), steps_per_quarter=2)
    text = TextEncoding(("\ufffd", " ", "a", "b"))
    rolls: list[np.ndarray] = []
    for number in range(6):
        rolls.append(np.where(rng.random((12 + number, 1, 88)) < 0.05, 3, 0).astype(np.uint8))
    lines: list[np.ndarray] = []
    for number in range(6):
        lines.append(rng.integers(1, 4, 6 + number).astype(np.int32))
    _make_run_of(home, "rolls", music, rolls)
    _make_run_of(home, "lines", text, lines)
    sizes = {"model": {"hidden_size": 6, "embedding_size": 5, "num_layers": 1}}
    (home / "small.json").write_text(json.dumps(sizes))
    (home / "song.txt").write_text("a b ab\nba ab\n")
    write(home / "melody.mid", PianoRoll.from_notes([(0, 2, 72), (2, 4, 74)], steps_per_quarter=2))


def _make_run_of(home: Path, name: str, encoding: Encoding, sequences: list[np.ndarray]) -> None:
    """Make a dataset of these sequences, and a run on it with two lines of metrics."""
    splits = {"train": sequences[:4], "valid": sequences[4:], "test": sequences[4:]}
    dataset = write_dataset(home / name, name=name, encoding=encoding, splits=splits)
    config = config_of(encoding)
    model = new_model(config, dataset)
    assert isinstance(model, LatentFlow)
    if encoding.kind == "music":
        _silence(model)
    run = RunFolder.create(home / f"run-{name}", config, dataset)
    save_model(run, model.state_dict())
    figures = dict.fromkeys(
        ("train_elbo", "train_reconstruction", "train_kl", "valid_elbo", "kl_weight"), 1.0
    )
    run.write_metrics([{"step": step, "learning_rate": 0.1, **figures} for step in (1, 2)])


def _silence(model: LatentFlow) -> None:
    """Make all keys improbable, whatever z is."""
    with torch.no_grad():
        for parameter in model.emission.parameters():
            parameter.zero_()
        biases = [
            parameter
            for key, parameter in model.emission.named_parameters()
            if key.endswith("bias")
        ]
        biases[-1].fill_(-40)
