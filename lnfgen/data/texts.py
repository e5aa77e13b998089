"""Files of text to a dataset: read, divided into lines, tunes or chunks, divided into splits, encoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lnfgen import text
from lnfgen.conventions import SPLITS
from lnfgen.data.copies import without_copies
from lnfgen.data.encoding import Encoding
from lnfgen.data.gather import SourceFile, source_records
from lnfgen.data.options import Options
from lnfgen.data.prepared import Prepared
from lnfgen.data.splits import num_splits, split_at_random, split_in_order
from lnfgen.data.storage import Record
from lnfgen.errors import DatasetError, UnreadableFileError

MAX_TUNE = 640  # characters of an ABC tune that is taken as text


def prepare_text(files: Sequence[SourceFile], name: str, options: Options) -> Prepared:
    """The dataset of these text files.

    A sequence is a chunk (under `options.chunks`), a tune (where all files are ABC), or else a line. Where the files do
    not say their splits, tunes and lines are split at random. Tunes that differ in their number alone count once. Lines
    do not: how often a line comes is a part of what a model of prose learns, and published sets repeat lines too.

    Raises:
        DatasetError: if no file can be read, or nothing is left to train on.
    """
    contents, unreadable = _read_all(files)
    if not contents:
        raise DatasetError(f"none of the {len(files)} files of {name} is readable text: {unreadable[0]['reason']}")
    tunes = not options.chunks and all(file.suffix == ".abc" for file, _ in contents)
    max_length = options.max_length or (MAX_TUNE if tunes else text.MAX_LINE)

    def cut(content: str) -> list[str]:
        if options.chunks:
            return text.chunks(content, max_length)
        return text.abc_tunes(content) if tunes else text.lines(content)

    copies: list[Record] = []
    if files[0].split is not None:
        splits = {
            split: [item for file, content in contents if file.split == split for item in cut(content)]
            for split in SPLITS
        }
    elif options.chunks:
        splits = _chunks_in_order([content for _, content in contents], cut, options.split)
    else:
        items = [item for file, content in contents for item in file.labelled(cut(content))]
        if tunes:
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
        raise DatasetError(
            f"{name} leaves no sequence to train on ({dropped['train']} dropped for their length); "
            "give more text, or preprocess it with another --split or a larger --max-length"
        )
    encoding = Encoding(kind="text", vocabulary=text.fit_vocabulary(kept["train"]))
    encoded = {split: [encoding.encode(item) for item in kept[split]] for split in SPLITS}
    return Prepared(name, encoding, encoded, sources, options, skipped, dropped)


def _read_all(files: Sequence[SourceFile]) -> tuple[list[tuple[SourceFile, str]], list[Record]]:
    """The content of each file that can be read, and why the others cannot."""
    contents: list[tuple[SourceFile, str]] = []
    unreadable: list[Record] = []
    for file in files:
        try:
            contents.append((file, text.read_text(file.path)))
        except UnreadableFileError as error:
            unreadable.append({"path": file.label, "reason": str(error)})
    return contents, unreadable


def _chunks_in_order(
    contents: Sequence[str], cut: Callable[[str], list[str]], shares: Sequence[float]
) -> dict[str, list[str]]:
    """The chunks divided among the splits as three stretches of the texts.

    A chunk continues the one before it. Divided at random, test would hold the continuations of training chunks. Where
    there are fewer chunks than splits, each text is divided before it is cut into chunks.
    """
    chunks = [chunk for content in contents for chunk in cut(content)]
    if len(chunks) >= num_splits(shares):
        return {split: chunks[part] for split, part in split_in_order(len(chunks), shares).items()}
    parts = [(content, split_in_order(len(content), shares)) for content in contents]
    return {split: [chunk for content, part in parts for chunk in cut(content[part[split]])] for split in SPLITS}
