"""Files of music to a dataset: read, divided into splits, cut at bar lines, encoded, one piece
after the other."""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from statistics import mode
from typing import Any

from lnfgen.conventions import SPLITS, Progress, TimeSignature, no_progress
from lnfgen.data import benchmarks
from lnfgen.data.division import deal, distinct, in_random_order, num_splits, split_in_order
from lnfgen.data.encoding import Encoding
from lnfgen.data.gather import Options, SourceFile, gather
from lnfgen.data.prepared import DatasetWriter
from lnfgen.data.survey import NO_MUSIC, Survey
from lnfgen.errors import DatasetError, LnfgenError, UnreadableFileError
from lnfgen.formats.read_write import MIDI, read
from lnfgen.formats.sandbox import in_parallel
from lnfgen.music.parts import (
    AUTO,
    BY_NAME,
    CHORDS,
    MELODY,
    NUM_KEYS,
    ONE,
    ROLES,
    Part,
    usual_parts,
    wanted_roles,
)
from lnfgen.music.pianoroll import PianoRoll, bar_length
from lnfgen.music.tracks import ALL, BASS, DRUMS
from lnfgen.wording import counted

MAX_PIECE_STEPS = 256

FILES_LOOKED_AT = 24  # so many files of a folder decide which parts its pieces have
# the shares of these that make a folder one of bands, and that must have a part
BAND_SHARE, RARE_SHARE = 0.25, 0.05

Piece = tuple[str, PianoRoll]  # a roll and its label, which names its file


def add_music(
    dataset: DatasetWriter,
    files: Sequence[SourceFile],
    options: Options,
    progress: Progress,
    jobs: int | None,
) -> None:
    """Fill a dataset from MIDI files, scores and piano-rolls, which are read a few at a time.

    Where the files do not say their splits, they are read in a random order, and whole pieces are
    dealt to the splits as they come, so that the steps of the splits keep to the shares. If there
    are fewer pieces than splits, each piece is split in time. In either case no split holds a
    sequence of another one.
    """
    max_length = options.max_length or MAX_PIECE_STEPS
    dataset.options |= {"kind": "music", "max_length": max_length}
    dataset.disjoint = files[0].split is None
    if dataset.disjoint:
        files = [
            files[place] for place in in_random_order((file.label for file in files), options.seed)
        ]
    else:
        files = sorted(files, key=lambda file: SPLITS.index(file.split or "train"))
    options = in_known_parts(files, options, progress, jobs)
    dataset.survey = Survey(options.steps_per_quarter, options.tracks, wanted_roles(options.parts))
    with closing(reading(files, options, progress, jobs)) as results:
        pieces = _pieces(dataset, zip(files, results, strict=True), options.seed)
        dealt = (
            _dealt(dataset, (piece for _, piece in pieces), options.split)
            if dataset.disjoint
            else pieces
        )
        encode_rolls(dataset, dealt, max_length, options.steps_per_quarter)


def reading(
    files: Sequence[SourceFile], options: Options, progress: Progress, jobs: int | None = None
) -> Generator[list[PianoRoll] | LnfgenError, None, None]:
    """The rolls of each file, or why it cannot be read, in their order, from several processes."""
    return in_parallel(
        partial(_rolls, options=options), [file.path for file in files], "reading", progress, jobs
    )


