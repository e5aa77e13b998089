"""From files to a dataset: gathered, read (MIDI and scores in parallel), split by whole pieces, cut, encoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lnfgen import formats, text
from lnfgen.data import benchmarks
from lnfgen.data.encoding import Encoding
from lnfgen.data.gather import SourceFile, gather, given_splits
from lnfgen.data.parallel import Progress, in_parallel, no_progress
from lnfgen.data.storage import SPLITS, Dataset, write_dataset
from lnfgen.errors import DatasetError, LnfgenError, UnreadableFileError
from lnfgen.files import sha256_of
from lnfgen.music.pianoroll import STEPS_PER_QUARTER, PianoRoll

Kind = Literal["music", "text"]

MAX_STEPS = 256
MAX_TUNE = 640  # characters of an ABC tune taken as text


@dataclass(frozen=True)
class Options:
    """How sources become a dataset.

    Attributes:
        kind: "music" or "text"; None: as the suffixes say.
        max_length: music is cut at bar lines to this many steps (None: 256), lines of text over this many characters
            are dropped (None: 288; ABC tunes as text 640), chunks have at most this many. Benchmark sets are not cut.
        chunks: text in contiguous chunks, nothing dropped, instead of by line.
        split: shares of train, valid and test where the sources name no splits.
        seed: of that split.
        steps_per_quarter: the grid that MIDI files and scores are laid on.
        drums: keep MIDI's drum channel.
        strict: the first unreadable file is an error instead of being skipped.
    """

    kind: Kind | None = None
    max_length: int | None = None
    chunks: bool = False
    split: tuple[float, float, float] = (0.8, 0.1, 0.1)
    seed: int = 0
    steps_per_quarter: int = STEPS_PER_QUARTER
    drums: bool = False
    strict: bool = False

    def __post_init__(self) -> None:
        if len(self.split) != 3 or not all(0 <= share <= 1 for share in self.split) or abs(sum(self.split) - 1) > 1e-6:
            raise LnfgenError(f"shares {self.split} of train, valid and test; expected three that add up to 1")
        if self.split[0] == 0:
            raise LnfgenError("a share of 0 for train; expected something to train on; give another --split")
        if self.max_length is not None and self.max_length < 1:
            raise LnfgenError(f"a --max-length of {self.max_length}; expected at least 1")
        if not 1 <= self.steps_per_quarter <= 960:
            raise LnfgenError(f"{self.steps_per_quarter} steps per quarter; expected 1 to 960")


@dataclass
class Prepared:
    """A dataset before it is written: see `write_dataset`; `remarks` are what a person should know besides."""

    name: str
    encoding: Encoding
    splits: dict[str, list[np.ndarray]]
    dropped: dict[str, int] = field(default_factory=dict)
    sources: list[dict[str, str]] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    out_of_range: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def write(self, path: Path) -> Dataset:
        """Write it as a dataset folder; errors as `write_dataset`."""
        for name in SPLITS:
            if not self.splits.get(name) and name != "train":
                self.remarks.append(f"the split {name} is empty")
        return write_dataset(
            path,
            name=self.name,
            encoding=self.encoding,
            splits=self.splits,
            dropped=self.dropped,
            sources=self.sources,
            skipped=self.skipped,
            preprocessing={"options": self.options, "out_of_range": self.out_of_range, "remarks": self.remarks},
        )


def prepare(sources: Sequence[Path], options: Options, progress: Progress = no_progress) -> Prepared:
    """Read `sources`, files or folders, into memory.

    Raises:
        DatasetError: if nothing is readable, music and text are mixed, or no text is left to train on.
        UnreadableFileError: under `strict`, for the first unreadable file.
    """
    files = gather(sources, options.kind)
    name = source_name(sources[0])
    if files[0].path.suffix.lower() in benchmarks.SUFFIXES and options.kind != "text":
        prepared = _prepare_benchmark(files, name)
    elif (kind := options.kind or _infer_kind(files)) == "music":
        prepared = _prepare_music(files, name, options, progress)
    else:
        prepared = _prepare_text(files, name, options)
        prepared.options["kind"] = kind
    prepared.options = asdict(options) | prepared.options
    return prepared


def source_name(source: Path) -> str:
    """The name of a dataset made from this file or folder."""
    source = Path(source)
    name = source.resolve().name if source.is_dir() else source.stem
    return name or "dataset"


def split_units(count: int, shares: Sequence[float], seed: int) -> dict[str, list[int]]:
    """Which of `count` pieces fall to each split: at random by `seed`, in their own order within a split.

    Counts are the shares rounded by largest remainder; with three pieces or more, each split whose share is above 0
    gets at least one.
    """
    exact = [share * count for share in shares]
    counts = [int(value + 1e-9) for value in exact]
    while sum(counts) < count:
        counts[max(range(3), key=lambda index: (exact[index] - counts[index], shares[index]))] += 1
    for index in (0, 1, 2):
        if shares[index] > 0 and counts[index] == 0 and (count >= 3 or (index == 0 and count)):
            counts[max(range(3), key=counts.__getitem__)] -= 1
            counts[index] += 1
    order = np.random.default_rng(seed).permutation(count)
    bounds = np.cumsum([0, *counts])
    return {name: sorted(order[bounds[index] : bounds[index + 1]].tolist()) for index, name in enumerate(SPLITS)}


def encode_rolls(
    name: str, splits: dict[str, list[tuple[str, PianoRoll]]], max_length: int | None, steps_per_quarter: int
) -> Prepared:
    """Rolls, each with what to call it, as a dataset with onsets, cut at bar lines to `max_length` steps.

    Silent pieces, and those on another grid, are skipped with a reason. Tempo and time signature are the set's most
    common ones.
    """
    rolls = [roll for named in splits.values() for _, roll in named]
    encoding = Encoding(
        kind="music",
        has_onsets=True,
        steps_per_quarter=steps_per_quarter,
        tempo_bpm=_most_common((roll.tempo_bpm for roll in rolls), 120.0),
        time_signature=_most_common((roll.time_signature for roll in rolls), (4, 4)),
    )
    prepared = Prepared(name, encoding, {split: [] for split in SPLITS}, dict.fromkeys(SPLITS, 0))
    for split, named in splits.items():
        for label, roll in named:
            prepared.out_of_range += roll.out_of_range
            for piece in roll.cut(max_length) if max_length else [roll]:
                try:
                    values = encoding.encode(piece)
                except LnfgenError as error:
                    prepared.skipped.append({"path": label, "reason": str(error)})
                    break
                if not piece.sounding.any():
                    part = "holds no notes in range" if piece.num_steps == roll.num_steps else "has a silent stretch"
                    prepared.skipped.append({"path": label, "reason": f"{part} ({piece.num_steps} steps)"})
                    continue
                prepared.splits[split].append(values)
    return prepared


def encode_texts(
    name: str, splits: dict[str, list[str]], max_length: int, dropped: dict[str, int] | None = None
) -> Prepared:
    """Texts as a dataset, those over `max_length` characters dropped, the vocabulary fitted on train."""
    kept = {split: [item for item in splits.get(split, []) if 0 < len(item) <= max_length] for split in SPLITS}
    counts = {split: len(splits.get(split, [])) - len(kept[split]) for split in SPLITS}
    if not kept["train"]:
        raise DatasetError(
            f"{name} leaves no sequence to train on ({counts['train']} dropped for their length); "
            "give more text, another --split or a larger --max-length"
        )
    encoding = Encoding(kind="text", vocabulary=text.fit_vocabulary(kept["train"]))
    encoded = {split: [encoding.encode(item) for item in kept[split]] for split in SPLITS}
    return Prepared(name, encoding, encoded, {split: counts[split] + (dropped or {}).get(split, 0) for split in SPLITS})


def _prepare_benchmark(files: list[SourceFile], name: str) -> Prepared:
    if len(files) > 1:
        raise DatasetError(f"{files[0].path} is a benchmark set beside other sources; expected one such file alone")
    path = files[0].path
    pieces = benchmarks.read_benchmark(path)
    every = [roll for rolls in pieces.values() for roll in rolls]
    if not every:
        raise DatasetError(f"{path} holds no pieces")
    first = every[0]
    encoding = Encoding("music", has_onsets=False, steps_per_quarter=first.steps_per_quarter, tempo_bpm=first.tempo_bpm)
    splits = {split: [encoding.encode(roll) for roll in rolls] for split, rolls in pieces.items()}
    options = {"split": None, "max_length": None, "steps_per_quarter": first.steps_per_quarter, "kind": "music"}
    return Prepared(name, encoding, splits, dict.fromkeys(SPLITS, 0), _sources(files), options=options)


def _prepare_music(files: list[SourceFile], name: str, options: Options, progress: Progress) -> Prepared:
    tasks = [(str(file.path), options.steps_per_quarter, options.drums) for file in files]
    results = in_parallel(_read_music, tasks, "reading", progress)
    skipped: list[dict[str, str]] = []
    units: list[tuple[SourceFile, str, PianoRoll]] = []
    for file, result in zip(files, results, strict=True):
        if isinstance(result, str):
            if options.strict:
                raise UnreadableFileError(result)
            skipped.append({"path": file.label, "reason": result})
            continue
        for number, roll in enumerate(result, start=1):
            units.append((file, file.label if len(result) == 1 else f"{file.label} #{number}", roll))
    if not units:
        first = f": {skipped[0]['reason']}" if skipped else ""
        raise DatasetError(f"none of the {len(files)} files of {name} is readable music{first}")
    named, strays = given_splits([file for file, _, _ in units])
    skipped += _stray_reasons(file for index, (file, _, _) in enumerate(units) if index in strays)
    assigned = named or split_units(len(units), options.split, options.seed)
    max_length = options.max_length or MAX_STEPS
    prepared = encode_rolls(
        name,
        {split: [units[index][1:] for index in indices] for split, indices in assigned.items()},
        max_length,
        options.steps_per_quarter,
    )
    if options.strict and prepared.skipped:
        raise UnreadableFileError(f"{prepared.skipped[0]['path']}: {prepared.skipped[0]['reason']}")
    prepared.skipped = skipped + prepared.skipped
    prepared.sources = _sources(files, skipped)
    prepared.options = {"kind": "music", "max_length": max_length} | ({"split": None} if named else {})
    if prepared.out_of_range:
        prepared.remarks.append(f"{prepared.out_of_range} notes outside the range of pitches were left out")
    return prepared


def _read_music(task: tuple[str, int, bool]) -> list[PianoRoll] | str:
    """The rolls of a file, or the line that says why there are none; runs in a worker process."""
    path, steps_per_quarter, drums = task
    try:
        pieces = formats.read(path, steps_per_quarter=steps_per_quarter, drums=drums)
    except LnfgenError as error:
        return str(error)
    rolls = [piece for piece in pieces if isinstance(piece, PianoRoll)]
    return rolls or f"{path} is text; expected music"


def _prepare_text(files: list[SourceFile], name: str, options: Options) -> Prepared:
    skipped: list[dict[str, str]] = []
    contents: list[tuple[SourceFile, str]] = []
    for file in files:
        try:
            contents.append((file, text.read_text(file.path)))
        except UnreadableFileError as error:
            if options.strict:
                raise
            skipped.append({"path": file.label, "reason": str(error)})
    if not contents:
        raise DatasetError(f"none of the {len(files)} files of {name} is readable text: {skipped[0]['reason']}")
    tunes = not options.chunks and all(file.path.suffix.lower() == ".abc" for file, _ in contents)
    max_length = options.max_length or (MAX_TUNE if tunes else text.MAX_LINE)

    def sequences(content: str) -> list[str]:
        if options.chunks:
            return text.chunks(content, max_length)
        return text.abc_tunes(content) if tunes else text.stripped_lines(content)

    named, strays = given_splits([file for file, _ in contents])
    if named:
        skipped += _stray_reasons(contents[index][0] for index in strays)
        splits = {
            split: [item for index in indices for item in sequences(contents[index][1])]
            for split, indices in named.items()
        }
    else:
        items = [item for _, content in contents for item in sequences(content)]
        if options.chunks:  # neighbours continue one another: keep train, valid and test apart as stretches of text
            sizes = [len(part) for part in split_units(len(items), options.split, options.seed).values()]
            bounds = np.cumsum([0, *sizes]).tolist()
            splits = {split: items[bounds[i] : bounds[i + 1]] for i, split in enumerate(SPLITS)}
        else:
            assigned = split_units(len(items), options.split, options.seed)
            splits = {split: [items[index] for index in indices] for split, indices in assigned.items()}
    prepared = encode_texts(name, splits, max_length)
    prepared.skipped = skipped
    prepared.sources = _sources(files, skipped)
    prepared.options = {"max_length": max_length} | ({"split": None} if named else {})
    return prepared


def _infer_kind(files: list[SourceFile]) -> Kind:
    kinds = {file.kind: file.path for file in reversed(files)}
    if len(kinds) > 1:
        raise DatasetError(
            f"found both music ({kinds['music'].name}) and text ({kinds['text'].name}); "
            "expected one kind; say which with --as music or --as text"
        )
    return next(iter(kinds))


def _stray_reasons(files: Iterable[SourceFile]) -> list[dict[str, str]]:
    reason = "its name gives no split (train, valid, test), as most of the others' do"
    return [{"path": label, "reason": reason} for label in dict.fromkeys(file.label for file in files)]


def _sources(files: Iterable[SourceFile], skipped: Sequence[dict[str, str]] = ()) -> list[dict[str, str]]:
    left_out = {skip["path"] for skip in skipped}
    return [{"path": file.label, "sha256": sha256_of(file.path)} for file in files if file.label not in left_out]


def _most_common(values: Iterable[Any], default: Any) -> Any:
    counts = Counter(values).most_common(1)
    return counts[0][0] if counts else default
