"""Files of music to a dataset: read, divided into splits, cut at bar lines, encoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lnfgen.conventions import SPLITS, Progress
from lnfgen.data import benchmarks
from lnfgen.data.copies import digest, without_copies
from lnfgen.data.dataset import Record, no_steps
from lnfgen.data.encoding import Encoding
from lnfgen.data.options import Options
from lnfgen.data.prepared import Prepared
from lnfgen.data.readings import Readings
from lnfgen.data.sequences import InMemory, Spool
from lnfgen.data.sources import SourceFile, source_records
from lnfgen.data.splits import num_splits, split_at_random, split_in_order
from lnfgen.data.workplace import Workplace
from lnfgen.errors import DatasetError, LnfgenError, UnreadableFileError
from lnfgen.formats import read_write as formats
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tracks import ALL, Track, said_of
from lnfgen.wording import counted

MAX_PIECE_STEPS = 256

Piece = tuple[str, PianoRoll]
"""A roll and its label, which says what file it is from."""


def prepare_music(
    files: Sequence[SourceFile],
    name: str,
    options: Options,
    progress: Progress,
    *,
    place: Workplace,
    jobs: int | None = None,
) -> Prepared:
    """The dataset of these MIDI files, scores and piano-rolls.

    Where the files do not say their splits, whole pieces are split at random. If there are fewer pieces than splits,
    each piece is split in time. In either case no split holds a sequence of another one.

    What is read and what is encoded are kept in `place`, not in memory, until the dataset is written.

    Raises:
        DatasetError: if no file can be read.
    """
    read = partial(read_rolls, steps_per_quarter=options.steps_per_quarter, drums=options.drums, tracks=options.tracks)
    readings = Readings(files, read, place.folder(), progress, jobs)
    found, pieces, unreadable = _all_pieces(files, readings)
    if not found:
        raise DatasetError(f"{counted(len(files), 'file')} of {name}, none readable music: {unreadable[0]['reason']}")
    copies: list[Record] = []
    several = [piece.tracks for _, piece in pieces if len(piece.tracks) > 1]
    shares = f"{len(several):,} of {len(pieces):,}; {said_of(several)}"
    remarks = [f"pieces with several tracks: {shares}"] if several else []
    given = files[0].split is not None
    if not given:
        pieces, copies = without_copies(pieces, lambda piece: piece.notes, "the same notes")

    def rolls(chosen: Sequence[tuple[str, _Stored]]) -> Iterator[Piece]:
        labels = [label for label, _ in chosen]
        return zip(labels, readings.rolls([piece.place for _, piece in chosen]), strict=True)

    splits: Mapping[str, Iterable[Piece]]
    if given:
        splits = {split: rolls([item for item in pieces if item[1].split == split]) for split in SPLITS}
    elif len(pieces) >= num_splits(options.split):
        splits = {s: rolls(part) for s, part in split_at_random(pieces, options.split, options.seed).items()}
    else:
        splits = _split_in_time(list(rolls(pieces)), options.split)
        remarks += [f"there are fewer pieces ({len(pieces)}) than splits, so each was split in time, at bar lines"]
    max_length = options.max_length or MAX_PIECE_STEPS
    prepared = encode_rolls(
        name,
        splits,
        max_length,
        options.steps_per_quarter,
        sources=source_records(found),
        skipped=unreadable,
        options={"kind": "music", "max_length": max_length},
        disjoint=not given,
        place=place,
    )
    return replace(prepared, copies=[*copies, *prepared.copies], remarks=remarks)


def _all_pieces(
    files: Sequence[SourceFile], readings: Readings
) -> tuple[list[SourceFile], list[tuple[str, _Stored]], list[Record]]:
    """The files that can be read, their pieces with labels, and why the other files cannot be read."""
    found: list[SourceFile] = []
    pieces: list[tuple[str, _Stored]] = []
    unreadable: list[Record] = []
    for index, (file, result) in enumerate(zip(files, readings, strict=True)):
        if isinstance(result, str):
            unreadable.append({"path": file.label, "reason": result})
        else:
            found.append(file)
            stored = [_Stored((index, i), file.split, _notes_of(roll), roll.tracks) for i, roll in enumerate(result)]
            pieces += file.labelled(stored)
    return found, pieces, unreadable


def prepare_benchmark(files: Sequence[SourceFile], name: str) -> Prepared:
    """The dataset of one benchmark file: its own splits, its pieces as they are, and keys that sound without onsets.

    Raises:
        DatasetError: if there are other files beside it, or it holds no pieces.
    """
    path = next(file.path for file in files if file.suffix in benchmarks.SUFFIXES)
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
        InMemory({split: [encoding.encode(roll) for roll in rolls] for split, rolls in pieces.items()}),
        sources=source_records(files),
        options={"kind": "music", "split": None, "max_length": None, "steps_per_quarter": first.steps_per_quarter},
    )


def encode_rolls(
    name: str,
    splits: Mapping[str, Iterable[Piece]],
    max_length: int,
    steps_per_quarter: int,
    *,
    tempo_bpm: float | None = None,
    sources: Sequence[Record],
    skipped: Sequence[Record],
    options: Mapping[str, Any],
    disjoint: bool = False,
    place: Workplace | None = None,
) -> Prepared:
    """The dataset of these pieces, from a bar line on and cut at bar lines to at most `max_length` steps.

    Silent bars before the first note of a stretch and after its last one are left out: a model that has learned some
    would write pieces that begin late, or stop early.

    Tempo (unless given) and time signature of the encoding are the most common ones, and its range of pitches is that
    of the first roll. A roll on another grid or of another range and each stretch without a note are skipped, with a
    reason under their label.

    Args:
        disjoint: leave out of valid and test each sequence that an earlier split holds. Different pieces can be equal
            in one of their stretches.
        place: where the sequences wait until they are written; None: a temporary folder.
    """
    place = place or Workplace()
    encoding: Encoding | None = None
    stretches = _Stretches(max_length, disjoint)
    tempos: Counter[float] = Counter()
    metres: Counter[tuple[int, int]] = Counter()
    out_of_range = 0
    for split in SPLITS:
        for label, roll in splits[split]:
            if encoding is None:
                encoding = Encoding(
                    "music", True, roll.lowest_pitch, roll.num_pitches, steps_per_quarter, fills_upbeats=True
                )
                spool = Spool(place.folder(), SPLITS, no_steps(encoding))
            tempos[roll.tempo_bpm] += 1
            metres[roll.time_signature] += 1
            out_of_range += roll.out_of_range
            spool.extend(split, stretches.take(encoding, split, label, roll))
    assert encoding is not None, "no pieces"
    usual_tempo = tempo_bpm or tempos.most_common(1)[0][0]
    return Prepared(
        name,
        replace(encoding, tempo_bpm=usual_tempo, time_signature=metres.most_common(1)[0][0]),
        spool,
        sources=sources,
        skipped=[*skipped, *stretches.unused],
        silent=stretches.silent,
        options=options,
        out_of_range=out_of_range,
        copies=stretches.copies,
        time_signatures=stretches.time_signatures,
        place=place,
    )


class _Stretches:
    """The stretches that rolls are cut into: which of them the dataset gets, and why it does not get the others.

    Attributes:
        time_signatures: of each stretch that was taken, by split.
        unused: the pieces that cannot be encoded or have no note.
        silent: the stretches without a note of pieces that have some.
        copies: where splits are disjoint, the stretches that an earlier split holds.
    """

    def __init__(self, max_length: int, disjoint: bool) -> None:
        self.max_length = max_length
        self.time_signatures: dict[str, list[tuple[int, int]]] = {split: [] for split in SPLITS}
        self.unused: list[Record] = []
        self.silent: list[Record] = []
        self.copies: list[Record] = []
        # Where splits are disjoint: of each stretch, the first split that holds it.
        self._owners: dict[bytes, str] | None = {} if disjoint else None

    def take(self, encoding: Encoding, split: str, label: str, roll: PianoRoll) -> list[np.ndarray]:
        """The encoded stretches of a roll that the dataset gets."""
        taken = []
        stretches = [part.from_first_to_last_note() for part in roll.from_bar_line().cut(self.max_length)]
        for stretch in stretches:
            try:
                values = encoding.encode(stretch)
            except LnfgenError as error:  # the other stretches would fail in the same way
                self.unused.append({"path": label, "reason": str(error)})
                break
            steps = counted(stretch.num_steps, "step")
            if not stretch.sounding.any() and len(stretches) == 1:
                own = counted(roll.num_steps, "step")
                self.unused.append({"path": label, "reason": f"holds no notes in range ({own})"})
            elif not stretch.sounding.any():
                self.silent.append({"path": label, "reason": f"has a silent stretch ({steps})"})
            elif self._owners is not None and self._owners.setdefault(digest(values), split) != split:
                self.copies.append({"path": label, "reason": f"an earlier split holds {steps} of it"})
            else:
                taken.append(values)
                self.time_signatures[split].append(stretch.time_signature)
        return taken


@dataclass(frozen=True)
class _Stored:
    """What is kept in memory of a piece that has been read."""

    place: tuple[int, int]  # the number of its file, and its number in the file
    split: str | None
    notes: tuple[object, ...]
    tracks: tuple[Track, ...]


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
    for label, piece in pieces:
        roll = piece.from_bar_line()  # an upbeat may be all of a part
        lines = [*roll.bar_lines(), roll.num_steps]
        for split, bars in split_in_order(len(lines) - 1, shares).items():
            if bars.start < bars.stop:
                splits[split].append((label, roll.stretch(lines[bars.start], lines[bars.stop])))
    return splits
