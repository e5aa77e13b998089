"""Files of text to a dataset: read, divided into lines, tunes or chunks, divided into splits, encoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lnfgen.conventions import SPLITS
from lnfgen.data.copies import without_copies
from lnfgen.data.dataset import Record
from lnfgen.data.encoding import Encoding
from lnfgen.data.options import Options
from lnfgen.data.prepared import Prepared
from lnfgen.data.sequences import InMemory
from lnfgen.data.sources import SourceFile, source_records
from lnfgen.data.splits import num_splits, random_owners, split_at_random, split_counts, split_in_order
from lnfgen.data.textfiles import TextFile, TextSequences, blocks_of, find_lines, state_of
from lnfgen.errors import DatasetError, UnreadableFileError
from lnfgen.formats import text
from lnfgen.wording import counted

_Content = TypeVar("_Content")

MAX_TUNE = 640  # characters of an ABC tune that is taken as text


def prepare_text(files: Sequence[SourceFile], name: str, options: Options) -> Prepared:
    """The dataset of these text files.

    A sequence is a chunk (under `options.chunks`), a tune (where all files are ABC), or else a line. Where the files do
    not say their splits, tunes and lines are split at random. Tunes that differ in their number alone count once. Lines
    do not: how often a line comes is a part of what a model of prose learns, and published sets repeat lines too.

    Tunes are read into memory. Of a line or chunk only its place is kept (17 bytes); `write` reads the files again.

    Raises:
        DatasetError: if no file can be read, or nothing is left to train on.
    """
    if not options.chunks and all(file.suffix == ".abc" for file in files):
        return _prepare_tunes(files, name, options)
    max_length = options.max_length or text.MAX_LINE
    states = {file.path: state_of(file.path) for file in files}
    if options.chunks:
        found, unreadable = _read_all(files, name, _whole)
        where, owners = _chunks_in_order(found, max_length, options.split)
    else:
        found, unreadable = _read_all(files, name, find_lines)
        where = [lines for _, lines in found]
        total = sum(map(len, where))
        random = random_owners(total, options.split, options.seed)
        owners = np.split(random, np.cumsum([*map(len, where)])[:-1])
    if files[0].split is not None:
        owners = [
            np.full(len(lines), SPLITS.index(file.split), np.int8)
            for (file, _), lines in zip(found, where, strict=True)
        ]
    dropped = _drop_long(where, owners, max_length)
    if not any((owner == 0).any() for owner in owners):
        raise _nothing_left(name, dropped["train"], lines=not options.chunks)
    sequences = TextSequences(
        [
            TextFile(file.path, lines, owner, states[file.path])
            for (file, _), lines, owner in zip(found, where, owners, strict=True)
        ]
    )
    sources, made = source_records(file for file, _ in found), {"kind": "text", "max_length": max_length}
    return Prepared(name, sequences.encoding, sequences, sources, made, unreadable, dropped)


def _prepare_tunes(files: Sequence[SourceFile], name: str, options: Options) -> Prepared:
    contents, unreadable = _read_all(files, name, text.read_text)
    max_length = options.max_length or MAX_TUNE
    copies: list[Record] = []
    if files[0].split is not None:
        splits = {
            split: [tune for file, content in contents if file.split == split for tune in text.abc_tunes(content)]
            for split in SPLITS
        }
    else:
        items = [item for file, content in contents for item in file.labelled(text.abc_tunes(content))]
        items, copies = without_copies(items, lambda tune: tune.partition("\n")[2], "the same tune")
        splits = split_at_random([item for _, item in items], options.split, options.seed)
    prepared = encode_texts(
        name,
        splits,
        max_length,
        sources=source_records(file for file, _ in contents),
        skipped=unreadable,
        options={"kind": "text", "max_length": max_length},
    )
    return replace(prepared, copies=copies)


def encode_texts(
    name: str,
    splits: Mapping[str, Sequence[str]],
    max_length: int,
    *,
    sources: Sequence[Record],
    skipped: Sequence[Record] = (),
    options: Mapping[str, Any],
) -> Prepared:
    """The dataset of the texts that have at most `max_length` characters; the vocabulary is that of train.

    Raises:
        DatasetError: if none is left in train.
    """
    kept = {split: [item for item in splits[split] if 0 < len(item) <= max_length] for split in SPLITS}
    dropped = {split: len(splits[split]) - len(kept[split]) for split in SPLITS}
    if not kept["train"]:
        raise _nothing_left(name, dropped["train"])
    encoding = Encoding(kind="text", vocabulary=text.fit_vocabulary(kept["train"]))
    encoded = InMemory({split: [encoding.encode(item) for item in kept[split]] for split in SPLITS})
    return Prepared(name, encoding, encoded, sources, options, skipped, dropped)


def _nothing_left(name: str, dropped: int, *, lines: bool = False) -> DatasetError:
    chunks = "--chunks, which cuts texts without lines, " if lines and dropped else ""
    return DatasetError(
        f"{name} leaves no sequence to train on ({dropped} dropped for their length); "
        f"give more text, or preprocess it with {chunks}another --split or a larger --max-length"
    )


def _read_all(
    files: Sequence[SourceFile], name: str, read: Callable[[Path], _Content]
) -> tuple[list[tuple[SourceFile, _Content]], list[Record]]:
    """What `read` gives for each file that can be read, at least one, and why the others cannot."""
    contents: list[tuple[SourceFile, _Content]] = []
    unreadable: list[Record] = []
    for file in files:
        try:
            contents.append((file, read(file.path)))
        except UnreadableFileError as error:
            unreadable.append({"path": file.label, "reason": str(error)})
    if not contents:
        raise DatasetError(f"{counted(len(files), 'file')} of {name}, none readable text: {unreadable[0]['reason']}")
    return contents, unreadable


def _drop_long(where: Sequence[np.ndarray], owners: Sequence[np.ndarray], max_length: int) -> dict[str, int]:
    """Take what is longer than that out of its split, and count for each split how many there are."""
    dropped = dict.fromkeys(SPLITS, 0)
    for lines, owner in zip(where, owners, strict=True):
        long = lines[:, 1] - lines[:, 0] > max_length
        for code, split in enumerate(SPLITS):
            dropped[split] += int((long & (owner == code)).sum())
        owner[long] = -1
    return dropped


def _chunks_in_order(
    found: Sequence[tuple[SourceFile, np.ndarray]], max_length: int, shares: Sequence[float]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The chunks of each file, and their owners: the splits are three stretches of the texts.

    A chunk continues the one before it. Divided at random, test would hold the continuations of training chunks. Where
    there are fewer chunks than splits, each text is divided before it is cut into chunks.
    """
    sizes = [int(whole[0, 1]) for _, whole in found]
    where = [_chunks(0, size, max_length) for size in sizes]
    ends = np.cumsum([*map(len, where)])
    if ends[-1] >= num_splits(shares) or found[0][0].split is not None:
        owner = np.repeat(np.arange(len(SPLITS), dtype=np.int8), split_counts(int(ends[-1]), shares))
        return where, np.split(owner, ends[:-1])
    parts = [[_chunks(part.start, part.stop, max_length) for part in split_in_order(s, shares).values()] for s in sizes]
    owners = [np.repeat(np.arange(len(SPLITS), dtype=np.int8), [*map(len, chunks)]) for chunks in parts]
    return [np.concatenate(chunks) for chunks in parts], owners


def _whole(path: Path) -> np.ndarray:
    """[1, 2]: where the text of a file begins and ends."""
    return np.array([[0, sum(map(len, blocks_of(path)))]])


def _chunks(start: int, stop: int, max_length: int) -> np.ndarray:
    """[N, 2]: where each chunk of a stretch of text begins and ends."""
    starts = np.arange(start, stop, max_length)
    return np.stack([starts, np.minimum(starts + max_length, stop)], axis=1)
