"""Train and score the cells of README's results: `python examples/reproduce/run.py DATA`.

DATA is the folder that holds `polyphonic/jsb_chorales.pickle`, the other benchmark sets and
`ptb/ptb.train.txt`; without it, the folder that LNFGEN_TEST_DATA names. Each cell of `cells.py` is
trained by `lnfgen train`, scored by `lnfgen eval --nll` with 50 samples, on valid and then once on
test, and its result is written to `results/CELL.json`. A cell that has a result is not run again,
and a run that was interrupted goes on. `--list` tells which cells are done, begun or missing, and
which are `older`: done by a commit where the code of models is another than now. Then `python
examples/reproduce/table.py` puts the results into README.

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
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cache
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
    "scored_on_test": "once",
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
    chosen = [
        cell for cell in CELLS if any(fnmatchcase(cell.name, pattern) for pattern in given.only)
    ]
    if not chosen:
        raise SystemExit(
            f"error: no cell is named {' or '.join(given.only)}; expected one that --list names"
        )
    if given.list:
        for cell in chosen:
            how = state(cell, given.runs, given.results)
            print(
                f"{'older' if how == 'done' and is_older(cell, given.results) else how:8}{cell.name}"
            )
        return
    try:
        for cell in chosen:
            if state(cell, given.runs, given.results) != "done":
                source = benchmark(cell, given.data)
                print(cell.name, file=sys.stderr, flush=True)
                print(measure(cell, source, given.runs, given.results), flush=True)
    except LnfgenError as error:
        raise SystemExit(f"error: {error}") from None


def state(cell: Cell, runs: Path, results: Path) -> str:
    """How far a cell has come: `done`, `begun` or `missing`. A result of other settings does not
    count."""
    path = results / f"{cell.name}.json"
    if path.exists() and read_object(path)["commands"][0] == shown(train_command(cell)):
        return "done"
    return "begun" if is_run(runs / cell.name) else "missing"


def is_older(cell: Cell, results: Path) -> bool:
    """True if the result of a cell is of a commit where the code of its model is another than now,
    or of none.

    Comments and docstrings do not count. A commit that this checkout lacks is another one.
    """
    commit = read_object(results / f"{cell.name}.json").get("commit")
    if commit is None or (
        _git("rev-parse", "HEAD") and not _git("rev-parse", "--verify", f"{commit}^{{commit}}")
    ):
        return True
    code = [f"lnfgen/{folder}" for folder in ("flows", "models", "nn", "transforms", "training")]
    reads_past, by_words = cell.emission == "past", cell.model == "blocks-codes"
    used = {
        "training/calibration.py": False,
        "nn/copying.py": cell.copies,
        "nn/matching.py": False,  # it is for bands
        "flows/wordwise.py": by_words,
        **{
            f"models/{name}.py": reads_past for name in ("voices", "copied_voices", "voice_leading")
        },
    }
    code += [f":(exclude)lnfgen/{file}" for file, is_used in used.items() if not is_used]
    changed = _git("diff", "--name-only", commit, "HEAD", "--", *code).splitlines()
    return any(_statements(commit, file) != _statements("HEAD", file) for file in changed)


@cache
def _statements(commit: str, file: str) -> str:
    """What a file of Python does at a commit: its syntax tree without docstrings. Of recipes it is
    their tables."""
    tree = ast.parse(_git("show", f"{commit}:{file}"))
    if file.endswith("recipes.py"):  # no cell is a band
        tables = [one for one in tree.body if isinstance(one, ast.Assign | ast.AnnAssign)]
        tree.body = [one for one in tables if not ast.unparse(one).startswith("BANDS")]
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            own = [
                one
                for one in body
                if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
            ]
            node.body = own  # type: ignore[attr-defined]
    return ast.dump(tree)


def _git(*words: str) -> str:
    """What git prints in the folder of this file; nothing if that is no checkout."""
    command = ["git", "-C", str(Path(__file__).resolve().parents[2]), *words]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:  # there is no git
        return ""


def train_command(cell: Cell) -> list[str]:
    """The arguments of `lnfgen` that train a cell, with DATA for the folder of the benchmark
    sets."""
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
            f"{path} is missing; expected the benchmark set; name the folder that holds {cell.source}: "
            "run.py DATA, or LNFGEN_TEST_DATA"
        )
    return path.resolve()


def measure(cell: Cell, source: Path, runs: Path, results: Path) -> Path:
    """Train a cell as far as it is not yet, score it, and write its result, whose path is returned.

    Raises:
        RunError: if the cell's run was begun with other settings.
        SystemExit: if a command fails or is interrupted, with its exit code; it has said why.
    """
    runs.mkdir(parents=True, exist_ok=True)
    run, train = runs / cell.name, train_command(cell)
    log = _Log(runs / f"{cell.name}.json", shown(train))
    if not is_run(run):
        log.timed([train[0], str(source), *train[2:]], runs)
    elif overview([run])[0]["state"] != "finished":
        log.timed([train[0], str(source), "--resume", "--out", cell.name], runs)
    commands, scores = scored(cell.name, runs)
    if cell.by_passes:
        scores["elbo_by_passes"] = {
            split: elbo_by_passes(cell.name, split, runs) for split in SPLITS
        }
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
    commands = {
        split: ["eval", name, "--nll", "--samples", str(SAMPLES), "--split", split, "--json"]
        for split in SPLITS
    }
    return list(commands.values()), {
        split: json.loads(_lnfgen(words, runs)) for split, words in commands.items()
    }


def elbo_by_passes(name: str, split: str, runs: Path) -> dict[int, float]:
    """The ELBO of a run by blocks for each number of passes, with one sample: the latent is nearly
    certain."""
    words = ["eval", name, "--samples", "1", "--split", split, "--json"]
    return {
        passes: json.loads(_lnfgen([*words, "--passes", str(passes)], runs))["elbo"]
        for passes in PASSES
    }


class _Log:
    """The command that began a run, and the processor time that training has taken so far, in a
    file beside the run."""

    def __init__(self, path: Path, command: str) -> None:
        """Raises `RunError` if the run was begun by another command."""
        self.path, self.command, self.cpu_seconds = path, command, 0.0
        if path.exists():
            kept = read_object(path)
            self.cpu_seconds = kept["cpu_seconds"]
            if kept["command"] != command:
                raise RunError(
                    f"{path.with_suffix('')} was begun by {kept['command']!r}; expected {command!r}; "
                    "delete both it and the file beside it"
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
        write_text(
            self.path, json.dumps({"command": self.command, "cpu_seconds": self.cpu_seconds}) + "\n"
        )


def _lnfgen(words: Sequence[str], folder: Path) -> str:
    """What `lnfgen WORDS` prints, in a folder. Ctrl-C and SIGTERM end it, after it has saved."""
    child = subprocess.Popen(
        [sys.executable, "-m", "lnfgen", *words], cwd=folder, stdout=subprocess.PIPE, text=True
    )
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
