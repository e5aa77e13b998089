"""What a person sees: tables and progress at any width; streams that nobody reads."""

import io
import json
import os
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from command import Call

from lnfgen.cli import PANELS, console, list_, main
from lnfgen.cli.train import _Display

COMMANDS = [name for names in PANELS.values() for name in names]

# The width of the screen.
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 120])
def test_bar_count_and_time_left_of_training_fit(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = console.Console(
        file=io.StringIO(), force_terminal=True, width=width, color_system=None, soft_wrap=True
    )
    monkeypatch.setattr(console, "_err", screen)
    figures = {
        "elbo": 12.34,
        "reconstruction": 10.01,
        "kl": 2.28,
        "length": 0.05,
        "kl_weight": 0.5,
        "steps_per_second": 12345.0,
    }
    with console.jobs() as progress:
        for step in (60_000, 60_500, 61_000):
            _Display(partial(progress, "training", total=123_456), 123_456).step(
                {"step": step, "epoch": 12, **figures}
            )
            time.sleep(0.01)
    shown = re.split(r"[\r\n]|\x1b\[[0-9;?]*[A-Za-z]", screen.file.getvalue())  # type: ignore[attr-defined]
    last = [line for line in shown if "training" in line][-1]
    assert len(last) <= width
    assert re.search(r"training ━{9}\S* +61000/123456 +\d+:\d\d ELBO 1", last), last
    assert ("steps/s" in last) == (width == 120)


def test_a_table_wraps_between_words_and_names_break_last(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = [
        "runs/chorales-af-scf-001",
        "chorales",
        "interrupted at update 1,200 of 40,000",
        "2026-11-26 05:40",
    ]
    console.result_table("", [row])
    assert "  ".join(row) in capsys.readouterr().out  # a pipe is never too narrow
    for width in (120, 61, 50, 43, 30):
        with monkeypatch.context() as patch:
            screen = partial(console.Console, force_terminal=True, width=width, color_system=None)
            patch.setattr(console, "Console", screen)
            console.result_table("", [row])
        shown = capsys.readouterr().out
        assert max(map(len, shown.splitlines())) <= width
        assert (row[0] in shown) == (width >= 43)
        assert ("interrupted" in shown) == (width >= 61)


def test_wide_characters_have_their_width(capsys: pytest.CaptureFixture[str]) -> None:
    console.result_table("", [("path", "ピアノ協奏曲第二番ハ短調.mid"), ("メロディー", "3")])
    shown = capsys.readouterr().out
    assert "ピアノ協奏曲第二番ハ短調.mid" in shown
    assert "メロディー" in shown


def test_names_of_runs_stay_whole_on_a_narrow_screen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {
        "run": "runs/nottingham-midi-af-scf-001",
        "dataset": "nottingham-midi",
        "model": "af-scf",
        "backbone": "scan",
        "best_valid_elbo": 3.2,
        "unit": "nats_per_step",
        "changed": "2026-11-26T05:40:00+00:00",
        "state": "interrupted",
        "step": 1200,
        "total_steps": 40_000,
    }
    monkeypatch.setattr("lnfgen.runs.listing.overview", lambda folders: [row])
    for width, left_out in ((140, ""), (80, "05:40"), (70, "scan"), (50, "nottingham-midi ")):
        screen = partial(console.Console, force_terminal=True, width=width, color_system=None)
        with monkeypatch.context() as patch:
            patch.setattr(console, "Console", screen)
            list_.command()
        shown = capsys.readouterr().out
        assert row["run"] in shown
        assert max(map(len, shown.splitlines())) <= width
        assert not left_out or left_out not in shown


def test_figures_that_are_not_finite_are_null_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    console.result_json(
        {"nll": float("nan"), "elbo": 1.0, "pieces": [{"nll": float("inf"), "index": 1}]}
    )
    out, err = capsys.readouterr()
    assert json.loads(out) == {"nll": None, "elbo": 1.0, "pieces": [{"nll": None, "index": 1}]}
    assert "nll, pieces.0.nll" in err


def test_a_message_has_names_as_they_are_and_control_characters_escaped(
    here: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise a name could colour the terminal, or look like another one."""
    said = here("info", "two  spaces :cat: [red]\x1b[31m\n\x9bé.mid").stderr.decode()
    shown = r"two  spaces :cat: [red]\x1b[31m\n\x9bé.mid"
    assert said == f"error: {shown} does not exist; expected a file or folder\n"
    for tell in (console.note, console.warn, console.fail):
        tell("\x1b[2J a  b")
        assert capsys.readouterr().err.endswith("\\x1b[2J a  b\n")


# Streams.
# ------------------------------------------------------------------------------------------------


FEW = ["--particles", "2"]
WORK = {
    "preprocess": ["song.txt", "--out", "made"],
    "train": [
        *["lines", "--model", "lstm", "--max-steps", "1"],
        *["--out", "trained", "--config", "small.json"],
    ],
    "eval": ["run-lines", "--samples", "1"],
    "sample": ["run-lines", "--length", "5"],
    "fill": ["song.txt", "--run", "run-lines", "--free", "2-3", *FEW, "--out", "filled.txt"],
    "harmonize": ["melody.mid", "--run", "run-rolls", *FEW, "--out", "harmonized.mid"],
    "continue": ["song.txt", "--run", "run-lines", "--length", "2", *FEW, "--out", "longer.txt"],
    "vary": ["song.txt", "--run", "run-lines", "--out", "varied.txt"],
    "compare": ["melody.mid", "melody.mid"],
    "convert": ["song.txt", "again.txt"],
    "plot": ["run-lines"],
    "info": ["song.txt"],
    "list": ["."],
}


# A server goes on until it is stopped.
ENDING = [name for name in COMMANDS if name != "serve"]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name == "train" else ()) for name in ENDING],
)
def test_closed_streams_are_as_dev_null(
    name: str, toy_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python has None for a stream that the shell has closed."""
    monkeypatch.chdir(toy_home)
    for stream in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, stream, None)
    with pytest.raises(SystemExit) as ended:
        main([name, *WORK[name]])
    assert not ended.value.code
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        assert stream.name == os.devnull
        stream.close()


@pytest.mark.parametrize(
    ("command", "code", "error"),
    [
        ("list --datasets >&-", 0, ""),
        ("info - <&-", 1, "error: stdin is empty"),
        ("list --datasets >/dev/full", 1, "error: reading or writing failed"),
    ],
)
def test_streams_that_the_shell_closes(command: str, code: int, error: str, tmp_path: Path) -> None:
    if "/dev/full" in command and not Path("/dev/full").exists():
        pytest.skip("needs a file that is always full: /dev/full")
    line = f"exec {sys.executable} -m lnfgen {command}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, timeout=100)
    assert done.returncode == code, done.stderr.decode()
    assert done.stderr.decode().startswith(error)
    assert done.stderr.count(b"\n") == bool(error)


@pytest.mark.parametrize(
    "args",
    [["train", "--help"], ["list", "."], ["sample", "run-lines", "--count", "3", "--out", "g.txt"]],
)
def test_a_reader_that_goes_away_stops_nothing(
    args: list[str], toy_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `| head -1` does; then all files are still written."""
    monkeypatch.chdir(toy_home)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        monkeypatch.setattr(sys, "stderr", pipe)
        with pytest.raises(SystemExit) as ended:
            main(args)
    assert not ended.value.code
    assert args[0] != "sample" or len(list(toy_home.glob("g-0?.txt"))) == 3
