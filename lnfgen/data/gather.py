"""Find the files that a dataset is made of, and what their names say about kind and split."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lnfgen import formats
from lnfgen.conventions import SPLITS, Kind
from lnfgen.data import benchmarks
from lnfgen.data.storage import is_dataset
from lnfgen.errors import DatasetError
from lnfgen.files import sha256_of
from lnfgen.music.rolltext import MARK

_TEXTS = (".txt", ".text", ".md", ".abc")
_SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "test": "test",
}


@dataclass(frozen=True)
class SourceFile:
    """A file to read.

    Attributes:
        label: what `dataset.json` calls it: its path within the folder that was given, or its name.
    """

    path: Path
    label: str

    @property
    def kind(self) -> Kind:
        """The kind that the suffix says; a `.txt` is music if it starts as a piano-roll does."""
        suffix = self.path.suffix.lower()
        if suffix in formats.READABLE and suffix != ".txt":
            return "music"
        try:
            with open(self.path, "rb") as file:
                return "music" if file.read(len(MARK)) == MARK.encode() else "text"
        except OSError:
            return "text"

    @property
    def split(self) -> str | None:
        """The split that the name of the file or of its folder says, as in `ptb.train.txt` and `train/song.mid`."""
        parts = [*Path(self.label).parent.parts, *re.split(r"[^a-z]+", Path(self.label).stem.lower())]
        return next((_SPLIT_WORDS[part.lower()] for part in reversed(parts) if part.lower() in _SPLIT_WORDS), None)


def gather(sources: Sequence[Path], kind: str | None = None) -> list[SourceFile]:
    """The files to read, in an order that is the same each time.

        gather([Path("songs"), Path("more/song.mid")])

    Of a folder these are all files below it with a suffix that can be read.

    Args:
        kind: "text" also admits other suffixes.

    Raises:
        DatasetError: if a source does not exist, is a dataset already, or holds nothing to read.
    """
    files: list[SourceFile] = []
    for source in map(Path, sources):
        if is_dataset(source):
            raise DatasetError(f"{source} is a dataset already; use it as it is: lnfgen train {source}")
        if source.is_dir():
            # Where several folders are given, their own names may be splits, as in `preprocess train valid test`.
            prefix = f"{source.resolve().name}/" if len(sources) > 1 else ""
            files += [
                SourceFile(path, prefix + path.relative_to(source).as_posix()) for path in _in_folder(source, kind)
            ]
        elif source.exists():
            if source.suffix.lower() not in (*formats.READABLE, *benchmarks.SUFFIXES) and kind != "text":
                raise DatasetError(
                    f"{source} has an unknown suffix {source.suffix!r}; expected one of "
                    f"{' '.join((*formats.READABLE, *benchmarks.SUFFIXES))}, or --as text"
                )
            files.append(SourceFile(source, source.name))
        else:
            raise DatasetError(f"{source} does not exist; expected files, folders, or a dataset's name")
    if not files:
        raise DatasetError("no sources; expected files, folders, or a dataset's name")
    return list({file.path.resolve(): file for file in files}.values())


def given_splits(files: Sequence[SourceFile]) -> tuple[dict[str, list[int]] | None, list[int]]:
    """The splits that the names of the files say, as indices into `files`; and the indices of the files that say none.

    The first is None where the names are not meant as splits, for a song may well be called "Train". That is so if none
    says train, if none says another split, or if most say nothing.
    """
    named = [file.split for file in files]
    strays = [index for index, split in enumerate(named) if split is None]
    if "train" not in named or len(set(named) - {None}) < 2 or 2 * len(strays) > len(files):
        return None, []
    return {split: [index for index, name in enumerate(named) if name == split] for split in SPLITS}, strays


def source_records(files: Iterable[SourceFile], left_out: Sequence[Mapping[str, str]] = ()) -> list[dict[str, str]]:
    """{path, sha256} of each file, for `dataset.json`; but not of those that `left_out` has a reason for."""
    labels = {record["path"] for record in left_out}
    return [{"path": file.label, "sha256": sha256_of(file.path)} for file in files if file.label not in labels]


def stray_records(files: Iterable[SourceFile]) -> list[dict[str, str]]:
    """{path, reason} of each file that is left out because its name says no split."""
    reason = "its name gives no split (train, valid, test), as most of the others' do"
    return [{"path": label, "reason": reason} for label in dict.fromkeys(file.label for file in files)]


def _in_folder(folder: Path, kind: str | None) -> list[Path]:
    """The files in a folder to read: music and texts; else, where it holds one benchmark set alone, that one."""
    inside = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    suffixes = _TEXTS if kind == "text" else formats.READABLE
    chosen = [path for path in inside if path.suffix.lower() in suffixes]
    if kind == "text":
        chosen = chosen or inside
    if not chosen:
        sets = [path for path in inside if path.suffix.lower() in benchmarks.SUFFIXES]
        if len(sets) == 1:
            chosen = sets
        else:
            found = f"{len(inside)} other files" if inside else "nothing"
            hint = f", or name one of its benchmark sets, as {sets[0]}" if sets else ""
            raise DatasetError(f"{folder} holds {found}; expected files of {' '.join(formats.READABLE)}{hint}")
    return chosen
