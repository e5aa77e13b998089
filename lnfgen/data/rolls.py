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
from lnfgen.data.copies import copies_remark, digest, without_copies
from lnfgen.data.encoding import Encoding
from lnfgen.data.gather import SourceFile, source_records
from lnfgen.data.options import Options
from lnfgen.data.parallel import Progress, in_parallel
from lnfgen.data.prepared import Prepared
from lnfgen.data.splits import num_splits, split_at_random, split_in_order
from lnfgen.data.storage import Record
from lnfgen.errors import DatasetError, LnfgenError, UnreadableFileError
from lnfgen.music.pianoroll import PianoRoll

MAX_PIECE_STEPS = 256

Piece = tuple[str, PianoRoll]
"""A roll and its label, which says what file it is from."""


def prepare_music(
    files: Sequence[SourceFile],
    name: str,
    options: Options,
    given: Mapping[str, str],
    left_out: Sequence[Record],
    progress: Progress,
) -> Prepared:
    """The dataset of these MIDI files, scores and piano-rolls.

    Args:
        given: the split of each file by its label. Where it is empty, whole pieces are split at random, or each piece
            is split in time if there are fewer pieces than splits. Then no split holds a sequence of another.
        left_out: the files that are not among `files`, with reasons.

    Raises:
        DatasetError: if no file can be read.
        UnreadableFileError: under `options.strict`, if one cannot be read or a piece in it cannot be used.
    """
    found, unreadable = _read_all(files, options, progress)
    if not found:
        raise DatasetError(f"none of the {len(files)} files of {name} is readable music: {unreadable[0]['reason']}")
    remarks: list[str] = []
    copies: list[Record] = []
    if given:
        splits = {
            split: [piece for file, pieces in found if given[file.label] == split for piece in pieces]
            for split in SPLITS
        }
    else:
        distinct, copies = without_copies(
            [piece for _, pieces in found for piece in pieces], _notes_of, "the same notes"
        )
        splits = _divide(distinct, options)
        remarks += copies_remark([*left_out, *copies])
        if len(distinct) < num_splits(options.split):
            remarks.append(
                f"{len(distinct)} different pieces are too few for the splits: each is split in time, at bar lines"
            )
    max_length = options.max_length or MAX_PIECE_STEPS
    return encode_rolls(
        name,
        splits,
        max_length,
        options.steps_per_quarter,
        sources=source_records(file for file, _ in found),
        skipped=[*left_out, *unreadable, *copies],
        options=asdict(options) | {"kind": "music", "max_length": max_length} | ({"split": None} if given else {}),
        remarks=remarks,
        disjoint=not given,
        strict=options.strict,
    )


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
    splits: Mapping[str, Sequence[Piece]],
    max_length: int,
    steps_per_quarter: int,
    *,
    tempo_bpm: float | None = None,
    sources: Sequence[Record],
    skipped: Sequence[Record],
    options: Mapping[str, Any],
    remarks: Sequence[str] = (),
    disjoint: bool = False,
    strict: bool = False,
) -> Prepared:
    """The dataset of these pieces, cut at bar lines to at most `max_length` steps.

    Tempo (unless given) and time signature of the encoding are the most common ones. A roll on another grid and each
    stretch without a note are skipped, with a reason under their label.

    Args:
        disjoint: leave out of valid and test each sequence that an earlier split holds. Different pieces can be equal
            in one of their stretches.

    Raises:
        UnreadableFileError: if something is skipped and `strict` is set.
    """
    rolls = [roll for split in SPLITS for _, roll in splits[split]]
    encoding = Encoding(
        kind="music",
        steps_per_quarter=steps_per_quarter,
        tempo_bpm=tempo_bpm or Counter(roll.tempo_bpm for roll in rolls).most_common(1)[0][0],
        time_signature=Counter(roll.time_signature for roll in rolls).most_common(1)[0][0],
    )
    encoded: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    time_signatures: dict[str, list[tuple[int, int]]] = {split: [] for split in SPLITS}
    unused: list[Record] = []
    shared: list[Record] = []
    for split in SPLITS:
        earlier = {digest(values) for part in encoded.values() for values in part} if disjoint else set()
        for label, roll in splits[split]:
            for piece in roll.cut(max_length):
                try:
                    values = encoding.encode(piece)
                except LnfgenError as error:  # the roll's other pieces would fail in the same way
                    unused.append({"path": label, "reason": str(error)})
                    break
                if not piece.sounding.any():
                    part = "holds no notes in range" if piece.num_steps == roll.num_steps else "has a silent stretch"
                    unused.append({"path": label, "reason": f"{part} ({piece.num_steps} steps)"})
                elif digest(values) in earlier:
                    shared.append({"path": label, "reason": f"an earlier split holds {piece.num_steps} steps of it"})
                else:
                    encoded[split].append(values)
                    time_signatures[split].append(piece.time_signature)
    if strict and unused:
        raise UnreadableFileError("{path}: {reason}".format(**unused[0]))
    if shared:
        left_out = f"{len(shared):,} sequences were left out of valid and test"
        remarks = [*remarks, f"{left_out}, because an earlier split holds the same"]
    return Prepared(
        name,
        encoding,
        encoded,
        dropped={},
        sources=sources,
        skipped=[*skipped, *unused, *shared],
        options=options,
        out_of_range=sum(roll.out_of_range for roll in rolls),
        remarks=remarks,
        time_signatures=time_signatures,
    )


