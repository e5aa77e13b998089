"""Train and score the cells of README's results: `python examples/reproduce/run.py DATA`.

DATA is the folder that holds `polyphonic/jsb_chorales.pickle`, the other benchmark sets and
`ptb/ptb.train.txt`; without it, the folder that LNFGEN_TEST_DATA names. `lnfgen train` trains each
cell of `cells.py`, `lnfgen eval --nll` scores it with 50 samples, on valid and then once on test,
and its result is written to `results/CELL.json`. A cell that has a result is not run again, and a
run that was interrupted goes on. Then `python examples/reproduce/table.py` puts the results into
README.

Compare variants of a model on valid, by cells or runs of their own; only what is chosen becomes a
cell of the tables, whose test score is then read once.

`--list` says which cells are done, begun or missing. A result is that of its own commit; `again.py`
finds out whether the present code learns the same.

Times are of the processor, of all threads of `lnfgen train`: set OMP_NUM_THREADS=1 to compare with
those of README. The recorded times of PTB in the budget `grid` are a fifth or so too long for all
models but `lstm`: at that time a run also fitted a second flow, which is gone. A recorded command
has the keys of the present configuration.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cells import CELLS, PASSES, Cell

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
    try:
        for cell in chosen_cells(given.only):
            how = state(cell, given.runs, given.results)
            if given.list:
                print(f"{how:8}{cell.name}")
            elif how != "done":
                source = benchmark(cell, given.data)
                print(cell.name, file=sys.stderr, flush=True)
                print(measure(cell, source, given.runs, given.results), flush=True)
    except LnfgenError as error:
        raise SystemExit(f"error: {error}") from None


def chosen_cells(patterns: Sequence[str]) -> list[Cell]:
    """The cells whose names fit one of the patterns, in their order.

    Raises:
        LnfgenError: if there is none.
    """
    chosen = [cell for cell in CELLS if any(fnmatchcase(cell.name, one) for one in patterns)]
    if not chosen:
        names = " or ".join(patterns)
        raise LnfgenError(f"no cell is named {names}; expected one that run.py --list names")
    return chosen


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


def commit_of_code() -> str | None:
    """The commit of this checkout; None if it is none."""
    command = ["git", "-C", str(Path(__file__).resolve().parents[2]), "rev-parse", "HEAD"]
    try:
        printed = subprocess.run(command, capture_output=True, text=True).stdout
    except OSError:  # there is no git
        return None
    return printed.strip() or None


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
        "commit": commit_of_code(),
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
