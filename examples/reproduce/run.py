"""Train and score the cells of README's results: `python examples/reproduce/run.py DATA`.

DATA is the folder that holds `polyphonic/jsb_chorales.pickle`, the other benchmark sets and
`ptb/ptb.train.txt`; without it, the folder that LNFGEN_TEST_DATA names. `lnfgen train` trains each
cell of `cells.py`, `lnfgen eval --nll` scores it with 50 samples, on valid and then once on test,
and its result is written to `results/CELL.json`. A cell that has a result is not run again, and a
run that was interrupted goes on. Then `python examples/reproduce/table.py` puts the results into
README.

Compare variants of a model on valid, by cells or runs of their own; only what is chosen becomes a
cell of the tables, whose test score is then read once.

`--list` says which cells are done, begun or missing, and which are `older`: done where the code
that trains and scores the cell had other statements than now, or by no known commit. An older
result is still a measured one; it is that of its own commit.

Times are of the processor, of all threads of `lnfgen train`: set OMP_NUM_THREADS=1 to compare with
those of README. The recorded times of PTB in the budget `grid` are a fifth or so too long for all
models but `lstm`: at that time a run also fitted a second flow, which is gone. A recorded command
has the keys of the present configuration.
"""

import argparse
import ast
import json
import os
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cells import CELLS, PASSES, TEXT, Cell

import lnfgen
from lnfgen.errors import DatasetError, LnfgenError, RunError
from lnfgen.files import read_object, write_text
from lnfgen.runs.folder import read_metrics
from lnfgen.runs.listing import overview
from lnfgen.runs.naming import METRICS, is_run

RESULTS = Path(__file__).parent / "results"
SAMPLES = 50
SPLITS = ("valid", "test")
PROTOCOL = {
    "nll": f"importance-sampled, K = {SAMPLES}; exact for lstm",
    "divisor": "sum of T + 1, with log p(T)",
    "chosen_on": "valid",
    "scored_on_test": "once by this cell",
}

CODE = ("flows", "models", "nn", "transforms", "training")
"""The rooms of the package whose code decides what a cell learns and what it costs."""

OF_NO_CELL = (
    "training/calibration.py",
    "training/note_lengths.py",
    "training/verdict.py",
    "training/recipe_files/onsets.toml",
    "training/recipe_files/band.toml",
    "training/recipe_files/overrides/other-outputs.toml",
    "nn/matching.py",  # it is for bands
)
OF_OUTPUT = (
    "models/autoregressive.py",
    "models/frame_head.py",
    "models/frame_past.py",
    "models/frame_state.py",
    "models/held_notes.py",
    "models/mixture.py",
    "models/turns.py",
    "models/voice_leading.py",
    "nn/convolutions.py",
    "nn/opening.py",
)
"""The output that reads the past."""

OF_COPIES = ("nn/copying.py", "nn/recall.py")
OF_WORDS = ("flows/wordwise.py",)
OF_TEXT = (
    "training/recipe_files/text.toml",
    "training/recipe_files/overrides/codes.toml",
    "training/recipe_files/overrides/learned.toml",
)
OF_MUSIC = ("training/recipe_files/music.toml",)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "data", nargs="?", type=Path, help="folder with the benchmark sets (LNFGEN_TEST_DATA)"
    )
    parser.add_argument(
        "--only", nargs="+", default=["*"], metavar="NAME", help="cells, such as 'jsb_*-seed-1'"
    )
    parser.add_argument(
        "--runs",
        type=Path,
        default=Path("runs/reproduce"),
        help="folder of the runs (runs/reproduce)",
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="folder of the results (that of README)"
    )
    parser.add_argument(
        "--list", action="store_true", help="say which cells are done, begun or missing, and end"
    )
    given = parser.parse_args()
    chosen = chosen_cells(given.only)
    if not chosen:
        names = " or ".join(given.only)
        raise SystemExit(f"error: no cell is named {names}; expected one that --list names")
    if given.list:
        for cell in chosen:
            how = state(cell, given.runs, given.results)
            if how == "done" and is_older(cell, given.results):
                how = "older"
            print(f"{how:8}{cell.name}")
        return
    try:
        for cell in chosen:
            if state(cell, given.runs, given.results) != "done":
                source = benchmark(cell, given.data)
                print(cell.name, file=sys.stderr, flush=True)
                print(measure(cell, source, given.runs, given.results), flush=True)
    except LnfgenError as error:
        raise SystemExit(f"error: {error}") from None


