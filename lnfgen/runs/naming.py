"""Names: `find` resolves those that a person gives, and new runs get theirs here."""

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
# Where a run can have a state to go on from. A crash can leave it in `.next`, before that takes the
# name `last`.
STATES = ("last", ".next", "previous")

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
    """The meaning of a name.

    A "named" dataset is one that `lnfgen.data.named` knows, and "files" are all others.
    """

    kind: Literal["run", "dataset", "files", "named"]
    path: Path  # where it is; for "named", the name


def find(name: str | Path, *wanted: Wanted) -> Found:
    """Find the run, dataset or files that a person names. All commands and functions of lnfgen
    resolve names here.

    An existing path of a wanted kind goes first. Then come names, in the order of `wanted`: if a
    run is wanted, the name of a model in the box is that model, and if a dataset is wanted, the
    name of a dataset is that dataset.

        # ./chorales if that is a run, else the model in the box
        find("chorales", "run")
        # ./chorales if that exists and is no run, else the named dataset
        find("chorales", "dataset", "files")

    Raises:
        RunError: if the name stands for nothing that is wanted, and a run is wanted first.
        DatasetError: if it stands for nothing that is wanted, and something else is wanted first.
    """
    path = Path(name)
    here = _kind_of(path)
    if here in wanted:
        return Found(here, path)
    for kind in wanted:
        if kind == "run" and str(name) in BOXED:
            return Found("run", BOX / name)
        if kind == "dataset" and str(name) in NAMED:
            return Found("named", path)
    message = _not_found(str(name), here, wanted)
    if wanted[0] == "run":
        raise RunError(message)
    raise DatasetError(message)


def _kind_of(path: Path) -> Wanted | None:
    """What is at a path; None for nothing."""
    if is_run(path):
        return "run"
    if is_dataset(path):
        return "dataset"
    if path.exists():
        return "files"
    return None


def _not_found(name: str, here: Wanted | None, wanted: tuple[Wanted, ...]) -> str:
    """What to tell a person whose name stands for nothing that is wanted."""
    path = Path(name)
    is_meant_as_a_file = here is None and "files" in wanted and path.suffix.lower() in READABLE
    close = _close_names(name, wanted, cutoff=0.8 if is_meant_as_a_file else 0.5)
    expected: tuple[Wanted, ...] = wanted
    if is_meant_as_a_file and not close:
        expected = ("files",)
    kinds = ", or ".join([_EXPECTED[kind] for kind in expected])
    message = f"{name} {_what_is_there(path, here)}; expected {kinds}"
    if close:
        return f"{message}; did you mean {' or '.join(close)}?"
    if expected[0] == "run":
        return f"{message}; train a run with: lnfgen train"
    if not is_meant_as_a_file:
        return f"{message}; named datasets: {', '.join(NAMED)}"
    return message


def _what_is_there(path: Path, here: Wanted | None) -> str:
    if here is None:
        return "does not exist"
    if here != "files":
        return f"is a {here}"
    if path.is_file():
        return "is a file"
    return "is a folder that holds neither a run nor a dataset"


def _close_names(name: str, wanted: tuple[Wanted, ...], cutoff: float) -> list[str]:
    """Up to three names of models in the box and datasets that look like this one."""
    known: list[str] = []
    if "run" in wanted:
        known += BOXED
    if "dataset" in wanted:
        known += NAMED
    return difflib.get_close_matches(name, dict.fromkeys(known), n=3, cutoff=cutoff)


def create_numbered(dataset: str, model: str, create: Callable[[Path], Run]) -> Run:
    """Call `create` with a path for a new run, which is numbered after the highest.

    If another run takes the number first, it gets the next one.
    """
    plain = re.sub(r"[^A-Za-z0-9_.]+", "-", dataset).strip("-.") or "dataset"
    stem = f"{plain}-{model}"
    while True:
        highest = 0
        for found in RUNS.glob(f"{stem}-*"):
            ending = found.name.rpartition("-")[2]
            if ending.isdecimal():
                highest = max(highest, int(ending))
        path = RUNS / f"{stem}-{highest + 1:03d}"
        try:
            return create(path)
        except OutputError:
            if not path.exists():
                raise


def newest_run(*, resumable: bool = False) -> Path:
    """The run under `runs/` that was started last, among those with a model.

    If `resumable`, it is among those with a state to go on from.
    """
    needed = STATES if resumable else (MODEL,)
    # a hidden folder is a run that is not whole yet
    runs = [found.parent for found in RUNS.glob("[!.]*/config.json")]
    candidates = [run for run in runs if any((run / name).exists() for name in needed)]
    if not candidates:
        raise RunError(f"found no run under {RUNS}/; train first: lnfgen train")
    return max(candidates, key=lambda run: ((run / "config.json").stat().st_mtime_ns, run.name))
