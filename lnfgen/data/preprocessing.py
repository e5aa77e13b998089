"""Make a dataset folder of files in one pass, or of a named dataset; or open one in the cache."""

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
from lnfgen.data.dataset_options import Options
from lnfgen.data.dataset_writer import new_dataset
from lnfgen.data.download import cache_errors, cache_folder, fetch
from lnfgen.data.music_dataset import add_benchmark, add_music
from lnfgen.data.source_files import SourceFile, gather
from lnfgen.data.splits import distinct, splits_by_name
from lnfgen.data.text_dataset import add_folk, add_texts
from lnfgen.errors import DatasetError, LnfgenWarning, OutputError
from lnfgen.files import real_path
from lnfgen.wording import with_name

SHOWN_LOSSES = 10  # the most files left out that `warn_of_losses` names
_VERSION = 16  # raised when lnfgen would make another dataset from the same files and options


# Each of these is an option of whoever makes a dataset.
def prepare(  # noqa: PLR0913
    sources: Sequence[Path],
    path: Path,
    options: Options | None = None,
    progress: Progress = no_progress,
    *,
    name: str | None = None,
    jobs: int | None = None,
    files: Sequence[SourceFile] | None = None,
) -> Dataset:
    """Make a dataset folder, and open it; see `lnfgen.preprocess`.

    Its name is that of the first source, unless given. `files` are those of the sources, if they
    are gathered already.
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
    opened = open_dataset(path)
    if dataset.survey.read:
        return replace(opened, survey=dataset.survey)
    return opened


def _with_splits(
    files: Sequence[SourceFile], copies: list[Record]
) -> tuple[list[SourceFile], list[Record]]:
    """The files with the splits that their names say, and records of those whose name says none.

    A record is {path, reason}. Where the names say no splits, files with the same bytes count once,
    and the others are noted in `copies`.
    """
    given = splits_by_name([file.label for file in files])
    if not given:
        labelled = ((file.label, file) for file in files)
        different = distinct(labelled, lambda file: file.sha256, "the same bytes", copies)
        return [file for _, file in different], []
    reason = "its name gives no split (train, valid, test), as most of the others' do"
    chosen: list[SourceFile] = []
    strays: list[Record] = []
    for file in files:
        if file.label in given:
            chosen.append(replace(file, split=given[file.label]))
        else:
            strays.append({"path": file.label, "reason": reason})
    return chosen, strays


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
    return (real_path(source).name if source.is_dir() else source.stem) or "dataset"


def build_named(
    name: str, path: Path, progress: Progress = no_progress, *, download: bool = False
) -> Dataset:
    """Make the dataset folder of a named dataset at `path`, and open it.

    Files that are not in the cache are a `DatasetError`, or with `download` they are fetched.
    """
    found = named.NAMED[name]
    paths = [found.path(remote) for remote in found.files]
    if download:
        for remote, known in found.files.items():
            fetch(named.mirror() + remote, found.path(remote), known, progress)
    elif not named.is_downloaded(found):
        names = ", ".join(path.name for path in paths)
        raise DatasetError(
            f"{name} is not on this machine; fetch it first with: lnfgen preprocess {name}"
            f" --download (or put {names} into {paths[0].parent} by hand)"
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
    """Open the dataset that is made of `source`, and make it in the cache if necessary.

    `source` is a file, a folder, or the name of a dataset. A named dataset that needs a download is
    a `DatasetError`: only `lnfgen.preprocess` downloads.
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
    """Hash all that decides the content of a dataset.

    These are the files and options, or what a name stands for.
    """
    made_of: object
    if files:
        made_of = [(file.label, file.sha256) for file in files], options
    elif named.NAMED[name].files:
        made_of = [known.sha256 for known in named.NAMED[name].files.values()]
    else:
        # music21 carries the pieces, and another version of music21 may carry others
        made_of = importlib.metadata.version("music21")
    text = repr((FORMAT_VERSION, _VERSION, made_of))
    return hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest()[:12]


def warn_of_losses(dataset: Dataset) -> None:
    """Warn of what a dataset that has just been made lost.

    These are its remarks, and the files that were left out.
    """
    remarks = list(dataset.manifest["preprocessing"]["remarks"])
    skipped = dataset.manifest["skipped"]
    for skip in skipped[:SHOWN_LOSSES]:
        remarks.append(f"left out: {with_name(skip['path'], skip['reason'])}")
    if len(skipped) > SHOWN_LOSSES:
        remarks.append(
            f"left out: {len(skipped) - SHOWN_LOSSES:,} more; {dataset.path / MANIFEST} lists all"
        )
    for remark in remarks:
        warnings.warn(remark, LnfgenWarning, stacklevel=3)
