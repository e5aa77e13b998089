"""A person's own files: which of them are read, and whether they hold music or text."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from lnfgen.conventions import Kind
from lnfgen.data import benchmarks
from lnfgen.data.dataset import Record, is_dataset
from lnfgen.errors import DatasetError, UnreadableFileError
from lnfgen.files import real_path, sha256_of
from lnfgen.formats.read_write import READABLE
from lnfgen.formats.rolltext import MARK
from lnfgen.formats.text import require_readable
from lnfgen.wording import counted

_Piece = TypeVar("_Piece")
_TEXTS = (".txt", ".text", ".md", ".abc")


@dataclass(frozen=True)
class SourceFile:
    """A file to read."""

    path: Path
    label: str  # its name in `dataset.json`: its path within the folder that was given, or its name
    # the split that its name says, where the names of the files give the splits
    split: str | None = None

    @property
    def suffix(self) -> str:
        return self.path.suffix.lower()

    def labelled(self, pieces: Sequence[_Piece]) -> list[tuple[str, _Piece]]:
        """The pieces in it, each with a label: that of the file, and of several a number."""
        if len(pieces) == 1:
            return [(self.label, pieces[0])]
        return [(f"{self.label} #{number}", piece) for number, piece in enumerate(pieces, start=1)]

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of its bytes; its path if it cannot be read, so that it is like no other."""
        try:
            require_readable(self.path)
            return sha256_of(self.path)
        except (OSError, UnreadableFileError):
            return str(self.path)

    @property
    def record(self) -> Record:
        """{path, sha256} for `dataset.json`."""
        return {"path": self.label, "sha256": self.sha256}

    @property
    def kind(self) -> Kind:
        """The kind that the suffix says; a `.txt` is music if it starts as a piano-roll does."""
        if self.suffix in READABLE and self.suffix != ".txt":
            return "music"
        try:
            require_readable(self.path)
            with open(self.path, "rb") as file:
                start = file.read(len(codecs.BOM_UTF8) + len(MARK)).removeprefix(codecs.BOM_UTF8)
            return "music" if start.startswith(MARK.encode()) else "text"
        except (OSError, UnreadableFileError):
            return "text"


def gather(sources: Sequence[Path], kind: str | None = None) -> list[SourceFile]:
    """The files to read, in an order that is the same each time.

    A folder stands for the readable files below it. The kind "text" also admits other suffixes.

    Raises:
        DatasetError: if a source is missing, a dataset, or empty.
    """
    files: list[SourceFile] = []
    for source in map(Path, sources):
        if is_dataset(source):
            raise DatasetError(
                f"{source} is a dataset already; use it as it is: lnfgen train {source}"
            )
        if source.is_dir():
            # Where several folders are given, their own names may be splits, as in `preprocess
            # train valid test`.
            prefix = f"{real_path(source).name}/" if len(sources) > 1 else ""
            for path in _in_folder(source, kind):
                files.append(SourceFile(path, prefix + path.relative_to(source).as_posix()))
        else:
            _require_source_file(source, kind)
            files.append(SourceFile(source, source.name))
    return list({real_path(file.path): file for file in files}.values())


def _require_source_file(source: Path, kind: str | None) -> None:
    """Refuse what is no file, or has an unknown suffix."""
    if not source.is_file():
        found = "is a pipe or a device" if source.exists() else "does not exist"
        raise DatasetError(f"{source} {found}; expected files, folders, or a dataset's name")
    known = (*READABLE, *benchmarks.SUFFIXES)
    if source.suffix.lower() not in known and kind != "text":
        raise DatasetError(
            f"{source} has an unknown suffix {source.suffix!r}; expected one of {' '.join(known)};"
            " preprocess any other text with --as text (in Python kind=)"
        )


def _in_folder(folder: Path, kind: str | None) -> list[Path]:
    """The files in a folder to read: music and texts.

    Where it holds no others, and one benchmark set alone, it is that one.
    """
    inside = sorted(path for path in folder.rglob("*") if _is_taken(path, folder))
    suffixes = _TEXTS if kind == "text" else READABLE
    chosen = [path for path in inside if path.suffix.lower() in suffixes]
    if chosen:
        return chosen
    if kind == "text" and inside:
        return inside
    sets = [path for path in inside if path.suffix.lower() in benchmarks.SUFFIXES]
    if len(sets) == 1:
        return sets
    found = counted(len(inside), "other file") if inside else "nothing"
    hint = f", or name one of its benchmark sets, as {sets[0]}" if sets else ""
    raise DatasetError(f"{folder} holds {found}; expected files of {' '.join(READABLE)}{hint}")


def _is_taken(path: Path, folder: Path) -> bool:
    """True for a file below the folder that is not hidden.

    Devices, named pipes and broken links count as files: readers refuse them, with a reason.
    """
    if any(part.startswith(".") for part in path.relative_to(folder).parts):
        return False
    return path.is_file() or (path.suffix != "" and not path.is_dir())
