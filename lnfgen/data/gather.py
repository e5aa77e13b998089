"""Which files a dataset is made of, what kind each is, and which split its name gives it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lnfgen import formats
from lnfgen.data import benchmarks
from lnfgen.data.storage import SPLITS, is_dataset
from lnfgen.errors import DatasetError
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
    """A file, and what it is called in `dataset.json`: its path within the folder that was named, or its name."""

    path: Path
    label: str

    @property
    def kind(self) -> Literal["music", "text"]:
        """What the suffix says; of a `.txt`, whether it starts as a piano-roll does."""
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
        """The split that the file's name or its folder's gives, as in `ptb.train.txt` and `train/song.mid`."""
        parts = [*Path(self.label).parent.parts, *re.split(r"[^a-z]+", Path(self.label).stem.lower())]
        return next((_SPLIT_WORDS[part.lower()] for part in reversed(parts) if part.lower() in _SPLIT_WORDS), None)


def gather(sources: Sequence[Path], kind: str | None = None) -> list[SourceFile]:
    """The files of the sources in a fixed order; of folders, those with a suffix that can be read, however deep.

    Raises:
        DatasetError: if a source is missing, or there is nothing to read.
    """
    files: list[SourceFile] = []
    for source in map(Path, sources):
        if is_dataset(source):
            raise DatasetError(f"{source} is a dataset already; use it as it is: lnfgen train {source}")
        if source.is_dir():
            # Of several folders the name counts too: it may be a split's, as in `preprocess train valid test`.
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
    """Which files belong to which split by their names, and the strays that give none.

    None where the names are no splits: no train among them, nothing else beside it, or most files name none (a song
    may well be called Train).
    """
    named = [file.split for file in files]
    strays = [index for index, split in enumerate(named) if split is None]
    if "train" not in named or len(set(named) - {None}) < 2 or 2 * len(strays) > len(files):
        return None, []
    return {split: [index for index, name in enumerate(named) if name == split] for split in SPLITS}, strays


def _in_folder(folder: Path, kind: str | None) -> list[Path]:
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
