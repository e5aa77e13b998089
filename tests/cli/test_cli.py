"""The command line as a person and a shell meet it: help, pipes, exit codes."""

import inspect
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import typer
from command import Call, fails, start

import lnfgen
from lnfgen.cli import PANELS, app

COMMANDS = [name for names in PANELS.values() for name in names]

# Help.
# ------------------------------------------------------------------------------------------------


def test_help_groups_the_commands(call: Call) -> None:
    shown = call("--help").stdout.decode()
    places = [shown.index(f"─ {panel} ─") for panel in PANELS]
    assert places == sorted(places)
    assert all(f"│ {name} " in shown for name in COMMANDS)
    assert len(COMMANDS) <= 14


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(name: str, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paragraphs are not broken, nothing is taken as markup, and no panel has too many options."""
    monkeypatch.setenv("COLUMNS", "400")
    shown = call(name, "--help").stdout.decode()
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    for paragraph in inspect.cleandoc(command.callback.__doc__ or "").split("\n\n"):
        assert any(" ".join(paragraph.split()) in line for line in shown.splitlines()), paragraph
    usage = next(line for line in shown.splitlines() if "Usage:" in line)
    assert "[[" not in usage
    assert usage.count("...") <= 1
    assert "--quiet" in shown
    assert "<bool>" not in shown
    in_panels = Counter(
        parameter.rich_help_panel
        for parameter in command.params
        if isinstance(parameter, typer.core.TyperOption)
    )
    assert max(in_panels.values()) <= 13
    monkeypatch.setenv("COLUMNS", "80")
    narrow = call(name, "--help").stdout.decode()
    assert max(map(len, narrow.splitlines())) <= 80
    assert "…" not in narrow, "nothing is cut off"


def test_what_few_people_need_stands_below(call: Call) -> None:
    """In a panel of its own."""
    for name, options in {
        "sample": ["--best", "--tries", "--passes", "--device"],
        "fill": ["--tries", "--particles", "--passes", "--device"],
        "eval": ["--samples", "--passes", "--precision", "--device"],
    }.items():
        shown = call(name, "--help").stdout.decode()
        above, below = shown.split("─ Options for time and quality ─")
        for option in options:
            assert f"{option} " not in above
            assert f"{option} " in below


# Exit codes, pipes and the version.
# -------------------------------------------------------------------------------------


def test_a_split_that_no_dataset_has_is_refused_before_a_dataset_is_made(
    toy_home: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LNFGEN_CACHE", str(toy_home / "untouched"))
    for command in (("eval", "run-rolls", "."), ("compare", "chorales", "run-rolls")):
        done = call(*command, "--split", "validation")
        assert (done.returncode, done.stdout) == (2, b"")
        assert "'train', 'valid', 'test'" in " ".join(done.stderr.decode().replace("│", "").split())
    assert not (toy_home / "untouched").exists()


def test_sample_pipes_into_info(toy_home: Path, call: Call) -> None:
    midi = start(toy_home, "sample", "run-rolls", "--out", "-", "--seed", "1", "--length", "16")
    assert midi.stdout.startswith(b"MThd")
    seen = start(toy_home, "info", "-", "--json", input=midi.stdout)
    assert json.loads(seen.stdout)["steps"] == 32  # on a grid twice as fine
    text = call("sample", "run-lines", "--out", "-", "--seed", "1", "--length", "30", "-q")
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


def test_an_emission_that_does_not_fit_the_data_leaves_no_run(toy_home: Path, call: Call) -> None:
    fails(call("train", "lines", "--emission", "nade", "--out", "never"), "nade", "categorical")
    assert not (toy_home / "never").exists()


def test_ctrl_c_while_the_program_is_loaded_is_a_word(tmp_path: Path) -> None:
    probe = (
        "import runpy, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *args):\n"
        "        if name == 'lnfgen.cli':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Finder())\n"
        "runpy.run_module('lnfgen', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=tmp_path, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"interrupted\n")


LONG = "x" * 100_000


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["sample", LONG], 1),
        (["sample", "run-lines", "--out", LONG], 1),
        (["sample", "run-lines", "--want", LONG], 1),
        (["sample", "run-lines", "--device", LONG], 1),
        (["sample", "run-lines", "--seed", LONG], 2),
        (["sample", "run-lines", f"--{LONG}"], 2),
        ([LONG], 2),
        ([f"--{LONG}"], 2),
        (["train", "lines", "--set", f"{LONG}=1"], 1),
        (["train", "lines", "--set", f"model.time={LONG}"], 1),
        (["train", "lines", "--set", f"training.seed={'9' * 100_000}"], 1),
        (["fill", "song.txt", "--run", "run-lines", "--out", "n.txt", "--free", "9" * 100_000], 1),
        (["convert", "melody.mid", "n.mid", "--program", LONG], 1),
        (["eval", "run-lines", "--samples", str(10**30)], 2),
    ],
)
def test_a_long_value_is_cut_in_a_message(words: list[str], code: int, call: Call) -> None:
    done = call(*words)
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    assert 0 < len(done.stderr) < 4000


@pytest.mark.parametrize(
    "words",
    [
        ["sample", "run-lines", "--out", "loop.txt"],
        ["sample", "run-lines", "--out", LONG[:300] + ".txt"],
        ["sample", "run-lines", "--out", "folder.txt"],
        ["sample", "run-lines", "--out", "/proc/new.txt"],
        ["vary", "song.txt", "--run", "run-lines", "--out", "loop.txt"],
        ["convert", "melody.mid", "loop.mid"],
        ["convert", "melody.mid", "--to", "npz", "--out", "loop"],
        ["preprocess", "song.txt", "--out", "loop"],
        ["preprocess", "song.txt", "--out", LONG[:300]],
        ["preprocess", "song.txt", "--out", "song.txt"],
        ["preprocess", "loop.txt", "--out", "new"],
        ["train", "lines", "--out", "loop"],
        ["train", "lines", "--out", LONG[:300]],
        ["train", "lines", "--config", "loop"],
        ["plot", "run-lines", "--out", "loop.png"],
        ["compare", "run-rolls", "--plot", "loop.png"],
        ["info", "loop"],
    ],
)
def test_a_place_that_cannot_be_is_one_line_before_the_work(
    words: list[str], toy_home: Path, call: Call
) -> None:
    for name in ("loop", "loop.txt", "loop.mid", "loop.png"):
        (toy_home / name).unlink(missing_ok=True)
        (toy_home / name).symlink_to(name)
    (toy_home / "folder.txt").mkdir(exist_ok=True)
    fails(call(*words))


def test_a_number_of_pieces_without_end_is_refused(call: Call) -> None:
    endless = str(10**30)
    for words in (["sample", "run-lines"], ["vary", "song.txt", "--run", "run-lines"]):
        done = call(*words, "--out", "n.txt", "--count", endless)
        fails(done, "pieces; expected 1 to 1,000,000,000")
