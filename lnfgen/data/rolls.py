"""Files of music to a dataset: read, divided into splits, cut at bar lines, encoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lnfgen import formats
from lnfgen.conventions import SPLITS
from lnfgen.data import benchmarks
from lnfgen.data.copies import digest, without_copies
from lnfgen.data.encoding import Encoding
from lnfgen.data.gather import SourceFile, source_records
from lnfgen.data.options import Options
from lnfgen.data.parallel import Progress, in_parallel
from lnfgen.data.prepared import Prepared
from lnfgen.data.splits import num_splits, split_at_random, split_in_order
from lnfgen.data.storage import Record
from lnfgen.errors import DatasetError, LnfgenError, UnreadableFileError
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tracks import ALL, said_of

MAX_PIECE_STEPS = 256

Piece = tuple[str, PianoRoll]
"""A roll and its label, which says what file it is from."""


def prepare_music(files: Sequence[SourceFile], name: str, options: Options, progress: Progress) -> Prepared:
    """The dataset of these MIDI files, scores and piano-rolls.

    Where the files do not say their splits, whole pieces are split at random. If there are fewer pieces than splits,
    each piece is split in time. In either case no split holds a sequence of another one.

    Raises:
        DatasetError: if no file can be read.
    """
    found, unreadable = _read_all(files, options, progress)
    if not found:
        raise DatasetError(f"none of the {len(files)} files of {name} is readable music: {unreadable[0]['reason']}")
    given = files[0].split is not None
    pieces = [piece for _, rolls in found for piece in rolls]
    copies: list[Record] = []
    several = [roll.tracks for _, roll in pieces if len(roll.tracks) > 1]
    remarks = [f"{len(several)} of {len(pieces)} pieces have several tracks: {said_of(several)}"] if several else []
    if given:
        splits = {split: [piece for file, rolls in found if file.split == split for piece in rolls] for split in SPLITS}
    else:
        pieces, copies = without_copies(pieces, _notes_of, "the same notes")
        if len(pieces) >= num_splits(options.split):
            splits = split_at_random(pieces, options.split, options.seed)
        else:
            splits = _split_in_time(pieces, options.split)
            remarks += [f"there are fewer pieces ({len(pieces)}) than splits, so each was split in time, at bar lines"]
    max_length = options.max_length or MAX_PIECE_STEPS
    prepared = encode_rolls(
        name,
        splits,
        max_length,
        options.steps_per_quarter,
        sources=source_records(file for file, _ in found),
        skipped=unreadable,
        options={"kind": "music", "max_length": max_length},
        disjoint=not given,
    )
    return replace(prepared, copies=[*copies, *prepared.copies], remarks=remarks)


def prepare_benchmark(files: Sequence[SourceFile], name: str) -> Prepared:
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
    return Prepared(
        name,
        encoding,
        {split: [encoding.encode(roll) for roll in rolls] for split, rolls in pieces.items()},
        sources=source_records(files),
        options={"kind": "music", "split": None, "max_length": None, "steps_per_quarter": first.steps_per_quarter},
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
    disjoint: bool = False,
) -> Prepared:
    """The dataset of these pieces, cut at bar lines to at most `max_length` steps.

    Tempo (unless given) and time signature of the encoding are the most common ones, and its range of pitches is that
    of the first roll. A roll on another grid or of another range and each stretch without a note are skipped, with a
    reason under their label.

    Args:
        disjoint: leave out of valid and test each sequence that an earlier split holds. Different pieces can be equal
            in one of their stretches.
    """
    rolls = [roll for split in SPLITS for _, roll in splits[split]]
    encoding = Encoding(
        kind="music",
        lowest_pitch=rolls[0].lowest_pitch,
        num_pitches=rolls[0].num_pitches,
        steps_per_quarter=steps_per_quarter,
        tempo_bpm=tempo_bpm or Counter(roll.tempo_bpm for roll in rolls).most_common(1)[0][0],
        time_signature=Counter(roll.time_signature for roll in rolls).most_common(1)[0][0],
    )
    encoded: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    time_signatures: dict[str, list[tuple[int, int]]] = {split: [] for split in SPLITS}
    unused: list[Record] = []
    copies: list[Record] = []
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
                    copies.append({"path": label, "reason": f"an earlier split holds {piece.num_steps} steps of it"})
                else:
                    encoded[split].append(values)
                    time_signatures[split].append(piece.time_signature)
    return Prepared(
        name,
        encoding,
        encoded,
        sources=sources,
        skipped=[*skipped, *unused],
        options=options,
        out_of_range=sum(roll.out_of_range for roll in rolls),
        copies=copies,
        time_signatures=time_signatures,
    )


def _read_all(
    files: Sequence[SourceFile], options: Options, progress: Progress
) -> tuple[list[tuple[SourceFile, list[Piece]]], list[Record]]:
    """The pieces of each file that can be read, and why the others cannot."""
    read = partial(read_rolls, steps_per_quarter=options.steps_per_quarter, drums=options.drums, tracks=options.tracks)
    results = in_parallel(read, [file.path for file in files], "reading", progress)
    found: list[tuple[SourceFile, list[Piece]]] = []
    unreadable: list[Record] = []
    for file, result in zip(files, results, strict=True):
        if isinstance(result, LnfgenError):
            unreadable.append({"path": file.label, "reason": str(result)})
        else:
            found.append((file, file.labelled(result)))
    return found, unreadable


def read_rolls(path: Path, steps_per_quarter: int, drums: bool = False, tracks: str = ALL) -> list[PianoRoll]:
    """The rolls of a file. It runs in a child process."""
    pieces = formats.read(path, steps_per_quarter=steps_per_quarter, drums=drums, tracks=tracks)
    if rolls := [piece for piece in pieces if isinstance(piece, PianoRoll)]:
        return rolls
    raise UnreadableFileError(f"{path} is text; expected music")


def _notes_of(roll: PianoRoll) -> tuple[object, ...]:
    """What two copies of a piece have in common, whatever their tempo and time signature are."""
    return roll.steps_per_quarter, roll.lowest_pitch, roll.sounding.shape, digest(roll.sounding, roll.struck())


def _split_in_time(pieces: Sequence[Piece], shares: Sequence[float]) -> dict[str, list[Piece]]:
    """Of each piece the first bars for train, the next ones for valid, and the last ones for test."""
    splits: dict[str, list[Piece]] = {split: [] for split in SPLITS}
    for label, roll in pieces:
        lines = [*roll.bar_lines(), roll.num_steps]
        for split, bars in split_in_order(len(lines) - 1, shares).items():
            if bars.start < bars.stop:
                splits[split].append((label, roll.stretch(lines[bars.start], lines[bars.stop])))
    return splits
