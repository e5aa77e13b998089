"""From what a person types after `train` or `eval` to an open dataset, built into the cache where that is needed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from lnfgen.conventions import Progress, no_progress
from lnfgen.data import named
from lnfgen.data.dataset import FORMAT_VERSION, Dataset, is_dataset, is_manifest_of_run, open_dataset
from lnfgen.data.download import cache_folder
from lnfgen.data.prepare import prepare, source_name
from lnfgen.data.sources import Options, SourceFile, gather
from lnfgen.errors import DatasetError, OutputError
from lnfgen.files import require_free_folder

_VERSION = 10  # raised when lnfgen would make another dataset from the same files and options


def resolve(
    source: str | Path | None = None,
    progress: Progress = no_progress,
    built: Callable[[Dataset], object] = lambda dataset: None,
    options: Options | None = None,
) -> Dataset:
    """The dataset that `source` means.

        resolve()             # the default: chorales
        resolve("folk-abc")   # a named dataset, built into the cache at its first use
        resolve("songs")      # a folder of files, preprocessed into the cache; or a dataset folder, opened

    A path that exists goes before a name, unless it is a run, as a model trained with `--out chorales` is. Files are
    preprocessed again after they change.

    Args:
        progress: is told of a dataset being made.
        built: is called with the dataset if it has just been made.
        options: those to preprocess files with, in place of the default ones.

    Raises:
        DatasetError: if it is none of these, is damaged, or needs a download, which only `preprocess` makes.
        OutputError: if the cache cannot be written.
    """
    options = options or Options()
    source = named.DEFAULT if source is None else source
    path = Path(source)
    is_run = is_manifest_of_run(path)
    if is_run and str(source) not in named.NAMED:
        raise DatasetError(
            f"{path} is a run; expected a dataset folder, the name of a dataset, or files to make one of"
        )
    if is_dataset(path) and not is_run:
        return open_dataset(path)
    files = gather([path], options.kind) if path.exists() and not is_run else []
    name = source_name(path) if files else named.find(str(source)).name
    folder = cache_folder() / "datasets" / f"{name}-{_key(name, files, options)}"
    if is_dataset(folder):
        try:
            return open_dataset(folder)
        except DatasetError:  # it is damaged, and is built again below
            shutil.rmtree(folder, ignore_errors=True)
    try:
        require_free_folder(folder)  # before the work, which can take minutes
        if files:
            dataset = prepare([path], folder, options, progress, files=files)
        else:
            dataset = named.build(name, folder, progress)
    except OutputError as error:
        if is_dataset(folder):  # another process has built the same dataset meanwhile
            return open_dataset(folder)
        raise OutputError(f"{str(error).split(';')[0]}; set LNFGEN_CACHE to a folder that can be written") from error
    built(dataset)
    return dataset


def _key(name: str, files: Sequence[SourceFile], options: Options) -> str:
    """A hash of all that decides the content of a dataset: the files and options, or else what a name stands for."""
    made_of: object
    if files:
        made_of = (FORMAT_VERSION, _VERSION, [(file.label, file.sha256) for file in files], options)
    else:
        known = named.find(name)
        made_of = [FORMAT_VERSION, _VERSION, known.version, *known.files.values()]
        if not known.files:  # music21 carries the pieces, and another version of it may carry others
            made_of.append(importlib.metadata.version("music21"))
    return hashlib.sha256(repr(made_of).encode("utf-8", errors="replace")).hexdigest()[:12]
