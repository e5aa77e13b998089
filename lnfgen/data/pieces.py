"""Pieces of music to measure, from files, folders and datasets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lnfgen.conventions import Progress, no_progress
from lnfgen.data import benchmarks
from lnfgen.data.dataset import Dataset, is_dataset
from lnfgen.data.resolve import resolve
from lnfgen.data.rolls import read_rolls
from lnfgen.data.sources import gather
from lnfgen.errors import DatasetError, LnfgenError
from lnfgen.formats.sandbox import in_parallel
from lnfgen.music.pianoroll import STEPS_PER_QUARTER, PianoRoll
from lnfgen.wording import counted

MusicSource = str | Path | Dataset | Iterable[PianoRoll]


@dataclass(frozen=True)
class Music:
    """Pieces of music, at least one.

    Attributes:
        train: the pieces of the train split, where `pieces` are another split.
        left_out: a sentence on the files that could not be read; empty if there are none.
    """

    pieces: Sequence[PianoRoll]
    train: Sequence[PianoRoll] | None = None
    left_out: str = ""


def open_both(
    samples: MusicSource, reference: MusicSource, split: str, progress: Progress = no_progress
) -> tuple[Music, Music]:
    """The music of two sources, as for `open_music`; files of the samples are rounded to the grid of the reference."""
    second = open_music(reference, split, STEPS_PER_QUARTER, progress)
    return open_music(samples, split, second.pieces[0].steps_per_quarter, progress), second


def open_music(source: MusicSource, split: str, steps_per_quarter: int, progress: Progress = no_progress) -> Music:
    """The music that `source` means: pieces, a file or folder of music, or a split of a dataset.

    Files are read whole, and nothing is left out but files that cannot be read. A benchmark file is a dataset.

    Args:
        split: which split of a dataset. The pieces of train come along with another one.
        steps_per_quarter: the grid that MIDI files and scores are rounded to.

    Raises:
        DatasetError: if there is no music, or no such dataset or split.
    """
    if isinstance(source, Dataset):
        return _of_dataset(source, split)
    if not isinstance(source, str | Path):
        if not (pieces := list(source)):
            raise DatasetError("found no pieces; expected at least one piano-roll")
        return Music(pieces)
    path = Path(source)
    if is_dataset(path) or not path.exists():
        return _of_dataset(resolve(source, progress), split)
    files = gather([path])
    if files[0].suffix in benchmarks.SUFFIXES:
        return _of_dataset(resolve(source, progress), split)
    read = partial(read_rolls, steps_per_quarter=steps_per_quarter)
    results = list(in_parallel(read, [file.path for file in files], f"reading {path.name}", progress))
    rolls = [roll for result in results if not isinstance(result, LnfgenError) for roll in result]
    reasons = [result for result in results if isinstance(result, LnfgenError)]
    if not rolls:
        raise DatasetError(f"{path} holds no readable music: {reasons[0]}")
    found = f"{path}: left out {len(reasons)} of {counted(len(files), 'file')}"
    return Music(rolls, left_out=f"{found}; the first: {reasons[0]}" if reasons else "")


def _of_dataset(dataset: Dataset, split: str) -> Music:
    if dataset.encoding.kind != "music":
        raise DatasetError(f"{dataset.path} holds text; expected a dataset of music")
    pieces, train = (
        [piece for piece in dataset.pieces(name) if isinstance(piece, PianoRoll)] for name in (split, "train")
    )
    return Music(pieces, None if split == "train" else train)
