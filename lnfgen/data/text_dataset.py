"""Files of text to a dataset: read, divided into lines, tunes or chunks, and encoded."""

import importlib.util
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from lnfgen.conventions import SPLITS
from lnfgen.data.dataset import Record
from lnfgen.data.dataset_options import Options
from lnfgen.data.dataset_writer import DatasetWriter
from lnfgen.data.source_files import SourceFile
from lnfgen.data.splits import (
    distinct,
    num_splits,
    split_at_random,
    split_by_hash,
    split_in_order,
)
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.errors import DatasetError
from lnfgen.files import sha256_of
from lnfgen.formats import text
from lnfgen.formats.sandbox import in_parallel

_BOOKS = ("ryansMammoth", "oneills1850")  # folders of music21's corpus
MAX_TUNE = 640  # characters of an ABC tune that is taken as text
_TOGETHER = 4096  # texts that are encoded at once

_BAR = r"(?::*\|[|\]:]*|::+)"
# All fields, those that count as group 1; comments, words, decorations, grace notes, slurs.
_UNPLAYED = re.compile(
    r"(^[KLM]:(?!\|)[^%\n]*|\[[KLM]:[^\]\n]*\])"
    r"|^[A-Za-z]:(?!\|).*"
    r"|\[[A-Za-z]:[^\]\n]*\]"
    r"|%.*"
    r'|"[^"\n]*"'
    r"|![^!|\n]{1,20}!"
    r"|\{[^{}\n]*\}"
    r"|\((?!\d)"
    r"|[^\sA-Ga-gxzZ\d^_=,'/<>|:\[\]&(-]",
    re.MULTILINE,
)


def add_texts(dataset: DatasetWriter, files: Sequence[SourceFile], options: Options) -> None:
    """Fill a dataset from text files, which are held in memory.

    A sequence is a chunk (under `options.chunks`), a tune (where all files are ABC), or else a
    line. Where the files do not say their splits, tunes and lines are split at random, tunes by
    `related_tunes`. Equal lines are no copies: how often a line comes is a part of what a model of
    prose learns, and published sets repeat lines too.
    """
    are_tunes = not options.chunks and all(file.suffix == ".abc" for file in files)
    max_length = options.max_length or (MAX_TUNE if are_tunes else text.MAX_LINE)
    dataset.options |= {"kind": "text", "max_length": max_length}
    texts = in_parallel(text.read_text, [file.path for file in files], "reading", jobs=1)
    contents = dataset.readable(zip(files, texts, strict=True), "text")
    if options.chunks and files[0].split is None:
        whole = [content for _, content in contents]
        splits = _chunks_in_order(whole, max_length, options.split)
    else:
        divided: list[tuple[SourceFile, list[str]]] = []
        for file, content in contents:
            if options.chunks:
                divided.append((file, text.chunks(content, max_length)))
            elif are_tunes:
                divided.append((file, text.abc_tunes(content)))
            else:
                divided.append((file, text.lines(content)))
        if files[0].split is not None:
            splits = _as_named(divided)
        elif are_tunes:
            splits = _tunes_at_random(divided, dataset.copies, options)
        else:
            lines = list(chain.from_iterable(own for _, own in divided))
            splits = split_at_random(lines, options.split, options.seed)
    encode_texts(dataset, splits, max_length)


def _as_named(divided: Iterable[tuple[SourceFile, list[str]]]) -> dict[str, list[str]]:
    """The sequences of files that say their splits."""
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for file, sequences in divided:
        splits[file.split or "train"] += sequences
    return splits


def _tunes_at_random(
    divided: Iterable[tuple[SourceFile, list[str]]], copies: list[Record], options: Options
) -> dict[str, list[str]]:
    """The tunes of files, divided at random in groups of `related_tunes`."""
    labelled: list[tuple[str, str]] = []
    for file, tunes in divided:
        labelled += file.labelled(tunes)
    groups = split_at_random(related_tunes(labelled, copies), options.split, options.seed)
    splits: dict[str, list[str]] = {}
    for split in SPLITS:
        labelled_tunes = chain.from_iterable(groups[split])
        splits[split] = [tune for _, tune in labelled_tunes]
    return splits


def add_folk(dataset: DatasetWriter) -> None:
    """Fill `folk-abc` with plain tunes of music21's corpus.

    A hash of the file and number of its first tune fixes the split of a group.
    """
    # importing it would take seconds, and its code is not needed here
    spec = importlib.util.find_spec("music21")
    assert spec is not None
    corpus = Path(str(spec.origin)).parent / "corpus"
    paths: list[Path] = []
    for book in _BOOKS:
        paths += (corpus / book).glob("*.abc")
    tunes: list[tuple[str, str]] = []
    for path in sorted(paths):
        label = f"{path.parent.name}/{path.name}"
        dataset.sources.append({"path": label, "sha256": sha256_of(path)})
        # some of the files are older than UTF-8
        content = path.read_bytes().decode("ascii", "ignore")
        for number, tune in enumerate(text.abc_tunes(content)):
            tunes.append((f"{label} {number}", tune))
    if not dataset.sources:
        raise DatasetError(
            f"{corpus} holds no ABC tunes; reinstall music21: pip install --force-reinstall music21"
        )
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for group in related_tunes(tunes, dataset.copies):
        first_label, _ = group[0]
        splits[split_by_hash(first_label)] += [plain_tune(tune) for _, tune in group]
    dataset.options = {
        "kind": "text",
        "max_length": MAX_TUNE,
        "split": "by hash of file and number of the first tune",
    }
    encode_texts(dataset, splits, MAX_TUNE)


