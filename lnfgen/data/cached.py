"""Datasets in the cache: made of files or of a named dataset at their first use, and opened afterwards."""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

from lnfgen.conventions import Progress
from lnfgen.data import named
from lnfgen.data.dataset import FORMAT_VERSION, MANIFEST, Dataset, is_dataset, open_dataset
from lnfgen.data.download import cache_folder
from lnfgen.data.prepare import prepare, source_name
from lnfgen.data.sources import Options, SourceFile, gather
from lnfgen.errors import DatasetError, LnfgenWarning, OutputError
from lnfgen.files import require_free_folder

SHOWN_LOSSES = 10
"""The most files left out that `warn_of_losses` names; `dataset.json` lists all."""

_VERSION = 10  # raised when lnfgen would make another dataset from the same files and options


def build_cached(
    source: Path,
    is_named: bool,
    options: Options,
    progress: Progress,
) -> Dataset:
    """Open the dataset that is made of `source`, files or the name of a dataset, and make it in the cache if necessary.

    Args:
        options: how to read files.
        progress: called while a dataset is made.

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
    if files:
        warn_of_losses(dataset)
    return dataset


def warn_of_losses(dataset: Dataset) -> None:
    """Warn of what a dataset that has just been made lost: its remarks, and the files that were left out."""
    remarks = list(dataset.manifest["preprocessing"]["remarks"])
    skipped = dataset.manifest["skipped"]
    remarks += [f"left out: {_with_name(skip['path'], skip['reason'])}" for skip in skipped[:SHOWN_LOSSES]]
    if len(skipped) > SHOWN_LOSSES:
        remarks.append(f"left out: {len(skipped) - SHOWN_LOSSES:,} more; {dataset.path / MANIFEST} lists all")
    for remark in remarks:
        warnings.warn(remark, LnfgenWarning, stacklevel=3)


def _with_name(path: str, reason: str) -> str:
    """Put the name of a file in front of the reason for leaving it out, unless the reason has it.

    The reason for a copy ends with the name of another file, which may hold this one, as `sub/song.mid` does.
    """
    has_name = re.search(rf"(^|[\s/\\]){re.escape(path)}(?=[\s:,;])", reason)
    return reason if has_name else f"{path}: {reason}"


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
