"""Files of text to a dataset: read, divided into lines, tunes or chunks, divided into splits,
encoded."""

import importlib.util
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from lnfgen.conventions import SPLITS
from lnfgen.data.dataset import Record
from lnfgen.data.division import (
    distinct,
    num_splits,
    split_at_random,
    split_by_hash,
    split_in_order,
)
from lnfgen.data.encoding import Encoding
from lnfgen.data.gather import Options, SourceFile
from lnfgen.data.prepared import DatasetWriter
from lnfgen.errors import DatasetError
from lnfgen.files import sha256_of
from lnfgen.formats import text
from lnfgen.formats.sandbox import in_parallel

_BOOKS = ("ryansMammoth", "oneills1850")  # folders of music21's corpus
MAX_TUNE = 640  # characters of an ABC tune that is taken as text
_TOGETHER = 4096  # texts that are encoded at once

_BAR = r"(?::*\|[|\]:]*|::+)"
# all fields, those that count as group 1; comments, words, decorations, grace notes, slurs
_UNPLAYED = re.compile(
    r"""(^[KLM]:(?!\|)[^%\n]*|\[[KLM]:[^\]\n]*\])|^[A-Za-z]:(?!\|).*|\[[A-Za-z]:[^\]\n]*\]|%.*|"[^"\n]*\""""
    r"""|![^!|\n]{1,20}!|\{[^{}\n]*\}|\((?!\d)|[^\sA-Ga-gxzZ\d^_=,'/<>|:\[\]&(-]""",
    re.MULTILINE,
)


def add_texts(dataset: DatasetWriter, files: Sequence[SourceFile], options: Options) -> None:
    """Fill a dataset from text files, which are held in memory.

    A sequence is a chunk (under `options.chunks`), a tune (where all files are ABC), or else a
    line. Where the files do not say their splits, tunes and lines are split at random, tunes by
    `related_tunes`. Equal lines are no copies: how often a line comes is a part of what a model of
    prose learns, and published sets repeat lines too.
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
        groups = split_at_random(
            related_tunes(labelled, dataset.copies), options.split, options.seed
        )
        splits = {split: [tune for group in groups[split] for _, tune in group] for split in SPLITS}
    else:
        lines = [line for _, content in contents for line in divided(content)]
        splits = split_at_random(lines, options.split, options.seed)
    encode_texts(dataset, splits, max_length)


def add_folk(dataset: DatasetWriter) -> None:
    """Fill `folk-abc` with plain tunes; a hash of the file and number of its first tune fixes the
    split of a group."""
    # importing it would take seconds, and its code is not needed here
    spec = importlib.util.find_spec("music21")
    assert spec is not None
    corpus = Path(str(spec.origin)).parent / "corpus"
    tunes: list[tuple[str, str]] = []
    for path in sorted(path for book in _BOOKS for path in (corpus / book).glob("*.abc")):
        label = f"{path.parent.name}/{path.name}"
        dataset.sources.append({"path": label, "sha256": sha256_of(path)})
        # some of the files are older than UTF-8
        content = path.read_bytes().decode("ascii", "ignore")
        tunes += [
            (f"{label} {number}", tune) for number, tune in enumerate(text.abc_tunes(content))
        ]
    if not dataset.sources:
        raise DatasetError(
            f"{corpus} holds no ABC tunes; reinstall music21: pip install --force-reinstall music21"
        )
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for group in related_tunes(tunes, dataset.copies):
        splits[split_by_hash(group[0][0])] += [plain_tune(tune) for _, tune in group]
    dataset.options = {
        "kind": "text",
        "max_length": MAX_TUNE,
        "split": "by hash of file and number of the first tune",
    }
    encode_texts(dataset, splits, MAX_TUNE)


def plain_tune(tune: str) -> str:
    """An ABC tune as its first title, its fields M:, L: and K:, and what is played, with spaces in
    one way.

    Names of transcribers, fingerings, slurs and grace notes teach a model no melody.
    """
    title = re.search(r"^T:(.*)", tune, re.MULTILINE)
    joined = re.sub(r"\\[ \t]*\n", " ", tune)  # a line with \ at its end goes on
    played = _UNPLAYED.sub(lambda found: "".join((found[1] or "").split()), joined)
    lines = (
        " ".join(line.split())
        for line in re.sub(rf"[ \t]*({_BAR})[ \t]*", r"\1", played).splitlines()
    )
    # bar lines end lines, and begin none
    music = re.sub(r"(?:\n+(?:\|+(?![|:\]\d]))?)+", "\n", "\n".join(lines))
    return f"X:1\nT:{title[1].strip() if title else ''}\n{music.strip()}\n"


def related_tunes(
    tunes: Iterable[tuple[str, str]], copies: list[Record]
) -> list[list[tuple[str, str]]]:
    """The (label, tune) pairs without copies, in groups that share four bars in a row; a group is
    for one split.

    Copies have the same notes, whatever their fields are, and wherever their lines and bars end:
    two transcriptions of one tune often differ in the unit, or in the key by mistake. `copies` gets
    {path, reason} of each.
    """
    with_bars = ((label, (tune, bars_of(tune))) for label, tune in tunes)
    different = list(distinct(with_bars, lambda item: "".join(item[1]), "the same notes", copies))
    group: list[int] = []  # for each tune the place of the first one of its group
    seen: dict[tuple[str, ...], int] = {}  # passages, and where the last tune is that has each
    for place, (_, (_, bars)) in enumerate(different):
        passages = {*zip(bars, bars[1:], bars[2:], bars[3:], strict=False)}
        found = {group[seen[passage]] for passage in passages & seen.keys()}
        group.append(min(found, default=place))
        if len(found) > 1:
            group = [group[-1] if first in found else first for first in group]
        seen |= dict.fromkeys(passages, place)
    groups: dict[int, list[tuple[str, str]]] = {}
    for first, (label, (tune, _)) in zip(group, different, strict=True):
        groups.setdefault(first, []).append((label, tune))
    return list(groups.values())


def bars_of(tune: str) -> list[str]:
    """The notes of each bar of an ABC tune."""
    notes = re.sub(r"\s", "", _UNPLAYED.sub("", tune))
    return [bar for bar in re.split(_BAR + r"(?:\[?\d[\d,-]*)?", notes) if bar]


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


def _chunks_in_order(
    contents: Sequence[str], max_length: int, shares: Sequence[float]
) -> dict[str, list[str]]:
    """The chunks of the texts, divided in order: at random, test would hold the continuations of
    training chunks.

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
