"""Train measured cells again, to their first validation: `python examples/reproduce/again.py DATA`.

A result is that of the commit that measured it. This trains its cell by the present code until the
first validation, and compares the valid ELBO with that of the result. If they agree, the present
code learns what that commit learned, and the result names the present commit too. If not, delete
the result and let `run.py` measure the cell anew.

Round-off moves these ELBOs by far less than `TOLERANCE`, other sums or other random numbers move
them by more (`examples/results.md`). An old result has no curve, so nothing can be said about it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from cells import Cell
from run import RESULTS, benchmark, chosen_cells, commit_of_code, train_command

from lnfgen.errors import LnfgenError, RunError
from lnfgen.files import read_object, write_text
from lnfgen.runs.folder import read_metrics
from lnfgen.runs.naming import METRICS

TOLERANCE = 1e-3
"""How far two valid ELBOs that agree may lie apart, in nats or bits."""


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
    given = parser.parse_args()
    differing = 0
    try:
        for cell in chosen_cells(given.only):
            path = RESULTS / f"{cell.name}.json"
            if path.exists() and not learns_the_same(cell, benchmark(cell, given.data), path):
                differing += 1
    except LnfgenError as error:
        raise SystemExit(f"error: {error}") from None
    if differing:
        raise SystemExit(f"error: the present code learns otherwise than {differing} results say")


def learns_the_same(cell: Cell, source: Path, path: Path) -> bool:
    """False if the present code does not learn what a result says. It prints what was found.

    The result at `path` names the present commit as `again` if the code does, and none if not.
    """
    result = read_object(path)
    curve: dict[str, float] = result.get("valid_elbo_at", {})
    if not curve:
        print(f"{cell.name}: no curve", flush=True)
        return True
    words = train_command(cell)
    with tempfile.TemporaryDirectory() as folder:
        found = first_validation([words[0], str(source), *words[2:]], Path(folder) / cell.name)
    update, before = next(iter(curve.items()))
    step, elbo = found
    distance = abs(elbo - before) if step == int(update) else float("inf")
    agrees = distance <= TOLERANCE
    result.pop("again", None)
    if agrees:
        result["again"] = {"commit": commit_of_code(), "updates": step, "distance": distance}
    write_text(path, json.dumps(result, indent=1) + "\n")
    verdict = "agrees" if agrees else "differs"
    print(f"{cell.name}: {verdict}, {elbo} after {step} updates, was {before}", flush=True)
    return agrees


def first_validation(words: Sequence[str], run: Path) -> tuple[int, float]:
    """The update of the first validation of a run, and its valid ELBO. Then the run is ended.

    `lnfgen WORDS` trains the run, in the folder that is to hold it.

    Raises:
        RunError: if it ends without a validation; the command has said why.
    """
    metrics = run / METRICS
    command = [sys.executable, "-m", "lnfgen", *words]
    child = subprocess.Popen(command, cwd=run.parent, stdout=subprocess.DEVNULL)
    try:
        while child.poll() is None and not _has_a_line(metrics):
            time.sleep(0.5)
    finally:
        child.terminate()
        child.wait()
    if not _has_a_line(metrics):
        raise RunError(f"{run.name} ended without a validation; expected one")
    line = read_metrics(metrics)[0]
    return line["step"], line["valid_elbo"]


def _has_a_line(metrics: Path) -> bool:
    return metrics.exists() and metrics.stat().st_size > 0


if __name__ == "__main__":
    main()
