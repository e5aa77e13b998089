"""The command line as a person and a shell meet it: pipes, exit codes, interruption, resumption."""

import json
import os
import pickle
import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from command import Call, call_in, fails, start
from toy_dataset import write_dataset

from lnfgen.data.encoding import Encoding

SMALL = {
    "model": {"hidden_size": 16, "embedding_size": 16, "num_layers": 1},
    "training": {"max_steps": 6, "batch_size": 4, "calibration_pieces": 0},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a music and a text dataset, and a run of each."""
    home = tmp_path_factory.mktemp("home")
    rng = np.random.default_rng(0)
    music = Encoding(kind="music", has_onsets=True, lowest_pitch=52, num_pitches=20)  # each key costs time
    rolls = [np.where(rng.random((12 + i, 20)) < 0.09, 3, 0).astype(np.uint8) for i in range(12)]
    text = Encoding(kind="text", vocabulary=("\ufffd", " ", "a", "b"))
    lines = [rng.integers(1, 4, 10 + i).astype(np.int32) for i in range(12)]
    for name, encoding, sequences in (("rolls", music, rolls), ("lines", text, lines)):
        splits = {"train": sequences[:8], "valid": sequences[8:10], "test": sequences[10:]}
        write_dataset(home / name, name=name, encoding=encoding, splits=splits)
    (home / "small.json").write_text(json.dumps(SMALL))
    for name, model in (("rolls", "af-scf"), ("lines", "lstm")):
        done = start(
            home, "train", name, "--model", model, "--config", "small.json", "--seed", "1", "--out", f"run-{name}"
        )
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout.decode() == f"run-{name}\n"
    return home


@pytest.fixture
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`lnfgen ARGS` in `home`, in this process."""
    return call_in(home, monkeypatch, capsys)


def test_eval_prints_one_flat_object(home: Path) -> None:
    done = start(home, "eval", "run-rolls", "--nll", "--samples", "3", "--json")
    values = json.loads(done.stdout)
    assert {"nll", "elbo", "reconstruction", "kl", "unit", "marginal_nll", "samples", "split"} <= values.keys()
    assert {"sequences", "steps", "dropped"} <= values.keys()
    assert values["unit"] == "nats_per_step"
    assert values["emission"] == "past"
    assert values["nll"] <= values["elbo"]
    assert values["sounding_nll"] <= values["nll"]
    assert (values["samples"], values["split"], values["sequences"], values["steps"]) == (3, "test", 2, 45)
    assert done.stderr.count(b"\x1b") == 0


def test_the_baseline_is_exact(home: Path) -> None:
    values = json.loads(start(home, "eval", "run-lines", "--nll", "--json").stdout)
    assert values["nll"] == values["elbo"]
    assert values["kl"] == 0
    assert values["unit"] == "bits_per_char"
    # Uniform over three symbols: neither the model nor the marginal does much better, or worse, than log2 3 and p(T).
    assert values["marginal_nll"] == pytest.approx(np.log2(3), abs=0.5)


def test_an_emission_that_does_not_fit_the_data_leaves_no_run(home: Path, at_home: Call) -> None:
    fails(at_home("train", "lines", "--emission", "nade", "--out", "never"), "nade", "categorical")
    assert not (home / "never").exists()


def test_eval_scores_another_dataset(home: Path, at_home: Call) -> None:
    done = start(home, "eval", "run-lines", "lines", "--split", "valid", "--json")
    assert json.loads(done.stdout)["split"] == "valid"
    assert "nll" not in json.loads(done.stdout)
    fails(at_home("eval", "run-lines", "rolls"), "text")
    fails(at_home("eval", "run-lines", "--split", "tset"), "tset", "train")


def test_sample_pipes_into_info(home: Path) -> None:
    midi = start(home, "sample", "run-rolls", "--out", "-", "--seed", "1", "--length", "16")
    assert midi.stdout.startswith(b"MThd")
    seen = start(home, "info", "-", "--json", input=midi.stdout)
    assert json.loads(seen.stdout)["steps"] == 16
    text = start(home, "sample", "run-lines", "--out", "-", "--seed", "1", "--length", "30", "-q")
    assert re.fullmatch(r"[ ab\ufffd]{30}\n?", text.stdout.decode())
    assert text.stderr == b""


def test_wrong_usage_is_exit_code_2(home: Path) -> None:
    done = start(home, "sample", "--length", "many")
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def test_what_is_missing_is_said(home: Path, tmp_path: Path, here: Call) -> None:
    fails(here("train", "--resume"), "lnfgen train")
    fails(here("sample", "nowhere"), "nowhere", "lnfgen train")
    fails(here("train", "choralles"), "choralles", "chorales")
    (tmp_path / "bad.json").write_text('{"training": {"learning_rat": 1}}')
    fails(here("train", "--config", "bad.json"), "learning_rat", "learning_rate")
    fails(here("train", "--config", "absent.json"), "absent.json")
    fails(start(home, "train", "rolls", "--out", "run-lines"), "is a run", "--resume")
    assert list(tmp_path.iterdir()) == [tmp_path / "bad.json"]


def test_a_damaged_checkpoint_is_one_line(home: Path, tmp_path: Path, here: Call) -> None:
    broken = tmp_path / "run"
    broken.mkdir()
    for file in (home / "run-lines").glob("*.*"):
        content = file.read_bytes()
        (broken / file.name).write_bytes(content[: len(content) // 2] if file.suffix == ".safetensors" else content)
    fails(here("sample", "run", "--out", "x.txt", "--seed", "1"), "model.safetensors", "damaged")
    assert not (tmp_path / "x.txt").exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that even root cannot write: /proc")
def test_an_unwritable_place_is_one_line(home: Path, at_home: Call) -> None:
    fails(at_home("sample", "run-lines", "--out", "/proc/x.txt", "--seed", "1"), "/proc/x.txt")
    fails(at_home("train", "lines", "--config", "small.json", "--out", "/proc/run"), "/proc/run")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_full_disk_leaves_nothing_half_written(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import resource

    call = call_in(tmp_path, monkeypatch, capsys)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        done = call("sample", home / "run-lines", "--out", "x.txt", "--seed", "1", "-q")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    fails(done, "x.txt", "File too large")
    assert list(tmp_path.iterdir()) == []


# Bad input leaves nothing behind. -------------------------------------------------------------------------------------

MIDI = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480)


class Malicious:
    """A pickle of this creates a file where it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch OWNED",)


BAD_FILES = {
    "empty.mid": b"",
    "text.mid": b"not music at all",
    "cut.mid": MIDI + b"MTrk" + struct.pack(">I", 100) + b"\x00\x90\x3c\x40",
    "huge.mid": MIDI + b"MTrk" + struct.pack(">I", 0xFFFFFFF0) + b"\x00\xff\x2f\x00",
    "evil.pickle": pickle.dumps({"train": [Malicious()], "valid": [], "test": []}),
    "noise.npz": b"PK\x03\x04 no archive",
    "page.musicxml": b"<html></html>",
    "latin1.txt": "caf\xe9\n".encode("latin-1"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_line(name: str, tmp_path: Path, here: Call) -> None:
    (tmp_path / name).write_bytes(BAD_FILES[name])
    fails(here("preprocess", name, "--out", "data"), name)
    assert os.listdir(tmp_path) == [name]


def test_a_dataset_with_one_byte_flipped_or_cut_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("to be or not to be\n" * 20)
    assert start(tmp_path, "preprocess", "words.txt", "--out", "data").returncode == 0
    shard = tmp_path / "data" / "train.safetensors"
    whole = shard.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for content in (bytes(flipped), whole[:-1]):
        shard.write_bytes(content)
        fails(start(tmp_path, "train", "data", "--preset", "tiny"), "train.safetensors")
        assert sorted(os.listdir(tmp_path)) == ["data", "words.txt"]
