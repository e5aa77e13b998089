"""From files to a dataset: which files, which kind, and then the way of that kind.

files -> gather -> prepare_music, prepare_text or prepare_benchmark -> Prepared -> a dataset folder
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lnfgen.conventions import Kind
from lnfgen.data import benchmarks
from lnfgen.data.gather import SourceFile, gather
from lnfgen.data.options import Options
from lnfgen.data.parallel import Progress, no_progress
from lnfgen.data.prepared import Prepared
from lnfgen.data.rolls import prepare_benchmark, prepare_music
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
    if files[0].path.suffix.lower() in benchmarks.SUFFIXES and options.kind != "text":
        return prepare_benchmark(files, name, options)
    if (options.kind or _kind_of(files)) == "music":
        return prepare_music(files, name, options, progress)
    return prepare_text(files, name, options)


def source_name(source: Path) -> str:
    """The name of a dataset that is made from this file or folder."""
    source = Path(source)
    name = source.resolve().name if source.is_dir() else source.stem
    return name or "dataset"


def _kind_of(files: Sequence[SourceFile]) -> Kind:
    kinds = {file.kind: file.path for file in reversed(files)}
    if len(kinds) > 1:
        raise DatasetError(
            f"found both music ({kinds['music'].name}) and text ({kinds['text'].name}); "
            "expected one kind; say which with --as music or --as text"
        )
    return next(iter(kinds))
