"""From what a person types after `train` or `eval` to an open dataset, built into the cache where need be."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from lnfgen.data import named
from lnfgen.data.download import cache_folder, fingerprint
from lnfgen.data.gather import gather
from lnfgen.data.parallel import Progress, no_progress
from lnfgen.data.preprocess import Options, Prepared, prepare, source_name
from lnfgen.data.storage import FORMAT_VERSION, Dataset, is_dataset, open_dataset
from lnfgen.errors import DatasetError, OutputError
from lnfgen.files import sha256_of

_VERSION = 1  # raised when the same sources and options would give other bytes


def resolve(source: str | Path | None = None, progress: Progress = no_progress) -> Dataset:
    """The dataset that `source` means.

    None is `chorales`. A file or folder that exists goes before a name: a dataset folder is opened, other files are
    preprocessed with the default options into the cache, under a name that their hashes decide. A named dataset is
    built into the cache at its first use.

    Raises:
        DatasetError: if it is none of these, is damaged, or needs a download that only `preprocess` makes.
        OutputError: if the cache cannot be written.
    """
    source = named.DEFAULT if source is None else source
    path = Path(source)
    if is_dataset(path):
        return open_dataset(path)
    if path.exists():
        options = Options()
        files = [(file.label, sha256_of(file.path)) for file in gather([path])]
        key = fingerprint((FORMAT_VERSION, _VERSION, files, sorted(asdict(options).items())))
        return _cached(source_name(path), key, lambda: prepare([path], options, progress))
    name = str(source)
    known = named.find(name)
    parts = [FORMAT_VERSION, _VERSION, known.version, *(file.sha256 for file in known.files)]
    if known.build is not None:  # what the package carries may change with it
        parts.append(importlib.metadata.version("music21"))
    return _cached(name, fingerprint(parts), lambda: named.build(name, progress))


def _cached(name: str, key: str, make: Callable[[], Prepared]) -> Dataset:
    path = cache_folder() / "datasets" / f"{name}-{key}"
    if is_dataset(path):
        try:
            return open_dataset(path)
        except DatasetError:
            shutil.rmtree(path, ignore_errors=True)  # it is lnfgen's own, and can be built again
    prepared = make()
    try:
        return prepared.write(path)
    except OutputError as error:
        if is_dataset(path):  # another process was faster
            return open_dataset(path)
        raise OutputError(f"{str(error).split(';')[0]}; set LNFGEN_CACHE to a folder that can be written") from error
