"""From what a person types after `train` or `eval` to an open dataset, built into the cache where that is needed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
from dataclasses import asdict
from pathlib import Path

from lnfgen.data import named
from lnfgen.data.cache import cache_folder
from lnfgen.data.gather import gather
from lnfgen.data.options import Options
from lnfgen.data.parallel import Progress, no_progress
from lnfgen.data.prepared import Prepared
from lnfgen.data.preprocess import prepare, source_name
from lnfgen.data.storage import FORMAT_VERSION, Dataset, is_dataset, open_dataset
from lnfgen.errors import DatasetError, OutputError
from lnfgen.files import sha256_of

_VERSION = 1  # raised when lnfgen would make another dataset from the same files and options


def resolve(source: str | Path | None = None, progress: Progress = no_progress) -> Dataset:
    """The dataset that `source` means.

        resolve()             # the default: chorales
        resolve("folk-abc")   # a named dataset, built into the cache at its first use
        resolve("songs")      # a folder of files, preprocessed into the cache; or a dataset folder, opened

    A path that exists goes before a name. Files are preprocessed with the default options, and again after they change.

    Raises:
        DatasetError: if it is none of these, is damaged, or needs a download, which only `preprocess` makes.
        OutputError: if the cache cannot be written.
    """
    source = named.DEFAULT if source is None else source
    path = Path(source)
    if is_dataset(path):
        return open_dataset(path)
    if path.exists():
        return _from_files(path, progress)
    return _from_name(str(source), progress)


def _from_files(path: Path, progress: Progress) -> Dataset:
    options = Options()
    files = [(file.label, sha256_of(file.path)) for file in gather([path])]
    folder = _folder(source_name(path), (FORMAT_VERSION, _VERSION, files, sorted(asdict(options).items())))
    return _opened(folder) or _written(prepare([path], options, progress), folder)


def _from_name(name: str, progress: Progress) -> Dataset:
    known = named.find(name)
    parts = [FORMAT_VERSION, _VERSION, known.version, *(file.sha256 for file in known.files)]
    if not known.files:  # music21 carries the pieces, and another version of it may carry others
        parts.append(importlib.metadata.version("music21"))
    folder = _folder(name, parts)
    return _opened(folder) or _written(named.build(name, progress), folder)


def _folder(name: str, made_of: object) -> Path:
    """The folder in the cache for a dataset; a hash of what it is made of is part of its name."""
    key = hashlib.sha256(repr(made_of).encode("utf-8", errors="replace")).hexdigest()[:12]
    return cache_folder() / "datasets" / f"{name}-{key}"


def _opened(folder: Path) -> Dataset | None:
    """The dataset that was built here before; None if there is none. A damaged one is deleted, to be built again."""
    if not is_dataset(folder):
        return None
    try:
        return open_dataset(folder)
    except DatasetError:
        shutil.rmtree(folder, ignore_errors=True)
        return None


def _written(prepared: Prepared, folder: Path) -> Dataset:
    try:
        return prepared.write(folder)
    except OutputError as error:
        if is_dataset(folder):  # another process has built the same dataset meanwhile
            return open_dataset(folder)
        raise OutputError(f"{str(error).split(';')[0]}; set LNFGEN_CACHE to a folder that can be written") from error
