"""Files of music to a dataset: read, divided into splits, cut at bar lines, encoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lnfgen import formats
from lnfgen.conventions import SPLITS
from lnfgen.data import benchmarks
from lnfgen.data.encoding import Encoding
from lnfgen.data.gather import SourceFile, source_records
from lnfgen.data.options import Options
from lnfgen.data.parallel import Progress, in_parallel
from lnfgen.data.prepared import Prepared
from lnfgen.data.splits import given_splits, split_at_random
from lnfgen.data.storage import Record
from lnfgen.errors import DatasetError, LnfgenError, UnreadableFileError
from lnfgen.music.pianoroll import PianoRoll

MAX_PIECE_STEPS = 256


def prepare_music(files: Sequence[SourceFile], name: str, options: Options, progress: Progress) -> Prepared:
    """The dataset of these MIDI files, scores and piano-rolls.

    Raises:
        DatasetError: if no file can be read.
        UnreadableFileError: under `options.strict`, if one cannot be read or a piece in it cannot be used.
    """
    read = partial(_read_rolls, steps_per_quarter=options.steps_per_quarter, drums=options.drums)
    results = in_parallel(read, [file.path for file in files], "reading", progress)
    unreadable: list[Record] = []
    owners: list[str] = []  # the label of the file of each roll
    rolls: list[tuple[str, PianoRoll]] = []
    for file, result in zip(files, results, strict=True):
        if isinstance(result, LnfgenError):
            if options.strict:
                raise result
            unreadable.append({"path": file.label, "reason": str(result)})
            continue
        for number, roll in enumerate(result, start=1):
            owners.append(file.label)
            rolls.append((file.label if len(result) == 1 else f"{file.label} #{number}", roll))
    if not rolls:
        raise DatasetError(f"none of the {len(files)} files of {name} is readable music: {unreadable[0]['reason']}")
    given, strays = given_splits(owners)
    left_out = [*unreadable, *strays]
    assigned = given or split_at_random(len(rolls), options.split, options.seed)
    max_length = options.max_length or MAX_PIECE_STEPS
    prepared = encode_rolls(
        name,
        {split: [rolls[index] for index in indices] for split, indices in assigned.items()},
        max_length,
        options.steps_per_quarter,
        sources=source_records(files, left_out),
        skipped=left_out,
        options=asdict(options) | {"kind": "music", "max_length": max_length} | ({"split": None} if given else {}),
    )
    if options.strict and len(prepared.skipped) > len(left_out):
        record = prepared.skipped[len(left_out)]
        raise UnreadableFileError(f"{record['path']}: {record['reason']}")
    return prepared


def prepare_benchmark(files: Sequence[SourceFile], name: str, options: Options) -> Prepared:
    """The dataset of one benchmark file: its own splits, its pieces as they are, and keys that sound without onsets.

    Raises:
        DatasetError: if there are other files beside it, or it holds no pieces.
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
        dropped={},
        sources=source_records(files),
        skipped=[],
        options=asdict(options) | made_with,
    )


def encode_rolls(
    name: str,
    splits: Mapping[str, Sequence[tuple[str, PianoRoll]]],
    max_length: int,
    steps_per_quarter: int,
    *,
    tempo_bpm: float | None = None,
    sources: Sequence[Record],
    skipped: Sequence[Record],
    options: Mapping[str, Any],
) -> Prepared:
    """The dataset of these rolls, (label, roll) in each split, cut at bar lines to at most `max_length` steps.

    Tempo (unless given) and time signature of the encoding are the most common ones. A roll on another grid and each
    piece without a note are skipped, with a reason under their label.
    """
    rolls = [roll for items in splits.values() for _, roll in items]
    encoding = Encoding(
        kind="music",
        steps_per_quarter=steps_per_quarter,
        tempo_bpm=tempo_bpm or Counter(roll.tempo_bpm for roll in rolls).most_common(1)[0][0],
        time_signature=Counter(roll.time_signature for roll in rolls).most_common(1)[0][0],
    )
    encoded: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    unused: list[Record] = []
    for split, items in splits.items():
        for label, roll in items:
            for piece in roll.cut(max_length):
                try:
                    values = encoding.encode(piece)
                except LnfgenError as error:  # the roll's other pieces would fail in the same way
                    unused.append({"path": label, "reason": str(error)})
                    break
                if piece.sounding.any():
                    encoded[split].append(values)
                else:
                    part = "holds no notes in range" if piece.num_steps == roll.num_steps else "has a silent stretch"
                    unused.append({"path": label, "reason": f"{part} ({piece.num_steps} steps)"})
    return Prepared(
        name,
        encoding,
        encoded,
        dropped={},
        sources=sources,
        skipped=[*skipped, *unused],
        options=options,
        out_of_range=sum(roll.out_of_range for roll in rolls),
    )


def _read_rolls(path: Path, steps_per_quarter: int, drums: bool) -> list[PianoRoll]:
    pieces = formats.read(path, steps_per_quarter=steps_per_quarter, drums=drums)
    if rolls := [piece for piece in pieces if isinstance(piece, PianoRoll)]:
        return rolls
    raise UnreadableFileError(f"{path} is text; expected music")
