"""Names of runs, datasets and files: `find` resolves those that a person gives, and new runs get
theirs here."""

import difflib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from lnfgen.data.dataset import is_dataset
from lnfgen.data.named import NAMED
from lnfgen.errors import DatasetError, OutputError, RunError
from lnfgen.formats.read_write import READABLE
from lnfgen.pretrained import BOX, BOXED

RUNS = Path("runs")  # the folder of new runs, below the present folder
MODEL = "model.safetensors"
METRICS = "metrics.jsonl"
STATES = ("last", ".next", "previous")
"""Where a run can have a state to go on from. A crash can leave it in `.next`, before that takes
the name `last`."""

Wanted = Literal["run", "dataset", "files"]
_EXPECTED: dict[Wanted, str] = {
    "run": f"a run folder or a model in the box ({', '.join(BOXED)})",
    "dataset": "a dataset folder or the name of a dataset",
    "files": "a file or folder",
}

Run = TypeVar("Run")


def is_run(folder: Path) -> bool:
    """True if a folder holds a file of a run, even if other files are missing."""
    return any((folder / name).is_file() for name in ("config.json", METRICS, MODEL))


class Found(NamedTuple):
    """The meaning of a name. A "named" dataset is one that `lnfgen.data.named` knows, and "files"
    are all others."""

    kind: Literal["run", "dataset", "files", "named"]
    path: Path  # where it is; for "named", the name


def find(name: str | Path, *wanted: Wanted) -> Found:
    """Find the run, dataset or files that a person names. All commands and functions of lnfgen
    resolve names here.

    An existing path of a wanted kind goes first. Then come names, in the order of `wanted`: if a
    run is wanted, the name of a model in the box is that model, and if a dataset is wanted, the
    name of a dataset is that dataset.

        find("chorales", "run")               # ./chorales if that is a run, else the model in the
        box find("chorales", "dataset", "files")  # ./chorales if that exists and is no run, else
        the named dataset

    Raises:
        RunError: if the name stands for nothing that is wanted, and a run is wanted first.
        DatasetError: if it stands for nothing that is wanted, and something else is wanted first.
    """
    path = Path(name)
    here: Wanted | None = (
        "run"
        if is_run(path)
        else "dataset"
        if is_dataset(path)
        else "files"
        if path.exists()
        else None
    )
    if here in wanted:
        return Found(here, path)
    for kind in wanted:
        if kind == "run" and str(name) in BOXED:
            return Found("run", BOX / name)
        if kind == "dataset" and str(name) in NAMED:
            return Found("named", path)
    if here == "files":
        found = (
            "is a file" if path.is_file() else "is a folder that holds neither a run nor a dataset"
        )
    else:
        found = f"is a {here}" if here else "does not exist"
    # it is meant as one
    is_file = here is None and "files" in wanted and path.suffix.lower() in READABLE
    known = [*(BOXED if "run" in wanted else ()), *(NAMED if "dataset" in wanted else ())]
    close = difflib.get_close_matches(
        str(name), dict.fromkeys(known), n=3, cutoff=0.8 if is_file else 0.5
    )
    expected: tuple[Wanted, ...] = ("files",) if is_file and not close else wanted
    message = f"{name} {found}; expected {', or '.join(_EXPECTED[kind] for kind in expected)}"
    if close:
        message += f"; did you mean {' or '.join(close)}?"
    elif expected[0] == "run":
        message += "; train a run with: lnfgen train"
    elif not is_file:
        message += f"; named datasets: {', '.join(NAMED)}"
    raise (RunError if wanted[0] == "run" else DatasetError)(message)


def create_numbered(dataset: str, model: str, create: Callable[[Path], Run]) -> Run:
    """Call `create` with a path for a new run, numbered after the highest; with the next if that
    gets taken."""
    stem = f"{re.sub(r'[^A-Za-z0-9_.]+', '-', dataset).strip('-.') or 'dataset'}-{model}"
    while True:
        endings = [found.name.rpartition("-")[2] for found in RUNS.glob(f"{stem}-*")]
        highest = max((int(ending) for ending in endings if ending.isdigit()), default=0)
        path = RUNS / f"{stem}-{highest + 1:03d}"
        try:
            return create(path)
        except OutputError:
            if not path.exists():
                raise


def newest_run(*, resumable: bool = False) -> Path:
    """The run that was started last, among those with a model or, if `resumable`, with a state to
    go on from."""
    needed = STATES if resumable else (MODEL,)
    # a hidden folder is a run that is not whole yet
    runs = [found.parent for found in RUNS.glob("[!.]*/config.json")]
    candidates = [run for run in runs if any((run / name).exists() for name in needed)]
    if not candidates:
        raise RunError(f"found no run under {RUNS}/; train first: lnfgen train")
    return max(candidates, key=lambda run: ((run / "config.json").stat().st_mtime_ns, run.name))