def _read_all(
    files: Sequence[SourceFile], options: Options, progress: Progress
) -> tuple[list[tuple[SourceFile, list[Piece]]], list[Record]]:
    """The pieces of each file that can be read, and why the others cannot."""
    read = partial(_read_rolls, steps_per_quarter=options.steps_per_quarter, drums=options.drums)
    results = in_parallel(read, [file.path for file in files], "reading", progress)
    found: list[tuple[SourceFile, list[Piece]]] = []
    unreadable: list[Record] = []
    for file, result in zip(files, results, strict=True):
        if isinstance(result, str):
            if options.strict:
                raise UnreadableFileError(result)
            unreadable.append({"path": file.label, "reason": result})
        elif len(result) == 1:
            found.append((file, [(file.label, result[0])]))
        else:
            found.append((file, [(f"{file.label} #{number}", roll) for number, roll in enumerate(result, start=1)]))
    return found, unreadable


def _read_rolls(path: Path, steps_per_quarter: int, drums: bool) -> list[PianoRoll] | str:
    """The rolls of a file, or why there are none. It runs in a worker process."""
    try:
        pieces = formats.read(path, steps_per_quarter=steps_per_quarter, drums=drums)
    except LnfgenError as error:
        return str(error)
    return [piece for piece in pieces if isinstance(piece, PianoRoll)] or f"{path} is text; expected music"


def _notes_of(roll: PianoRoll) -> tuple[object, ...]:
    """What two copies of a piece have in common, whatever their tempo and time signature are."""
    return roll.steps_per_quarter, roll.lowest_pitch, roll.sounding.shape, digest(roll.sounding, roll.struck())


def _divide(pieces: Sequence[Piece], options: Options) -> dict[str, list[Piece]]:
    """Whole pieces at random; or, where there are fewer pieces than splits, each piece in time, cut at bar lines."""
    if len(pieces) >= num_splits(options.split):
        assigned = split_at_random(len(pieces), options.split, options.seed)
        return {split: [pieces[index] for index in indices] for split, indices in assigned.items()}
    splits: dict[str, list[Piece]] = {split: [] for split in SPLITS}
    for label, roll in pieces:
        lines = [*roll.bar_lines(), roll.num_steps]
        for split, bars in split_in_order(len(lines) - 1, options.split).items():
            if bars.start < bars.stop:
                splits[split].append((label, roll.stretch(lines[bars.start], lines[bars.stop])))
    return splits
