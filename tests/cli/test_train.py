"""`lnfgen train` and what reads its runs: signals, settings, memory, moved datasets."""

import io
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import Call, fails
from toy_music import song
from toy_training import SMALL, figures, make_dataset

import lnfgen.cli.train
import lnfgen.training.session
from lnfgen.config import read_config
from lnfgen.errors import is_out_of_memory
from lnfgen.training.trainer import Trainer


@pytest.fixture
def lnfgen_here(here: Call) -> Call:
    """Run `lnfgen ARGS` in a folder with a dataset and settings."""
    make_dataset(Path("toy"))
    Path("small.json").write_text(json.dumps(SMALL))
    return here


TRAIN = ("train", "toy", "--config", "small.json", "--seed", "1", "--out")


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="this system has no names for open files")
def test_settings_come_through_a_pipe(lnfgen_here: Call) -> None:
    reading, writing = os.pipe()
    os.write(writing, json.dumps(SMALL).encode())
    os.close(writing)
    try:
        settings = ("--config", f"/dev/fd/{reading}", "--max-steps", "1")
        done = lnfgen_here("train", "toy", *settings, "--out", "run")
    finally:
        os.close(reading)
    assert done.returncode == 0, done.stderr.decode()
    config = json.loads(Path("run/config.json").read_text())
    assert config["model"].items() >= SMALL["model"].items()


def test_several_files_are_one_line_that_says_what_to_do(here: Call) -> None:
    done = here("train", "a.mid", "b.mid")
    fails(done, "found 2 datasets or files", "lnfgen preprocess FILES --out NAME")


