"""Make a dataset folder of files in one pass, or of a named dataset; or open one of them in the
cache."""

import hashlib
import importlib.metadata
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from lnfgen.conventions import Kind, Progress, no_progress
from lnfgen.data import benchmarks, named
from lnfgen.data.chorales import add_chorales
from lnfgen.data.dataset import FORMAT_VERSION, MANIFEST, Dataset, Record, is_dataset, open_dataset
from lnfgen.data.division import distinct, splits_by_name
from lnfgen.data.download import cache_errors, cache_folder, fetch
from lnfgen.data.gather import Options, SourceFile, gather
from lnfgen.data.prepared import new_dataset
from lnfgen.data.rolls import add_benchmark, add_music
from lnfgen.data.texts import add_folk, add_texts
from lnfgen.errors import DatasetError, LnfgenWarning, OutputError
from lnfgen.wording import with_name

SHOWN_LOSSES = 10  # the most files left out that `warn_of_losses` names
_VERSION = 14  # raised when lnfgen would make another dataset from the same files and options


def prepare(
    sources: Sequence[Path],
    path: Path,
    options: Options | None = None,
    progress: Progress = no_progress,
    *,
    name: str | None = None,
    jobs: int | None = None,
    files: Sequence[SourceFile] | None = None,
) -> Dataset:
    """Make a dataset folder, with the name of the first source unless given, and open it; see
    `lnfgen.preprocess`.

    `files` are those of the sources, if they are gathered already.
    """
    options = options or Options()
    files = files or gather(sources, options.kind)
    with new_dataset(path, name or source_name(sources[0]), strict=options.strict) as dataset:
        dataset.options |= asdict(options)
        if options.kind != "text" and any(file.suffix in benchmarks.SUFFIXES for file in files):
            add_benchmark(dataset, files)
        else:
            kind = options.kind or _only_kind(files)
            options.require_fitting(kind)
            chosen, left_out = _with_splits(files, dataset.copies)
            if chosen[0].split is not None:
                dataset.options["split"] = None
            if kind == "music":
                add_music(dataset, chosen, options, progress, jobs)
            else:
                add_texts(dataset, chosen, options)
            dataset.skipped += left_out
    return replace(open_dataset(path), survey=dataset.survey if dataset.survey.read else None)


def _with_splits(
    files: Sequence[SourceFile], copies: list[Record]
) -> tuple[list[SourceFile], list[Record]]:
    """The files with the splits that their names say, and {path, reason} of those whose name says
    none.

    Where the names say no splits, files with the same bytes count once, and the others are noted in
    `copies`.
    """
    given = splits_by_name([file.label for file in files])
    if not given:
        labelled = ((file.label, file) for file in files)
        return [
            file
            for _, file in distinct(labelled, lambda file: file.sha256, "the same bytes", copies)
        ], []
    reason = "its name gives no split (train, valid, test), as most of the others' do"
    strays: list[Record] = [
        {"path": file.label, "reason": reason} for file in files if file.label not in given
    ]
    return [replace(file, split=given[file.label]) for file in files if file.label in given], strays


def _only_kind(files: Sequence[SourceFile]) -> Kind:
    kinds = {file.kind: file.path.name for file in reversed(files)}
    if len(kinds) > 1:
        found = f"found both music ({kinds['music']}) and text ({kinds['text']})"
        raise DatasetError(
            f"{found}; expected one kind; preprocess with --as music or --as text (in Python kind=)"
        )
    return files[0].kind


def source_name(source: Path) -> str:
    """The name of a dataset that is made from this file or folder."""
    return (source.resolve().name if source.is_dir() else source.stem) or "dataset"


def build_named(
    name: str, path: Path, progress: Progress = no_progress, *, download: bool = False
) -> Dataset:
    """Make the dataset folder of a named dataset at `path`, and open it.

    Files that are not in the cache are a `DatasetError`, or with `download` they are fetched.
    """
    found = named.NAMED[name]
    paths = [found.path(remote) for remote in found.files]
    if download:
        for remote, sha256 in found.files.items():
            fetch(named.mirror() + remote, found.path(remote), sha256, progress)
    elif not named.is_downloaded(found):
        raise DatasetError(
            f"{name} is not on this machine; fetch it first with: lnfgen preprocess {name} --download "
            f"(or put {', '.join(path.name for path in paths)} into {paths[0].parent} by hand)"
        )
    if paths:
        return prepare(paths, path, Options(kind=found.kind), progress, name=name)
    with new_dataset(path, name) as dataset:
        if found.kind == "music":
            add_chorales(dataset, progress)
        else:
            add_folk(dataset)
    return open_dataset(path)


def build_cached(source: Path, is_named: bool, options: Options, progress: Progress) -> Dataset:
    """Open the dataset that is made of `source`, files or the name of a dataset, and make it in the
    cache if necessary.

    A named dataset that needs a download is a `DatasetError`: only `lnfgen.preprocess` downloads.
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
        with cache_errors():
            if not files:
                return build_named(name, folder, progress)
            dataset = prepare([source], folder, options, progress, files=files)
    except OutputError:
        if is_dataset(folder):  # another process has built the same dataset meanwhile
            return open_dataset(folder)
        raise
    warn_of_losses(dataset)
    return dataset


def _key(name: str, files: Sequence[SourceFile], options: Options) -> str:
    """Hash all that decides the content of a dataset: the files and options, or else what a name
    stands for."""
    made_of: object
    if files:
        made_of = [(file.label, file.sha256) for file in files], options
    # without files music21 carries the pieces, and another version of music21 may carry others
    else:
        made_of = [*named.NAMED[name].files.values()] or importlib.metadata.version("music21")
    text = repr((FORMAT_VERSION, _VERSION, made_of))
    return hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest()[:12]


def warn_of_losses(dataset: Dataset) -> None:
    """Warn of what a dataset that has just been made lost: its remarks, and the files that were
    left out."""
    remarks = list(dataset.manifest["preprocessing"]["remarks"])
    skipped = dataset.manifest["skipped"]
    remarks += [
        f"left out: {with_name(skip['path'], skip['reason'])}" for skip in skipped[:SHOWN_LOSSES]
    ]
    if len(skipped) > SHOWN_LOSSES:
        remarks.append(
            f"left out: {len(skipped) - SHOWN_LOSSES:,} more; {dataset.path / MANIFEST} lists all"
        )
    for remark in remarks:
        warnings.warn(remark, LnfgenWarning, stacklevel=3)
