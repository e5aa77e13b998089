"""Files of text to a dataset: read, divided into lines, tunes or chunks, divided into splits, encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

from lnfgen import text
from lnfgen.conventions import SPLITS
from lnfgen.data.encoding import Encoding
from lnfgen.data.gather import SourceFile, source_records
from lnfgen.data.options import Options
from lnfgen.data.prepared import Prepared
from lnfgen.data.splits import given_splits, split_at_random, split_counts
from lnfgen.data.storage import Record
from lnfgen.errors import DatasetError, UnreadableFileError

MAX_TUNE = 640  # characters of an ABC tune that is taken as text


def prepare_text(files: Sequence[SourceFile], name: str, options: Options) -> Prepared:
    """The dataset of these text files.

    A sequence is a chunk (under `options.chunks`), a tune (where all files are ABC), or else a line.

    Raises:
        DatasetError: if no file can be read, or nothing is left to train on.
        UnreadableFileError: under `options.strict`, for the first file that cannot be read.
    """
    unreadable: list[Record] = []
    readable: list[SourceFile] = []
    contents: list[str] = []
    for file in files:
        try:
            contents.append(text.read_text(file.path))
            readable.append(file)
        except UnreadableFileError as error:
            if options.strict:
                raise
            unreadable.append({"path": file.label, "reason": str(error)})
    if not contents:
        raise DatasetError(f"none of the {len(files)} files of {name} is readable text: {unreadable[0]['reason']}")
    if options.chunks:
        max_length = options.max_length or text.MAX_LINE
        sequences = [text.chunks(content, max_length) for content in contents]
    elif all(file.suffix == ".abc" for file in readable):
        max_length = options.max_length or MAX_TUNE
        sequences = [text.abc_tunes(content) for content in contents]
    else:
        max_length = options.max_length or text.MAX_LINE
        sequences = [text.lines(content) for content in contents]

    given, strays = given_splits([file.label for file in readable])
    left_out = [*unreadable, *strays]
    if given:
        splits = {split: [item for index in indices for item in sequences[index]] for split, indices in given.items()}
    else:
        splits = _divide([item for items in sequences for item in items], options)
    return encode_texts(
        name,
        splits,
        max_length,
        sources=source_records(files, left_out),
        skipped=left_out,
        options=asdict(options) | {"kind": "text", "max_length": max_length} | ({"split": None} if given else {}),
    )


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
            "give more text, another --split or a larger --max-length"
        )
    encoding = Encoding(kind="text", vocabulary=text.fit_vocabulary(kept["train"]))
    encoded = {split: [encoding.encode(item) for item in kept[split]] for split in SPLITS}
    return Prepared(name, encoding, encoded, dropped, sources, skipped, options)


def _divide(items: list[str], options: Options) -> dict[str, list[str]]:
    """The sequences divided among the splits: lines and tunes at random, chunks as three stretches of the text.

    A chunk continues the one before it. Divided at random, test would hold the continuations of training chunks.
    """
    if options.chunks:
        counts = split_counts(len(items), options.split)
        following = iter(items)
        return {split: list(islice(following, count)) for split, count in zip(SPLITS, counts, strict=True)}
    assigned = split_at_random(len(items), options.split, options.seed)
    return {split: [items[index] for index in indices] for split, indices in assigned.items()}