def after_update(number: int, do: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    update = Trainer._update

    def updating(self: Trainer, *args: Any) -> None:
        update(self, *args)
        if self.step == number:
            do()

    monkeypatch.setattr(Trainer, "_update", updating)


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_saves_and_ends_with_its_code(
    name: str, code: int, lnfgen_here: Call, monkeypatch
) -> None:
    number = signal.Signals[name]

    def ours(*args: object) -> None:
        """What is not handled would end the tests."""

    before = signal.signal(number, ours)
    try:
        with monkeypatch.context() as patch:
            after_update(5, lambda: os.kill(os.getpid(), number), patch)
            done = lnfgen_here(*TRAIN, "run")
        assert signal.getsignal(number) is ours
    finally:
        signal.signal(number, before)
    assert done.returncode == code, done.stderr.decode()
    assert done.stdout == b""
    assert b"saved at update 5; go on with: lnfgen train --resume --out run" in done.stderr
    assert json.loads(Path("run/last/progress.json").read_text())["step"] == 5
    assert lnfgen_here("train", "--resume", "--out", "run").stdout == b"run\n"
    # A run that was never stopped is the same.
    assert lnfgen_here(*TRAIN, "whole").stdout == b"whole\n"
    for file in ("model.safetensors", "last/weights.safetensors", "last/optimizer.safetensors"):
        assert Path("run", file).read_bytes() == Path("whole", file).read_bytes(), file
    steps = {}
    for run in ("run", "whole"):
        steps[run] = [line["step"] for line in figures(Path(run))]
    assert steps["run"] == steps["whole"]
    done = lnfgen_here("train", "--resume", "--out", "run")
    assert (done.returncode, done.stdout) == (0, b"run\n")
    assert b"has made its 9 updates" in done.stderr


class _Interrupting(io.RawIOBase):
    """A stream that keeps what is written, and interrupts this process.

    It sends a signal while the first validation is written.
    """

    def __init__(self) -> None:
        self.kept = b""

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        first = b"kept" in bytes(content) and b"kept" not in self.kept
        self.kept += bytes(content)
        if first:
            os.kill(os.getpid(), signal.SIGTERM)
        return len(content)


def test_a_signal_that_comes_while_a_line_is_written(lnfgen_here: Call, monkeypatch) -> None:
    class _Text(io.TextIOWrapper):
        """Of a type of its own, so that the program leaves it as it is."""

    stream = _Interrupting()
    monkeypatch.setattr("sys.stderr", _Text(io.BufferedWriter(stream), line_buffering=True))
    done = lnfgen_here(*TRAIN, "run", "--max-steps", "100")
    assert done.returncode == 143, stream.kept.decode()
    assert b"go on with: lnfgen train --resume --out run" in stream.kept


def test_under_nohup_the_end_of_the_terminal_ends_nothing(lnfgen_here: Call, monkeypatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        after_update(5, lambda: os.kill(os.getpid(), signal.SIGHUP), monkeypatch)
        assert lnfgen_here(*TRAIN, "run").stdout == b"run\n"
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_was_left_out_of_a_folder_is_said_when_it_is_read_and_eval_takes_the_same_tracks(
    lnfgen_here: Call, monkeypatch
) -> None:
    monkeypatch.setenv("LNFGEN_CACHE", str(Path("cache").absolute()))
    Path("songs").mkdir()
    Path("songs/bad.mid").write_bytes(b"MThd")
    for shift in range(3):
        Path(f"songs/{shift}.mid").write_bytes(song("Lead", shift=shift))
    train = ("--config", "small.json", "--seed", "1", "--max-steps", "1", "--out")
    first = lnfgen_here("train", "songs", *train, "a").stderr.decode()
    assert "pieces with several tracks: 3 of 3; placed in parts 15 of 15 tracks" in first
    assert "songs/bad.mid is cut off" in first
    again = lnfgen_here("train", "songs", *train, "b").stderr.decode()
    assert "tracks" not in again
    assert "bad.mid" not in again

    lnfgen_here("preprocess", "songs", "--tracks", "melody", "--out", "melodies")
    lnfgen_here("train", "melodies", *train, "c")
    kept = "kept 3 of 15 tracks, left out 12 (3 of drums)"
    assert kept in lnfgen_here("eval", "c", "songs", "--samples", "1").stderr.decode()
    kept = "0.mid: kept 1 of 5 tracks, left out 4 (1 of drums)"
    assert kept in lnfgen_here("eval", "c", "songs/0.mid", "--samples", "1").stderr.decode()
    wrong = lnfgen_here("info", "./songs/0.mid", "./songs/bad.mid").stderr.decode()
    assert wrong.count("bad.mid") == 1, "its name stands there once"


def test_a_seed_that_a_file_does_not_give_is_drawn_and_said(lnfgen_here: Call) -> None:
    done = lnfgen_here("train", "toy", "--config", "small.json", "--max-steps", "1", "--out", "run")
    seed = json.loads(Path("run/config.json").read_text())["training"]["seed"]
    assert f"seed {seed}, into run\n" in done.stderr.decode()


def test_a_refusal_is_all_that_is_said(lnfgen_here: Call) -> None:
    """No seed that nobody needs stands beside it.

    Settings that are right by themselves can be wrong for the data.
    """
    impossible = ("model.emission=nade", "training.batch_size=0", "training.lr=1")
    for wrong in ("training.transpose=2", *impossible):
        done = lnfgen_here("train", "toy", "--config", "small.json", "--set", wrong)
        fails(done, wrong.split("=")[0])
        assert done.stderr.decode().count("\n") == 1


def test_the_folder_of_a_run_is_its_settings(lnfgen_here: Call) -> None:
    assert lnfgen_here(*TRAIN, "run", "--max-steps", "1").returncode == 0
    assert lnfgen_here("train", "toy", "--config", "run", "--out", "again").returncode == 0
    first, second = (Path(f"{run}/config.json").read_bytes() for run in ("run", "again"))
    assert first == second
    fails(lnfgen_here("train", "toy", "--config", "toy"), "toy/config.json", "expected")


def test_too_little_memory_is_one_line(lnfgen_here: Call, monkeypatch) -> None:
    """What torch raises on a CPU and on CUDA are different exceptions, and no MemoryError."""

    def too_large(*args: object) -> torch.Tensor:
        return torch.empty(10**15)

    def cuda(*args: object) -> torch.Tensor:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 TiB.")

    for build in (too_large, cuda):
        monkeypatch.setattr(lnfgen.training.session, "new_model", build)
        fails(lnfgen_here(*TRAIN, "run"), "out of memory", "training.batch_size")
    assert not Path("run").exists()
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_readers_of_a_run_whose_dataset_is_gone(lnfgen_here: Call) -> None:
    assert lnfgen_here(*TRAIN, "run").returncode == 0
    csv = lnfgen_here("info", "run", "--csv").stdout.decode().splitlines()
    assert csv[0].startswith("step,epoch,kl_weight")
    assert len(csv) == 1 + len(Path("run/metrics.jsonl").read_text().splitlines())
    facts = json.loads(lnfgen_here("info", "run", "--json").stdout)
    named = {
        "model": "af-codes",
        "backbone": "conv-scan",
        "transform": None,
        "emission": "categorical",
    }
    assert facts.items() >= named.items()
    shutil.move("toy", "moved")
    fails(lnfgen_here("eval", "run"), "lnfgen eval RUN DATASET")
    scores = json.loads(lnfgen_here("eval", "run", "moved", "--split", "valid", "--json").stdout)
    assert scores.items() >= named.items()
    resumed = lnfgen_here("train", "--resume", "--out", "run")
    fails(resumed, "lnfgen train DATASET --resume --out run")
    assert lnfgen_here("train", "moved", "--resume", "--out", "run").returncode == 0


def test_precision_of_train_and_eval(lnfgen_here: Call) -> None:
    """A run in bfloat16 scores nearly as one in float32, in either precision.

    Its settings remember the precision.
    """
    found = {}
    for precision in ("float32", "bfloat16"):
        settings = ("--set", f"training.precision={precision}", "--max-steps", "4")
        done = lnfgen_here(*TRAIN, precision, *settings, "--quiet")
        assert done.returncode == 0, done.stderr
        config = json.loads(Path(precision, "config.json").read_text())
        assert config["training"]["precision"] == precision
        for scored in ("float32", "bfloat16"):
            options = ("--split", "valid", "--nll", "--samples", "4", "--precision", scored)
            done = lnfgen_here("eval", precision, *options, "--json")
            found[precision, scored] = json.loads(done.stdout)["nll"]
    exact = found["float32", "float32"]
    assert all(value == pytest.approx(exact, rel=0.02) for value in found.values())
    assert len(set(found.values())) == 4


def test_an_unknown_precision_is_refused(lnfgen_here: Call) -> None:
    fails(lnfgen_here(*TRAIN, "a", "--set", "training.precision=float16"), "float32")
    done = lnfgen_here("eval", "chorales", "--precision", "float16")
    assert (done.returncode, b"float32" in done.stderr) == (2, True)


@pytest.mark.slow
def test_a_text_of_one_long_line_is_learned_in_chunks_at_the_sizes_of_the_paper(
    lnfgen_here: Call,
) -> None:
    """As text8 is: letters and spaces, no line, no suffix."""
    words = ["anarchism", "originated", "as", "a", "term", "of", "abuse"]
    letters = np.random.default_rng(0)
    Path("text8").write_text(" ".join(letters.choice(words, 4000)))
    refused = lnfgen_here("preprocess", "text8", "--as", "text", "--out", "lines")
    assert (refused.returncode, b"--chunks, which cuts" in refused.stderr) == (1, True)
    assert not lnfgen_here(
        "preprocess", "text8", "--as", "text", "--chunks", "--out", "chunks"
    ).returncode
    few = ("--preset", "paper", "--max-steps", "2", "--set", "training.batch_size=2", "--seed", "1")
    trained = lnfgen_here("train", "chunks", *few, "--out", "run")
    assert trained.returncode == 0, trained.stderr
    assert read_config("run")["model.hidden_size"] == 500
    scored = json.loads(lnfgen_here("eval", "run", "--nll", "--samples", "2", "--json").stdout)
    assert scored["unit"] == "bits_per_char"
    assert 0 < scored["marginal_nll"] < scored["nll"]


def test_how_little_there_is_is_said_at_the_beginning(lnfgen_here: Call) -> None:
    done = lnfgen_here(*TRAIN, "run", "--max-steps", "1")
    assert done.returncode == 0
    assert b"train holds 138 characters, the recipe was made with" in done.stderr


@pytest.mark.parametrize(
    ("calibration", "expected"),
    [
        (0.0, "about 10 minutes on this machine, at 3 seconds an update"),
        (
            200.0,
            "about 20 minutes on this machine, at 3 seconds an update; 10 of them for calibration",
        ),
    ],
)
def test_how_long_it_takes_is_said_after_some_updates(
    calibration: float, expected: str, monkeypatch
) -> None:
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr(lnfgen.cli.train.time, "perf_counter", lambda: float(next(clock)))
    said: list[str] = []
    monkeypatch.setattr(lnfgen.cli.train.console, "note", said.append)
    display = lnfgen.cli.train._Display(lambda *args, **kwargs: None, 211, calibration)
    names = ("elbo", "reconstruction", "kl", "length", "kl_weight", "epoch", "steps_per_second")
    figures = dict.fromkeys(names, 1.0)
    for step in range(1, 31):
        display.step({"step": step, **figures})
    assert said == [expected]


def test_the_files_of_the_settings_are_said_and_what_differs_from_them(lnfgen_here: Call) -> None:
    few = ("--seed", "1", "--preset", "tiny", "--max-steps", "1", "--out")
    plain = lnfgen_here("train", "toy", *few, "plain").stderr.decode()
    assert (
        "recipe text.toml, preset tiny; other than there: model.dropout=0.0, training.max_steps=1\n"
        in plain
    )
    others = ("--backbone", "lstm", "--transform", "affine", "--set", "training.epochs=3")
    asked = lnfgen_here("train", "toy", "--model", "af-scf", *others, *few, "asked")
    assert (
        "recipe text.toml, preset tiny, with learned.toml, on-lstms.toml; other than there: "
        "model.transform=affine, model.dropout=0.0, training.max_steps=1, training.epochs=3\n"
    ) in asked.stderr.decode()
    quiet = lnfgen_here("train", "toy", "--quiet", *few, "quiet")
    assert b"recipe" not in quiet.stderr
    resumed = lnfgen_here("train", "--resume", "--out", "plain", "--max-steps", "2")
    assert b"recipe" not in resumed.stderr


def test_settings_may_be_toml(lnfgen_here: Call) -> None:
    Path("small.toml").write_text("training.batch_size = 4\n\n[model]\nhidden_size = 8\n")
    few = ("--preset", "tiny", "--max-steps", "1", "--seed", "1", "--out", "run")
    assert lnfgen_here("train", "toy", "--config", "small.toml", *few).returncode == 0
    keys = read_config("run")
    assert (keys["training.batch_size"], keys["model.hidden_size"]) == (4, 8)
    Path("wrong.toml").write_text("training.batch_size = \n")
    fails(lnfgen_here("train", "toy", "--config", "wrong.toml"), "wrong.toml", "expected TOML")
    fails(lnfgen_here("train", "toy", "--config", "absent.toml"), "absent.toml: No such file")