def chosen_cells(patterns: Sequence[str]) -> list[Cell]:
    """The cells whose names fit one of the patterns, in their order."""
    return [cell for cell in CELLS if any(fnmatchcase(cell.name, one) for one in patterns)]


def state(cell: Cell, runs: Path, results: Path) -> str:
    """How far a cell has come: `done`, `begun` or `missing`.

    A result of other settings does not count.
    """
    path = results / f"{cell.name}.json"
    if path.exists() and read_object(path)["commands"][0] == shown(train_command(cell)):
        return "done"
    if is_run(runs / cell.name):
        return "begun"
    return "missing"


def is_older(cell: Cell, results: Path) -> bool:
    """True if the code of a cell has other statements now than at the commit of its result.

    Comments and docstrings do not count. A result without a commit, or of a commit that this
    checkout lacks, is older. Where there is no checkout, only the commit is asked for.
    """
    commit = read_object(results / f"{cell.name}.json").get("commit")
    if commit is None:
        return True
    if _git("rev-parse", "HEAD") and not _git("rev-parse", "--verify", f"{commit}^{{commit}}"):
        return True
    folders = [f"lnfgen/{folder}" for folder in CODE]
    left_out = [f":(exclude)lnfgen/{file}" for file in _unused_code(cell)]
    changed = _git("diff", "--name-only", commit, "HEAD", "--", *folders, *left_out).splitlines()
    return any(_statements(commit, file) != _statements("HEAD", file) for file in changed)


def _unused_code(cell: Cell) -> list[str]:
    """The files of the rooms `CODE` that a cell does not run."""
    unused = list(OF_NO_CELL)
    if cell.emission != "autoregressive":
        unused += OF_OUTPUT
    if not cell.copies:
        unused += OF_COPIES
    if cell.model != "blocks-codes":
        unused += OF_WORDS
    unused += OF_MUSIC if cell.dataset == TEXT else OF_TEXT
    return unused


