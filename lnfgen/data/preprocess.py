"""From files to a dataset in memory: find the files, tell their kind, and read them as that kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lnfgen.data import benchmarks
from lnfgen.data.copies import without_copies
from lnfgen.data.gather import gather
from lnfgen.data.options import Options
from lnfgen.data.parallel import Progress, no_progress
from lnfgen.data.prepared import Prepared
from lnfgen.data.rolls import prepare_benchmark, prepare_music
from lnfgen.data.splits import splits_by_name
from lnfgen.data.storage import Record
from lnfgen.data.texts import prepare_text
from lnfgen.errors import DatasetError


def prepare(
    sources: Sequence[Path], options: Options, progress: Progress = no_progress, *, name: str | None = None
) -> Prepared:
    """Read files and folders into memory, as a dataset that is ready to be written.

        prepare([Path("songs")], Options(max_length=128)).write(Path("songs-dataset"))

    Args:
        name: of the dataset; None: that of the first source.

    Raises:
        DatasetError: if nothing can be read, music and text are mixed, or no text is left to train on.
        UnreadableFileError: under `options.strict`, for the first file that cannot be read.
    """
    files = gather(sources, options.kind)
    name = name or source_name(sources[0])
    kind = options.kind
    if files[0].suffix in benchmarks.SUFFIXES and kind != "text":
        return prepare_benchmark(files, name, options)
    if kind is None:
        kinds = {file.kind: file.path.name for file in reversed(files)}
        if len(kinds) > 1:
            found = f"found both music ({kinds['music']}) and text ({kinds['text']})"
            raise DatasetError(f"{found}; expected one kind; say which with --as music or --as text")
        [kind] = kinds
    given = splits_by_name([file.label for file in files])
    left_out: list[Record]
    if given:
        reason = "its name gives no split (train, valid, test), as most of the others' do"
        left_out = [{"path": file.label, "reason": reason} for file in files if file.label not in given]
        files = [file for file in files if file.label in given]
    else:
        labelled = [(file.label, file) for file in files]
        distinct, left_out = without_copies(labelled, lambda file: file.sha256, "the same bytes")
        files = [file for _, file in distinct]
    if kind == "music":
        return prepare_music(files, name, options, given, left_out, progress)
    return prepare_text(files, name, options, given, left_out)


def source_name(source: Path) -> str:
    """The name of a dataset that is made from this file or folder."""
    source = Path(source)
    name = source.resolve().name if source.is_dir() else source.stem
    return name or "dataset"
