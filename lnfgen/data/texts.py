"""Files of text to a dataset: read, divided into lines, tunes or chunks, divided into splits, encoded."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lnfgen.conventions import SPLITS
from lnfgen.data.division import distinct, num_splits, split_at_random, split_by_hash, split_in_order
from lnfgen.data.encoding import Encoding
from lnfgen.data.gather import Options, SourceFile
from lnfgen.data.prepared import DatasetWriter
from lnfgen.errors import DatasetError, UnreadableFileError
from lnfgen.files import sha256_of
from lnfgen.formats import text
from lnfgen.formats.sandbox import in_parallel

_BOOKS = ("ryansMammoth", "oneills1850")  # folders of music21's corpus
MAX_TUNE = 640  # characters of an ABC tune that is taken as text
_TOGETHER = 4096  # texts that are encoded at once


def add_texts(dataset: DatasetWriter, files: Sequence[SourceFile], options: Options) -> None:
    """Fill a dataset from text files, which are held in memory.

    A sequence is a chunk (under `options.chunks`), a tune (where all files are ABC), or else a line. Where the files do
    not say their splits, tunes and lines are split at random. Tunes that differ in their number alone count once. Lines
    do not: how often a line comes is a part of what a model of prose learns, and published sets repeat lines too.
    """
    tunes = not options.chunks and all(file.suffix == ".abc" for file in files)
    max_length = options.max_length or (MAX_TUNE if tunes else text.MAX_LINE)
    dataset.options |= {"kind": "text", "max_length": max_length}

    def divided(content: str) -> list[str]:
        if options.chunks:
            return text.chunks(content, max_length)
        return text.abc_tunes(content) if tunes else text.lines(content)

    texts = in_parallel(text.read_text, [file.path for file in files], "reading", jobs=1)
    contents = dataset.readable(zip(files, texts, strict=True), "text")
    if files[0].split is not None:
        splits: dict[str, list[str]] = {split: [] for split in SPLITS}
        for file, content in contents:
            splits[file.split or "train"] += divided(content)
    elif options.chunks:
        splits = _chunks_in_order([content for _, content in contents], max_length, options.split)
    elif tunes:
        labelled = (item for file, content in contents for item in file.labelled(divided(content)))
        different = distinct(labelled, lambda tune: tune.partition("\n")[2], "the same tune", dataset.copies)
        splits = split_at_random([tune for _, tune in different], options.split, options.seed)
    else:
        lines = [line for _, content in contents for line in divided(content)]
        splits = split_at_random(lines, options.split, options.seed)
    encode_texts(dataset, splits, max_length)


def add_folk(dataset: DatasetWriter) -> None:
    """Fill `folk-abc`: the split of each tune is fixed by a hash of its file's name and its number in the file."""
    spec = importlib.util.find_spec("music21")  # importing it would take seconds, and its code is not needed here
    assert spec is not None
    corpus = Path(str(spec.origin)).parent / "corpus"
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for path in sorted(path for book in _BOOKS for path in (corpus / book).glob("*.abc")):
        label = f"{path.parent.name}/{path.name}"
        dataset.sources.append({"path": label, "sha256": sha256_of(path)})
        try:
            content = text.read_text(path)
        except UnreadableFileError:  # some of the files are older than UTF-8
            content = path.read_bytes().decode("latin-1")
        for number, tune in enumerate(text.abc_tunes(content)):
            splits[split_by_hash(f"{label} {number}")].append(tune)
    if not dataset.sources:
        raise DatasetError(f"{corpus} holds no ABC tunes; reinstall music21: pip install --force-reinstall music21")
    dataset.options = {"kind": "text", "max_length": MAX_TUNE, "split": "by hash of file and number of the tune"}
    encode_texts(dataset, splits, MAX_TUNE)


def encode_texts(dataset: DatasetWriter, splits: Mapping[str, list[str]], max_length: int) -> None:
    """Add the texts that have at most `max_length` characters; the vocabulary is that of train."""
    for split in SPLITS:
        kept = [item for item in splits[split] if 0 < len(item) <= max_length]
        dataset.dropped[split] = len(splits[split]) - len(kept)
        if split == "train":
            dataset.encoding = Encoding(kind="text", vocabulary=text.fit_vocabulary(kept))
        for start in range(0, len(kept), _TOGETHER):
            part = kept[start : start + _TOGETHER]
            values = dataset.encoding.encode("".join(part))
            for own in np.split(values, np.cumsum([*map(len, part)])[:-1]):
                dataset.add(split, own)


def _chunks_in_order(contents: Sequence[str], max_length: int, shares: Sequence[float]) -> dict[str, list[str]]:
    """The chunks of the texts, divided in order: at random, test would hold the continuations of training chunks.

    Where there are fewer chunks than splits, each text is divided before it is cut into chunks.
    """
    chunks = [chunk for content in contents for chunk in text.chunks(content, max_length)]
    if len(chunks) >= num_splits(shares):
        return {split: chunks[part] for split, part in split_in_order(len(chunks), shares).items()}
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for content in contents:
        for split, part in split_in_order(len(content), shares).items():
            splits[split] += text.chunks(content[part], max_length)
    return splits
