"""From files to a dataset that can be written: find the files, tell their kind, and read them as that kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from lnfgen.conventions import Kind, Progress, no_progress
from lnfgen.data import benchmarks
from lnfgen.data.copies import without_copies
from lnfgen.data.dataset import Record
from lnfgen.data.options import Options
from lnfgen.data.prepared import Prepared
from lnfgen.data.rolls import prepare_benchmark, prepare_music
from lnfgen.data.sources import SourceFile, gather
from lnfgen.data.splits import splits_by_name
from lnfgen.data.texts import prepare_text
from lnfgen.data.workplace import Workplace
from lnfgen.errors import DatasetError, UnreadableFileError


def prepare(
    sources: Sequence[Path],
    options: Options,
    progress: Progress = no_progress,
    *,
    name: str | None = None,
    files: Sequence[SourceFile] | None = None,
    place: Workplace | None = None,
    jobs: int | None = None,
) -> Prepared:
    """Read files and folders, as a dataset that is ready to be written.

        prepare([Path("songs")], Options(max_length=128)).write(Path("songs-dataset"))

    Args:
        name: of the dataset; None: that of the first source.
        files: what `gather` has found in the sources, if it has been asked already.
        place: keeps what has been read of music, for another try after a kill; None: a temporary folder.
        jobs: how many processes read files of music; None: as many as there are processors, but no more than 16.

    Raises:
        DatasetError: if nothing can be read, music and text are mixed, an option is for the other kind, or no text is
            left to train on.
        UnreadableFileError: under `options.strict`, for the first file that cannot be read.
    """
    files = gather(sources, options.kind) if files is None else files
    name = name or source_name(sources[0])
    if options.kind != "text" and any(file.suffix in benchmarks.SUFFIXES for file in files):
        prepared = prepare_benchmark(files, name)
        return replace(prepared, options={**asdict(options), **prepared.options})
    kind = options.kind or _only_kind(files)
    options.require_fitting(kind)
    strays: list[Record] = []
    copies: list[Record] = []
    given = splits_by_name([file.label for file in files])
    if given:
        reason = "its name gives no split (train, valid, test), as most of the others' do"
        strays = [{"path": file.label, "reason": reason} for file in files if file.label not in given]
        files = [replace(file, split=given[file.label]) for file in files if file.label in given]
    else:
        labelled = [(file.label, file) for file in files]
        distinct, copies = without_copies(labelled, lambda file: file.sha256, "the same bytes")
        files = [file for _, file in distinct]
    if kind == "music":
        prepared = prepare_music(files, name, options, progress, place=place or Workplace(), jobs=jobs)
    else:
        prepared = prepare_text(files, name, options)
    if options.strict and prepared.skipped:
        path, reason = prepared.skipped[0]["path"], prepared.skipped[0]["reason"]
        raise UnreadableFileError(reason if path in reason else f"{path}: {reason}")
    return replace(
        prepared,
        skipped=[*strays, *prepared.skipped],
        copies=[*copies, *prepared.copies],
        options={**asdict(options), **({"split": None} if given else {}), **prepared.options},
    )


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