def plain_tune(tune: str) -> str:
    """An ABC tune as its first title, its fields M:, L: and K:, and what is played.

    It has spaces in one way alone. Names of transcribers, fingerings, slurs and grace notes teach a
    model no melody.
    """
    title = re.search(r"^T:(.*)", tune, re.MULTILINE)
    joined = re.sub(r"\\[ \t]*\n", " ", tune)  # a line with \ at its end goes on
    played = _UNPLAYED.sub(lambda found: "".join((found[1] or "").split()), joined)
    with_tight_bars = re.sub(rf"[ \t]*({_BAR})[ \t]*", r"\1", played)
    lines = [" ".join(line.split()) for line in with_tight_bars.splitlines()]
    # bar lines end lines, and begin none
    music = re.sub(r"(?:\n+(?:\|+(?![|:\]\d]))?)+", "\n", "\n".join(lines))
    return f"X:1\nT:{title[1].strip() if title else ''}\n{music.strip()}\n"


def related_tunes(
    tunes: Iterable[tuple[str, str]], copies: list[Record]
) -> list[list[tuple[str, str]]]:
    """The (label, tune) pairs without copies, in groups that share four bars in a row.

    A group is for one split. Copies have the same notes, whatever their fields are, and wherever
    their lines and bars end: two transcriptions of one tune often differ in the unit, or in the key
    by mistake. `copies` gets {path, reason} of each.
    """
    with_bars = ((label, (tune, bars_of(tune))) for label, tune in tunes)
    different = list(distinct(with_bars, _notes_of, "the same notes", copies))
    firsts: list[int] = []  # for each tune the place of the first one of its group
    seen: dict[tuple[str, ...], int] = {}  # passages, and where the last tune is that has each
    for place, (_, (_, bars)) in enumerate(different):
        passages = {tuple(bars[start : start + 4]) for start in range(len(bars) - 3)}
        related = {firsts[seen[passage]] for passage in passages & seen.keys()}
        firsts.append(min(related, default=place))
        if len(related) > 1:  # the tune joins these groups into one
            firsts = [firsts[-1] if first in related else first for first in firsts]
        seen |= dict.fromkeys(passages, place)
    groups: dict[int, list[tuple[str, str]]] = {}
    for first, (label, (tune, _)) in zip(firsts, different, strict=True):
        groups.setdefault(first, []).append((label, tune))
    return list(groups.values())


def _notes_of(tune_and_bars: tuple[str, list[str]]) -> str:
    _, bars = tune_and_bars
    return "".join(bars)


def bars_of(tune: str) -> list[str]:
    """The notes of each bar of an ABC tune."""
    notes = re.sub(r"\s", "", _UNPLAYED.sub("", tune))
    return [bar for bar in re.split(_BAR + r"(?:\[?\d[\d,-]*)?", notes) if bar]


def encode_texts(dataset: DatasetWriter, splits: Mapping[str, list[str]], max_length: int) -> None:
    """Add the texts that have at most `max_length` characters; the vocabulary is that of train."""
    kept: dict[str, list[str]] = {}
    for split in SPLITS:
        kept[split] = [item for item in splits[split] if 0 < len(item) <= max_length]
        dataset.dropped[split] = len(splits[split]) - len(kept[split])
    encoding = TextEncoding(text.fit_vocabulary(kept["train"]))
    dataset.encoding = encoding
    for split in SPLITS:
        for start in range(0, len(kept[split]), _TOGETHER):
            together = kept[split][start : start + _TOGETHER]
            values = encoding.encode("".join(together))
            ends = np.cumsum([len(item) for item in together])
            for own in np.split(values, ends[:-1]):
                dataset.add(split, own)


def _chunks_in_order(
    contents: Sequence[str], max_length: int, shares: Sequence[float]
) -> dict[str, list[str]]:
    """The chunks of the texts, divided in order.

    At random, test would hold the continuations of training chunks. Where there are fewer chunks
    than splits, each text is divided before it is cut into chunks.
    """
    chunks: list[str] = []
    for content in contents:
        chunks += text.chunks(content, max_length)
    if len(chunks) >= num_splits(shares):
        places = split_in_order(len(chunks), shares)
        return {split: chunks[places[split]] for split in SPLITS}
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for content in contents:
        for split, place in split_in_order(len(content), shares).items():
            splits[split] += text.chunks(content[place], max_length)
    return splits
