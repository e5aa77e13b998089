"""Datasets in the cache: made of files or of a named dataset at their first use, and opened afterwards."""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from lnfgen.conventions import Progress
from lnfgen.data import named
from lnfgen.data.dataset import FORMAT_VERSION, Dataset, is_dataset, open_dataset
from lnfgen.data.download import cache_folder
from lnfgen.data.prepare import prepare, source_name
from lnfgen.data.sources import Options, SourceFile, gather
from lnfgen.errors import DatasetError, OutputError
from lnfgen.files import require_free_folder

_VERSION = 10  # raised when lnfgen would make another dataset from the same files and options


def build_cached(
    source: Path,
    is_named: bool,
    options: Options,
    progress: Progress,
    built: Callable[[Dataset], object] = lambda dataset: None,
) -> Dataset:
    """Open the dataset that is made of `source`, files or the name of a dataset, and make it in the cache if necessary.

    Args:
        options: how to read files.
        progress: called while a dataset is made.
        built: called with the dataset if it has just been made.

    Raises:
        DatasetError: if the files cannot be read, or the named dataset needs a download, which only `preprocess` makes.
        OutputError: if the cache cannot be written.
    """
    files = [] if is_named else gather([source], options.kind)
    name = str(source) if is_named else source_name(source)
    folder = cache_folder() / "datasets" / f"{name}-{_key(name, files, options)}"
    if is_dataset(folder):
        try:
            return open_dataset(folder)
        except DatasetError:  # it is damaged, and is built again below
            shutil.rmtree(folder, ignore_errors=True)
    try:
        require_free_folder(folder)  # before the work, which can take minutes
        if files:
            dataset = prepare([source], folder, options, progress, files=files)
        else:
            dataset = named.build(name, folder, progress)
    except OutputError as error:
        if is_dataset(folder):  # another process has built the same dataset meanwhile
            return open_dataset(folder)
        raise OutputError(f"{str(error).split(';')[0]}; set LNFGEN_CACHE to a folder that can be written") from error
    built(dataset)
    return dataset


def _key(name: str, files: Sequence[SourceFile], options: Options) -> str:
    """Hash all that decides the content of a dataset: the files and options, or else what a name stands for."""
    made_of: object
    if files:
        made_of = (FORMAT_VERSION, _VERSION, [(file.label, file.sha256) for file in files], options)
    else:
        known = named.find(name)
        made_of = [FORMAT_VERSION, _VERSION, *known.files.values()]
        if not known.files:  # music21 carries the pieces, and another version of it may carry others
            made_of.append(importlib.metadata.version("music21"))
    return hashlib.sha256(repr(made_of).encode("utf-8", errors="replace")).hexdigest()[:12]
