"""`lnfgen plot`: curves of the newest run, of several runs, and what is refused."""

import dataclasses
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from command import Call, call_in, fails
from toy_config import training_config
from toy_dataset import write_dataset
from toy_models import ODD_SIZES

from lnfgen.config import NAMED_MODELS, Config
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.runs.checkpoint import new_model, save_model
from lnfgen.runs.folder import RunFolder

LINES = [
    {
        "step": step,
        "kl_weight": 1.0,
        "learning_rate": 0.002,
        "kept": step == 80,
        "train_elbo": 5 + 100 / step,
        "train_reconstruction": 1.0,
        "train_kl": 4.0,
        "valid_elbo": 5 + 100 / step,
        "valid_reconstruction": 1.0,
        "valid_kl": 4.0,
    }
    for step in range(10, 101, 10)
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with untrained runs of text and of music, and one of the baseline."""
    home = tmp_path_factory.mktemp("home")
    rng = np.random.default_rng(0)
    rolls = []
    lines = []
    for i in range(6):
        is_struck = rng.random((12 + i, 1, 88)) < 0.05
        rolls.append(np.where(is_struck, 3, 0).astype(np.uint8))
    for i in range(6):
        lines.append(rng.integers(1, 5, 6 + i).astype(np.int32))
    music = MusicEncoding(time_signature=(3, 4))
    text = TextEncoding(("\ufffd", "\n", " ", "a", "b"))
    for name, encoding, sequences, model in (
        ("rolls", music, rolls, "af-scf"),
        ("lines", text, lines, "af-scf"),
        ("base", text, lines, "lstm"),
    ):
        splits = {"train": sequences[:4], "valid": sequences[4:]}
        dataset = write_dataset(home / name, name=name, encoding=encoding, splits=splits)
        emission = "bernoulli" if encoding.kind == "music" else "categorical"
        sizes = dataclasses.replace(ODD_SIZES, **NAMED_MODELS[model], emission=emission)
        config = Config(sizes, training_config())
        run = RunFolder.create(home / f"run-{name}", config, dataset)
        save_model(run, new_model(config, dataset).state_dict())
    return home


@pytest.fixture
def plot(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return partial(call_in(home, monkeypatch, capsys), "plot")


def test_curves_of_the_newest_run(home, plot, tmp_path, monkeypatch):
    run = tmp_path / "runs" / "lines-lstm-001"
    shutil.copytree(home / "run-base", run)
    monkeypatch.chdir(tmp_path)
    fails(plot(), "metrics.jsonl", "at least 2", "--resume --out runs/lines-lstm-001")
    RunFolder(run).write_metrics(LINES)
    done = plot()
    assert done.stdout == b"curves.png\n"
    assert b"lines-lstm-001" in done.stderr
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")

    shutil.copytree(run, tmp_path / "other" / run.name)
    done = plot("runs/lines-lstm-001", "other/lines-lstm-001", "--out", "both.svg")
    assert done.stdout == b"both.svg\n"
    # names alone are the same
    assert b"<!-- other/lines-lstm-001: 6.25 -->" in (tmp_path / "both.svg").read_bytes()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["run-lines", "--out", "x.jpeg"], ["x.jpeg", ".png"]),
        (["run-lines", "--out", "nowhere/x.png"], ["nowhere", "make it first"]),
        (["run-none"], ["run-none", "lnfgen train"]),
        (["run-lines", "run-rolls"], ["run-lines is in bits", "run-rolls is in nats"]),
    ],
)
def test_what_cannot_be_drawn_is_said(home, plot, args, words):
    before = sorted(home.iterdir())
    fails(plot(*args), *words)
    assert sorted(home.iterdir()) == before
