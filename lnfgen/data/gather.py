"""A person's own files: the options that shape a dataset of them, which files are read, and music
or text."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar, get_args

from lnfgen.conventions import Kind
from lnfgen.data import benchmarks
from lnfgen.data.dataset import Record, is_dataset
from lnfgen.errors import DatasetError, LnfgenError, UnreadableFileError
from lnfgen.files import sha256_of
from lnfgen.formats.read_write import READABLE
from lnfgen.formats.rolltext import MARK
from lnfgen.formats.text import require_readable
from lnfgen.music.parts import AUTO, wanted_roles
from lnfgen.music.pianoroll import STEPS_PER_QUARTER
from lnfgen.music.tracks import ALL
from lnfgen.wording import counted

_Piece = TypeVar("_Piece")
_TEXTS = (".txt", ".text", ".md", ".abc")


@dataclass(frozen=True)
class Options:
    """How files become a dataset. A value out of range is an `LnfgenError`."""

    kind: Kind | None = None  # None: as the suffixes of the files say
    # The longest sequence. Music is cut at bar lines to this many steps (None: 256). Lines of text
    # with more characters are dropped (None: 288, or 640 for ABC tunes taken as text). Benchmark
    # sets are never cut.
    max_length: int | None = None
    # cut text into pieces of `max_length` characters, instead of one sequence a line
    chunks: bool = False
    # not used where the names of the files say the splits
    split: tuple[float, float, float] = (0.8, 0.1, 0.1)
    # of the random split by these shares; fewer pieces than splits are each split in time instead
    seed: int = 0
    steps_per_quarter: int = STEPS_PER_QUARTER  # the grid that MIDI files and scores are rounded to
    strict: bool = False  # stop at the first file that cannot be read, instead of skipping it
    # those of MIDI files and parts of scores to merge into a piano-roll, as `lnfgen.read` takes
    # them
    tracks: str = ALL
    # of a band, as `lnfgen.read` takes them; auto: up to 4, where files have drums or name a melody
    parts: str = AUTO

    def __post_init__(self) -> None:
        if (
            len(self.split) != 3
            or not all(0 <= share <= 1 for share in self.split)
            or abs(sum(self.split) - 1) > 1e-6
        ):
            raise LnfgenError(
                f"shares {self.split} of train, valid and test; expected three that add up to 1"
            )
        if self.kind not in (None, *get_args(Kind)):
            raise LnfgenError(
                f"the kind {self.kind!r}; expected one of {', '.join(get_args(Kind))}"
            )
        if not 0 <= self.seed < 2**63:
            raise LnfgenError(f"a seed of {self.seed}; expected a whole number from 0 to 2^63 - 1")
        if self.split[0] == 0:
            raise LnfgenError("a share of 0 for train; expected more than 0, to train on something")
        if self.max_length is not None and self.max_length < 1:
            raise LnfgenError(f"a maximal length of {self.max_length}; expected at least 1")
        if self.parts != AUTO:
            wanted_roles(self.parts)
        if not 1 <= self.steps_per_quarter <= 960:
            raise LnfgenError(f"{self.steps_per_quarter} steps per quarter; expected 1 to 960")

    def require_fitting(self, kind: Kind) -> None:
        """Raise a `DatasetError` if an option is given that has no effect on files of this kind."""
        for name in ("steps_per_quarter", "tracks", "parts") if kind == "text" else ("chunks",):
            if getattr(self, name) != getattr(Options, name):
                other = "music" if kind == "text" else "text"
                option = f"--{name.replace('_', '-')} out (in Python {name}=)"
                raise DatasetError(f"the files are {kind}; leave {option}, which is for {other}")


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
        """The pieces in it, each with a label of its own: that of the file, with a number if there
        are several."""
        if len(pieces) == 1:
            return [(self.label, pieces[0])]
        return [(f"{self.label} #{number}", piece) for number, piece in enumerate(pieces, start=1)]

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of its bytes; its path where it cannot be read, so that it is like no other
        file."""
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
    """The files to read, in an order that is the same each time. A folder stands for the readable
    files below it.

    The kind "text" also admits other suffixes. A source that is missing, a dataset or empty is a
    `DatasetError`.
    """
    files: list[SourceFile] = []
    known = (*READABLE, *benchmarks.SUFFIXES)
    for source in map(Path, sources):
        if is_dataset(source):
            raise DatasetError(
                f"{source} is a dataset already; use it as it is: lnfgen train {source}"
            )
        if source.is_dir():
            # Where several folders are given, their own names may be splits, as in `preprocess
            # train valid test`.
            prefix = f"{source.resolve().name}/" if len(sources) > 1 else ""
            for path in _in_folder(source, kind):
                files.append(SourceFile(path, prefix + path.relative_to(source).as_posix()))
        elif not source.is_file():
            found = "is a pipe or a device" if source.exists() else "does not exist"
            raise DatasetError(f"{source} {found}; expected files, folders, or a dataset's name")
        elif source.suffix.lower() not in known and kind != "text":
            expected = f"expected one of {' '.join(known)}; preprocess any other text with --as text (in Python kind=)"
            raise DatasetError(f"{source} has an unknown suffix {source.suffix!r}; {expected}")
        else:
            files.append(SourceFile(source, source.name))
    return list({file.path.resolve(): file for file in files}.values())


def _in_folder(folder: Path, kind: str | None) -> list[Path]:
    """The files in a folder to read: music and texts; else, where it holds one benchmark set alone,
    that one."""
    inside = sorted(
        path
        for path in folder.rglob("*")
        # Readers refuse devices, named pipes and broken links, with a reason.
        if (path.is_file() or (path.suffix and not path.is_dir()))
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    suffixes = _TEXTS if kind == "text" else READABLE
    chosen = [path for path in inside if path.suffix.lower() in suffixes]
    if chosen or (kind == "text" and inside):
        return chosen or inside
    sets = [path for path in inside if path.suffix.lower() in benchmarks.SUFFIXES]
    if len(sets) == 1:
        return sets
    found = counted(len(inside), "other file") if inside else "nothing"
    hint = f", or name one of its benchmark sets, as {sets[0]}" if sets else ""
    raise DatasetError(f"{folder} holds {found}; expected files of {' '.join(READABLE)}{hint}")