def in_known_parts(
    files: Sequence[SourceFile], options: Options, progress: Progress, jobs: int | None = None
) -> Options:
    """The options with the parts of these files in place of `auto`: of a band if enough of some
    files are one.

    These are files with drums, or with a track that is named a melody beside others. A part is left
    out that hardly any of them has.
    """
    if options.parts != AUTO:
        return options
    midi = [file for file in files if file.suffix in MIDI]
    is_chosen = options.tracks != ALL and "=" not in options.tracks
    if is_chosen or 2 * len(midi) < len(files):
        return replace(options, parts=ONE)
    some = midi[:: -(-len(midi) // FILES_LOOKED_AT)]
    results = reading(some, replace(options, parts=",".join(ROLES)), progress, jobs)
    pieces = [
        roll.tracks for result in results if not isinstance(result, LnfgenError) for roll in result
    ]
    roles = Counter(role for tracks in pieces for role in {track.role for track in tracks})
    named = sum(
        any(track.role == MELODY and track.why == BY_NAME for track in tracks) for tracks in pieces
    )
    if (
        max(roles[DRUMS], named if roles[CHORDS] + roles[BASS] else 0) < BAND_SHARE * len(pieces)
        or not pieces
    ):
        return replace(options, parts=ONE)
    return replace(
        options, parts=",".join(role for role in ROLES if roles[role] >= RARE_SHARE * len(pieces))
    )


def folder_facts(
    folder: Path, options: Options, progress: Progress = no_progress
) -> dict[str, Any]:
    """The facts of a folder of music, which is read as for a dataset, and a verdict on it; see
    `Survey.facts`."""
    files = gather([folder])
    options = in_known_parts(files, options, progress)
    survey = Survey(options.steps_per_quarter, options.tracks, wanted_roles(options.parts))
    with closing(reading(files, options, progress)) as results:
        for result in results:
            survey.take(result)
    copies = len(files) - len({file.sha256 for file in files})
    return {"kind": "folder", "copies": copies} | survey.facts(folder)


def _rolls(path: Path, options: Options) -> list[PianoRoll]:
    pieces = read(
        path,
        steps_per_quarter=options.steps_per_quarter,
        tracks=options.tracks,
        parts=options.parts,
    )
    # a piano-roll has the parts that it was written with
    wanted = [Part(role) for role in wanted_roles(options.parts)]
    if rolls := [piece.in_parts(wanted) for piece in pieces if isinstance(piece, PianoRoll)]:
        return rolls
    raise UnreadableFileError(f"{path} {NO_MUSIC}")


def add_benchmark(dataset: DatasetWriter, files: Sequence[SourceFile]) -> None:
    """Fill a dataset from one benchmark file: its own splits, its pieces as they are, sounding keys
    without onsets."""
    path = next(file.path for file in files if file.suffix in benchmarks.SUFFIXES)
    if len(files) > 1:
        raise DatasetError(
            f"{path} is a benchmark set beside other sources; expected that file alone"
        )
    pieces = benchmarks.read_benchmark(path)
    first = next((roll for rolls in pieces.values() for roll in rolls), None)
    if first is None:
        raise DatasetError(f"{path} holds no pieces")
    grid = first.steps_per_quarter
    dataset.encoding = Encoding(
        "music", has_onsets=False, steps_per_quarter=grid, tempo_bpm=first.tempo_bpm
    )
    dataset.options |= {
        "kind": "music",
        "split": None,
        "max_length": None,
        "steps_per_quarter": grid,
    }
    dataset.sources.append(files[0].record)
    for split, rolls in pieces.items():
        for roll in rolls:
            dataset.add(split, dataset.encoding.encode(roll))


def encode_rolls(
    dataset: DatasetWriter,
    pieces: Iterable[tuple[str, Piece]],
    max_length: int,
    steps_per_quarter: int,
    tempo_bpm: float | None = None,
) -> None:
    """Add pieces to their splits, from a bar line on and cut at bar lines to at most `max_length`
    steps.

    Silent bars at the ends of a stretch are left out: a model that has learned some would begin
    late, or stop early.

    Tempo (unless given) and time signature of the encoding are the most common ones, and its range
    of pitches is that of the first roll. A roll on another grid or of another range and each
    stretch without a note are skipped.
    """
    parts: list[tuple[Part, ...]] = []
    tempos: list[float] = []
    metres: list[TimeSignature] = []
    for split, (label, roll) in pieces:
        if not tempos:
            num_pitches = NUM_KEYS if roll.parts else roll.num_pitches
            grid = (roll.lowest_pitch, num_pitches, steps_per_quarter * roll.stride)
            dataset.encoding = Encoding("music", True, *grid, fills_upbeats=True, parts=roll.parts)
        parts.append(roll.parts)
        tempos.append(roll.tempo_bpm)
        metres.append(roll.time_signature)
        _add_stretches(dataset, split, label, roll, max_length * roll.stride)
    encoding = replace(
        dataset.encoding, tempo_bpm=tempo_bpm or mode(tempos), time_signature=mode(metres)
    )
    dataset.encoding = replace(encoding, parts=usual_parts(parts))


def _add_stretches(
    dataset: DatasetWriter, split: str, label: str, roll: PianoRoll, max_length: int
) -> None:
    stretches = [part.from_first_to_last_note() for part in roll.from_bar_line().cut(max_length)]
    for stretch in stretches:
        try:
            values = dataset.encoding.encode(stretch)
            dataset.survey.losses["out_of_range"] += dataset.encoding.num_beyond(stretch)
        except LnfgenError as error:  # the other stretches would fail in the same way
            dataset.skip(label, str(error))
            break
        if not stretch.sounding.any() and len(stretches) == 1:
            dataset.skip(label, f"holds no notes in range ({counted(roll.num_steps, 'step')})")
        elif not stretch.sounding.any():
            dataset.skipped.append(
                {"path": label, "reason": f"{_duration(stretch)} of silence in it"}
            )
        elif not dataset.add(split, values, stretch.time_signature):
            dataset.copies.append(
                {"path": label, "reason": f"{_duration(stretch)} of it are in another split"}
            )


def _duration(roll: PianoRoll) -> str:
    """The length in bars, as in `4 bars`, or in steps if it is no whole number of bars."""
    bars = roll.num_steps / bar_length(roll.time_signature, roll.steps_per_quarter)
    steps = f"{counted(roll.num_steps, 'step')} ({roll.steps_per_quarter} to a quarter)"
    return counted(int(bars), "bar") if bars.denominator == 1 else steps


def _pieces(
    dataset: DatasetWriter,
    results: Iterable[tuple[SourceFile, list[PianoRoll] | LnfgenError]],
    seed: int,
) -> Iterator[tuple[str, Piece]]:
    """The pieces of all files that can be read, with the splits that the files name, or ""."""
    taken = ((file, dataset.survey.take(result)) for file, result in results)
    for file, rolls in dataset.readable(taken, "music"):
        labelled = file.labelled(rolls)
        order = (
            range(len(labelled))
            if file.split
            else in_random_order((label for label, _ in labelled), seed)
        )
        yield from ((file.split or "", labelled[place]) for place in order)
    if merged := dataset.survey.merged():
        dataset.remarks.append(f"pieces with several tracks: {merged}")


def _dealt(
    dataset: DatasetWriter, pieces: Iterable[Piece], shares: Sequence[float]
) -> Iterator[tuple[str, Piece]]:
    """The pieces that are no copies, each with the split that it is dealt to; or where they are
    few, their parts."""
    different = distinct(pieces, _notes_of, "the same notes", dataset.copies)
    first = list(islice(different, num_splits(shares)))
    if len(first) == num_splits(shares):
        first.sort(key=_steps_of, reverse=True)  # the longest goes to the greatest share
        yield from deal(chain(first, different), shares, _steps_of)
        return
    dataset.remarks.append(
        f"there are fewer pieces ({len(first)}) than splits, so each was split in time, at bar lines"
    )
    for split in SPLITS:
        for label, piece in first:
            roll = piece.from_bar_line()  # an upbeat may be all of a part
            lines = [*roll.bars().values(), roll.num_steps]
            bars = split_in_order(len(lines) - 1, shares)[split]
            if bars.start < bars.stop:
                yield split, (label, roll.stretch(lines[bars.start], lines[bars.stop]))


def _steps_of(piece: Piece) -> int:
    return piece[1].num_steps


def _notes_of(roll: PianoRoll) -> int:
    """A hash that two copies of a piece share, whatever their tempo and time signature are."""
    notes = roll.sounding.tobytes(), roll.struck().tobytes()
    return hash((roll.steps_per_quarter, roll.lowest_pitch, roll.sounding.shape, *notes))
