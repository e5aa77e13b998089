"""From files to a dataset folder in one pass: find the files, tell their kind, and read them as that kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from lnfgen.conventions import Kind, Progress, no_progress
from lnfgen.data import benchmarks
from lnfgen.data.dataset import Dataset, Record, open_dataset
from lnfgen.data.prepared import new_dataset
from lnfgen.data.rolls import add_benchmark, add_music
from lnfgen.data.sources import Options, SourceFile, gather
from lnfgen.data.splits import distinct, splits_by_name
from lnfgen.data.texts import add_texts
from lnfgen.errors import DatasetError


def prepare(
    sources: Sequence[Path],
    path: Path,
    options: Options | None = None,
    progress: Progress = no_progress,
    *,
    name: str | None = None,
    files: Sequence[SourceFile] | None = None,
    jobs: int | None = None,
) -> Dataset:
    """Make a dataset folder at `path` from files and folders, and open it. If something fails, nothing is left there.

        prepare([Path("songs")], Path("songs-dataset"), Options(max_length=128))

    Args:
        name: of the dataset; None: that of the first source.
        files: what `gather` has found in the sources, if it has been asked already.
        jobs: how many processes read files of music; None: as many as there are processors, but no more than 16.

    Raises:
        DatasetError: if nothing can be read, music and text are mixed, an option is for the other kind, or nothing is
            left to train on.
        OutputError: if `path` holds something or cannot be written.
        UnreadableFileError: under `options.strict`, for the first file that cannot be read.
    """
    options = options or Options()
    files = gather(sources, options.kind) if files is None else files
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
    return open_dataset(path)


def _with_splits(files: Sequence[SourceFile], copies: list[Record]) -> tuple[list[SourceFile], list[Record]]:
    """The files with the splits that their names say, and {path, reason} of those whose name says none.

    Where the names say no splits, files with the same bytes count once, and the others are noted in `copies`.
    """
    given = splits_by_name([file.label for file in files])
    if not given:
        labelled = ((file.label, file) for file in files)
        return [file for _, file in distinct(labelled, lambda file: file.sha256, "the same bytes", copies)], []
    reason = "its name gives no split (train, valid, test), as most of the others' do"
    strays: list[Record] = [{"path": file.label, "reason": reason} for file in files if file.label not in given]
    return [replace(file, split=given[file.label]) for file in files if file.label in given], strays


def _only_kind(files: Sequence[SourceFile]) -> Kind:
    kinds = {file.kind: file.path.name for file in reversed(files)}
    if len(kinds) > 1:
        found = f"found both music ({kinds['music']}) and text ({kinds['text']})"
        raise DatasetError(f"{found}; expected one kind; preprocess with --as music or --as text (in Python kind=)")
    return files[0].kind


def source_name(source: Path) -> str:
    """The name of a dataset that is made from this file or folder."""
    source = Path(source)
    name = source.resolve().name if source.is_dir() else source.stem
    return name or "dataset"