@cache
def _statements(commit: str, file: str) -> str:
    """What a file does at a commit: the syntax tree of Python without docstrings, or TOML's values.

    It is empty if the file is not there at that commit.
    """
    content = _git("show", f"{commit}:{file}")
    if file.endswith(".toml"):
        return repr(tomllib.loads(content))
    tree = ast.parse(content)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not _is_text(one)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    """True of a docstring, and of any other constant that is a statement."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _git(*words: str) -> str:
    """What git prints in the folder of this file; nothing if that is no checkout."""
    command = ["git", "-C", str(Path(__file__).resolve().parents[2]), *words]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:  # there is no git
        return ""


def train_command(cell: Cell) -> list[str]:
    """The arguments of `lnfgen` that train a cell. DATA stands for the folder of the sets."""
    return ["train", f"DATA/{cell.source}", *cell.options(), "--out", cell.name]


def shown(command: Sequence[str]) -> str:
    """A command as a person would type it."""
    return shlex.join(["lnfgen", *command])


def benchmark(cell: Cell, data: Path | None) -> Path:
    """The file or the folder of a cell's benchmark set.

    Raises:
        DatasetError: if it is not there.
    """
    folder = data or Path(os.environ.get("LNFGEN_TEST_DATA") or ".")
    path = folder / cell.source
    if not path.exists():
        raise DatasetError(
            f"{path} is missing; expected the benchmark set; "
            f"name the folder that holds {cell.source}: run.py DATA, or LNFGEN_TEST_DATA"
        )
    return path.resolve()


def measure(cell: Cell, source: Path, runs: Path, results: Path) -> Path:
    """Train a cell as far as it is not yet, score it, and write its result, whose path is returned.

    Raises:
        RunError: if the cell's run was begun with other settings.
        SystemExit: if a command fails or is interrupted, with its exit code; it has said why.
    """
    runs.mkdir(parents=True, exist_ok=True)
    run = runs / cell.name
    train = train_command(cell)
    log = _Log(runs / f"{cell.name}.json", shown(train))
    if not is_run(run):
        log.timed([train[0], str(source), *train[2:]], runs)
    elif overview([run])[0]["state"] != "finished":
        log.timed([train[0], str(source), "--resume", "--out", cell.name], runs)
    commands, scores = scored(cell.name, runs)
    if cell.by_passes:
        by_passes: dict[str, dict[int, float]] = {}
        for split in SPLITS:
            by_passes[split] = elbo_by_passes(cell.name, split, runs)
        scores["elbo_by_passes"] = by_passes
    metrics = read_metrics(run / METRICS)
    values: dict[str, Any] = {
        "cell": cell.name,
        "seed": cell.seed,
        "protocol": PROTOCOL,
        "commands": [log.command, *map(shown, commands)],
        "steps": metrics[-1]["step"],
        "cpu_seconds": round(log.cpu_seconds, 1),
        "lnfgen": lnfgen.__version__,
        "commit": _git("rev-parse", "HEAD") or None,
        "torch": version("torch").split("+")[0],
        **scores,
        "valid_elbo_at": {line["step"]: line["valid_elbo"] for line in metrics},
    }
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"{cell.name}.json"
    write_text(path, json.dumps(values, indent=1) + "\n")
    return path


def scored(name: str, runs: Path) -> tuple[list[list[str]], dict[str, Any]]:
    """The commands that score a run on valid and on test, and what they print, by split."""
    commands: list[list[str]] = []
    scores: dict[str, Any] = {}
    for split in SPLITS:
        words = ["eval", name, "--nll", "--samples", str(SAMPLES), "--split", split, "--json"]
        commands.append(words)
        scores[split] = json.loads(_lnfgen(words, runs))
    return commands, scores


def elbo_by_passes(name: str, split: str, runs: Path) -> dict[int, float]:
    """The ELBO of a run by blocks for each number of passes.

    One sample is enough, because the latent is nearly certain.
    """
    words = ["eval", name, "--samples", "1", "--split", split, "--json"]
    found: dict[int, float] = {}
    for passes in PASSES:
        printed = _lnfgen([*words, "--passes", str(passes)], runs)
        found[passes] = json.loads(printed)["elbo"]
    return found


class _Log:
    """A file beside a run: the command that began it, and the processor time of its training."""

    def __init__(self, path: Path, command: str) -> None:
        """Raises `RunError` if the run was begun by another command."""
        self.path = path
        self.command = command
        self.cpu_seconds = 0.0
        if not path.exists():
            return
        kept = read_object(path)
        self.cpu_seconds = kept["cpu_seconds"]
        if kept["command"] != command:
            raise RunError(
                f"{path.with_suffix('')} was begun by {kept['command']!r}; "
                f"expected {command!r}; delete both it and the file beside it"
            )

    def timed(self, command: Sequence[str], folder: Path) -> None:
        """Run a command, and add its time."""
        self._write()
        before = os.times()
        try:
            _lnfgen(command, folder)
        finally:
            after = os.times()
            self.cpu_seconds += after.children_user - before.children_user
            self.cpu_seconds += after.children_system - before.children_system
            self._write()

    def _write(self) -> None:
        content = {"command": self.command, "cpu_seconds": self.cpu_seconds}
        write_text(self.path, json.dumps(content) + "\n")


def _lnfgen(words: Sequence[str], folder: Path) -> str:
    """What `lnfgen WORDS` prints, in a folder. Ctrl-C and SIGTERM end it, after it has saved."""
    command = [sys.executable, "-m", "lnfgen", *words]
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    earlier = signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    try:
        out = child.communicate()[0]
    except KeyboardInterrupt:  # a terminal sends it to the command as well
        out = child.communicate()[0]
    finally:
        signal.signal(signal.SIGTERM, earlier)
    if child.returncode:
        raise SystemExit(child.returncode)
    return out


if __name__ == "__main__":
    main()
