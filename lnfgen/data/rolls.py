"""Files of music to a dataset: read, divided into splits, cut at bar lines, encoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lnfgen import formats
from lnfgen.conventions import SPLITS
from lnfgen.data import benchmarks
from lnfgen.data.encoding import Encoding
from lnfgen.data.gather import SourceFile, given_splits, source_records, stray_records
from lnfgen.data.options import Options
from lnfgen.data.parallel import Progress, in_parallel
from lnfgen.data.prepared import Prepared, Record
from lnfgen.data.splits import split_at_random
from lnfgen.errors import DatasetError, LnfgenError, UnreadableFileError
from lnfgen.music.pianoroll import PianoRoll

MAX_STEPS = 256


class Labelled(NamedTuple):
    """A roll, and what `dataset.json` calls it if it must be skipped."""

    label: str
    roll: PianoRoll


class EncodedRolls(NamedTuple):
    """The sequences of each split, {path, reason} of what was skipped, and how many notes had no key."""

    splits: dict[str, list[np.ndarray]]
    skipped: list[Record]
    out_of_range: int


def prepare_music(files: Sequence[SourceFile], name: str, options: Options, progress: Progress) -> Prepared:
    """The dataset of these MIDI files, scores and piano-rolls.

    Raises:
        DatasetError: if no file can be read.
        UnreadableFileError: under `options.strict`, if one cannot be read or a piece in it cannot be used.
    """
    read = partial(_read_rolls, steps_per_quarter=options.steps_per_quarter, drums=options.drums)
    results = in_parallel(read, [file.path for file in files], "reading", progress)
    unreadable: list[Record] = []
    owners: list[SourceFile] = []  # the file of each roll
    rolls: list[Labelled] = []
    for file, result in zip(files, results, strict=True):
        if isinstance(result, str):
            if options.strict:
                raise UnreadableFileError(result)
            unreadable.append({"path": file.label, "reason": result})
            continue
        for number, roll in enumerate(result, start=1):
            owners.append(file)
            rolls.append(Labelled(file.label if len(result) == 1 else f"{file.label} #{number}", roll))
    if not rolls:
        first = f": {unreadable[0]['reason']}" if unreadable else ""
        raise DatasetError(f"none of the {len(files)} files of {name} is readable music{first}")
    given, strays = given_splits(owners)
    left_out = unreadable + stray_records(owners[index] for index in strays)
    assigned = given or split_at_random(len(rolls), options.split, options.seed)
    splits = {split: [rolls[index] for index in indices] for split, indices in assigned.items()}
    used = [item.roll for items in splits.values() for item in items]
    encoding = encoding_of(used, options.steps_per_quarter)
    max_length = options.max_length or MAX_STEPS
    encoded = encode_rolls(splits, encoding, max_length)
    if options.strict and encoded.skipped:
        raise UnreadableFileError(f"{encoded.skipped[0]['path']}: {encoded.skipped[0]['reason']}")
    return Prepared(
        name,
        encoding,
        encoded.splits,
        dropped=dict.fromkeys(SPLITS, 0),
        sources=source_records(files, left_out),
        skipped=left_out + encoded.skipped,
        out_of_range=encoded.out_of_range,
        options=asdict(options) | {"kind": "music", "max_length": max_length} | ({"split": None} if given else {}),
    )


def prepare_benchmark(files: Sequence[SourceFile], name: str, options: Options) -> Prepared:
    """The dataset of one benchmark file: its own splits, its pieces as they are, and keys that sound without onsets.

    Raises:
        DatasetError: if there are other files beside it, or it holds no pieces.
        UnreadableFileError: if it is damaged or no benchmark set.
    """
    path = files[0].path
    if len(files) > 1:
        raise DatasetError(f"{path} is a benchmark set beside other sources; expected one such file alone")
    pieces = benchmarks.read_benchmark(path)
    first = next((roll for rolls in pieces.values() for roll in rolls), None)
    if first is None:
        raise DatasetError(f"{path} holds no pieces")
    encoding = Encoding("music", has_onsets=False, steps_per_quarter=first.steps_per_quarter, tempo_bpm=first.tempo_bpm)
    made_with = {"split": None, "max_length": None, "steps_per_quarter": first.steps_per_quarter, "kind": "music"}
    return Prepared(
        name,
        encoding,
        {split: [encoding.encode(roll) for roll in rolls] for split, rolls in pieces.items()},
        dropped=dict.fromkeys(SPLITS, 0),
        sources=source_records(files),
        options=asdict(options) | made_with,
    )


def encoding_of(rolls: Sequence[PianoRoll], steps_per_quarter: int, tempo_bpm: float | None = None) -> Encoding:
    """The encoding of these rolls, with onsets; tempo (unless given) and time signature are the most common ones."""
    return Encoding(
        kind="music",
        has_onsets=True,
        steps_per_quarter=steps_per_quarter,
        tempo_bpm=tempo_bpm or _most_common((roll.tempo_bpm for roll in rolls), 120.0),
        time_signature=_most_common((roll.time_signature for roll in rolls), (4, 4)),
    )


def encode_rolls(splits: Mapping[str, Iterable[Labelled]], encoding: Encoding, max_length: int) -> EncodedRolls:
    """The rolls cut at bar lines to at most `max_length` steps, and encoded.

    A roll on another grid than the encoding's, and every piece without a note, is skipped with a reason.
    """
    encoded: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    skipped: list[Record] = []
    out_of_range = 0
    for split, items in splits.items():
        for label, roll in items:
            out_of_range += roll.out_of_range
            for piece in roll.cut(max_length):
                try:
                    values = encoding.encode(piece)
                except LnfgenError as error:  # the roll's other pieces would fail in the same way
                    skipped.append({"path": label, "reason": str(error)})
                    break
                if piece.sounding.any():
                    encoded[split].append(values)
                else:
                    part = "holds no notes in range" if piece.num_steps == roll.num_steps else "has a silent stretch"
                    skipped.append({"path": label, "reason": f"{part} ({piece.num_steps} steps)"})
    return EncodedRolls(encoded, skipped, out_of_range)


def _read_rolls(path: Path, steps_per_quarter: int, drums: bool) -> list[PianoRoll] | str:
    """The rolls of a file, or why there are none; it runs in a worker process."""
    try:
        pieces = formats.read(path, steps_per_quarter=steps_per_quarter, drums=drums)
    except LnfgenError as error:
        return str(error)
    rolls = [piece for piece in pieces if isinstance(piece, PianoRoll)]
    return rolls or f"{path} is text; expected music"


def _most_common(values: Iterable[Any], default: Any) -> Any:
    counts = Counter(values).most_common(1)
    return counts[0][0] if counts else default
