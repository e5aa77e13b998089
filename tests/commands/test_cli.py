"""The command line as a person and a shell meet it: pipes, exit codes, interruption, resumption."""

import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command import Call, call_in, fails, start
from toy_runs import make_run

import lnfgen
from lnfgen.conventions import PASSES
from lnfgen.data.dataset import open_dataset


def test_eval_prints_one_flat_object(call: Call) -> None:
    done = call("eval", "run-rolls", "--nll", "--samples", "3", "--json")
    values = json.loads(done.stdout)
    assert {
        "nll",
        "elbo",
        "reconstruction",
        "kl",
        "unit",
        "marginal_nll",
        "samples",
        "split",
    } <= values.keys()
    assert {"sequences", "steps", "dropped"} <= values.keys()
    assert values["unit"] == "nats_per_step"
    assert values["emission"] == "bernoulli"
    assert values["nll"] <= values["elbo"]
    assert values["sounding_nll"] <= values["nll"]
    assert (values["samples"], values["split"], values["sequences"], values["steps"]) == (
        3,
        "test",
        2,
        33,
    )
    assert done.stderr.count(b"\x1b") == 0


def test_an_emission_that_does_not_fit_the_data_leaves_no_run(toy_home: Path, call: Call) -> None:
    fails(call("train", "lines", "--emission", "nade", "--out", "never"), "nade", "categorical")
    assert not (toy_home / "never").exists()


def test_eval_scores_another_dataset(call: Call) -> None:
    done = call("eval", "run-lines", "lines", "--split", "valid", "--json")
    assert json.loads(done.stdout)["split"] == "valid"
    assert "nll" not in json.loads(done.stdout)
    fails(call("eval", "run-lines", "rolls"), "text")


def test_a_split_that_no_dataset_has_is_refused_before_a_dataset_is_made(
    toy_home: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LNFGEN_CACHE", str(toy_home / "untouched"))
    for command in (("eval", "run-rolls", "."), ("compare", "chorales", "run-rolls")):
        done = call(*command, "--split", "validation")
        assert (done.returncode, done.stdout) == (2, b"")
        assert "'train', 'valid', 'test'" in " ".join(done.stderr.decode().replace("│", "").split())
    assert not (toy_home / "untouched").exists()


def test_a_model_by_blocks_draws_and_scores_in_the_passes_that_are_asked_for(
    toy_home: Path, call: Call
) -> None:
    make_run(
        toy_home / "blocks", open_dataset(toy_home / "lines"), name="blocks-codes", max_steps=1
    )

    def scored(*passes: str) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(
            call("eval", "blocks", "--json", "--samples", "1", *passes).stdout
        )
        return values

    def text(*passes: str) -> bytes:
        return call(
            "sample", "blocks", "--length", "80", "--seed", "1", "--out", "-", *passes
        ).stdout

    usual, few = scored(), scored("--passes", "4")
    assert (usual["passes"], few["passes"]) == (PASSES, 4)
    assert usual["elbo"] != few["elbo"]
    assert usual == scored("--passes", str(PASSES))
    assert text() == text("--passes", str(PASSES)) != text("--passes", "4")
    assert (
        lnfgen.load(toy_home / "blocks", passes=4)
        .nll(open_dataset(toy_home / "lines").pieces("test"), samples=1)
        .elbo
    )
    fails(
        call("eval", "run-lines", "--passes", "4"),
        "run-lines is af-scf",
        "blocks-scf or blocks-codes",
    )
    with pytest.raises(lnfgen.LnfgenError, match="3 passes; expected at least 4"):
        lnfgen.load(toy_home / "blocks", passes=3)


def test_sample_pipes_into_info(toy_home: Path) -> None:
    midi = start(toy_home, "sample", "run-rolls", "--out", "-", "--seed", "1", "--length", "16")
    assert midi.stdout.startswith(b"MThd")
    seen = start(toy_home, "info", "-", "--json", input=midi.stdout)
    assert json.loads(seen.stdout)["steps"] == 32  # on a grid twice as fine
    text = start(
        toy_home, "sample", "run-lines", "--out", "-", "--seed", "1", "--length", "30", "-q"
    )
    assert re.fullmatch(r"[ ab\ufffd]{30}\n?", text.stdout.decode())
    assert text.stderr == b""


def test_wrong_usage_is_exit_code_2(toy_home: Path) -> None:
    done = start(toy_home, "sample", "--length", "many")
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def test_python_without_docstrings_runs_the_program(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    for args, said in (
        (["--version"], "lnfgen "),
        (["sample", "--help"], "--temperature"),
        (["info", "a.txt"], "text"),
    ):
        command = [sys.executable, "-OO", "-m", "lnfgen", *args]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        assert said in done.stdout


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_the_version_of_a_checkout_has_its_commit(tmp_path: Path) -> None:
    """A package that is only installed somewhere below one has none."""
    installed = tmp_path / "venv"
    installed.mkdir()
    for folder in (tmp_path, installed):
        (folder / "lnfgen").symlink_to(Path(lnfgen.__file__).parent)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert start(tmp_path, "--version").stdout.decode() == f"lnfgen {lnfgen.__version__}\n", (
        "nothing is committed"
    )
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    commit = subprocess.run(
        [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    assert len(commit) >= 4
    assert (
        start(tmp_path, "--version").stdout.decode() == f"lnfgen {lnfgen.__version__} ({commit})\n"
    )
    assert start(installed, "--version").stdout.decode() == f"lnfgen {lnfgen.__version__}\n"


def test_what_is_missing_is_said(toy_home: Path, tmp_path: Path, here: Call) -> None:
    fails(here("train", "--resume"), "lnfgen train")
    fails(here("sample", "nowhere"), "nowhere", "lnfgen train")
    fails(here("train", "choralles"), "choralles", "chorales")
    (tmp_path / "bad.json").write_text('{"training": {"learning_rat": 1}}')
    fails(here("train", "--config", "bad.json"), "learning_rat", "learning_rate")
    fails(here("train", "--config", "absent.json"), "absent.json")
    fails(start(toy_home, "train", "rolls", "--out", "run-lines"), "is a run", "--resume")
    assert list(tmp_path.iterdir()) == [tmp_path / "bad.json"]


@pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="needs a folder that even root cannot write: /proc"
)
def test_an_unwritable_place_is_one_line(call: Call) -> None:
    fails(call("sample", "run-lines", "--out", "/proc/x.txt", "--seed", "1"), "/proc/x.txt")
    fails(call("train", "lines", "--config", "small.json", "--out", "/proc/run"), "/proc/run")


def test_a_full_disk_leaves_nothing_half_written(
    toy_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import resource

    call = call_in(tmp_path, monkeypatch, capsys)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        done = call("sample", toy_home / "run-lines", "--out", "x.txt", "--seed", "1", "-q")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    fails(done, "x.txt", "File too large")
    assert list(tmp_path.iterdir()) == []


# Bad input leaves nothing behind.
# -------------------------------------------------------------------------------------

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
