"""Files of music to a dataset: read, divided into splits, cut at bar lines, and encoded.

All this is done one piece after the other.
"""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import mode
from typing import Any, NamedTuple

from lnfgen.conventions import SPLITS, Progress, TimeSignature, no_progress
from lnfgen.data import benchmarks
from lnfgen.data.dataset import Record
from lnfgen.data.dataset_options import Options
from lnfgen.data.dataset_writer import DatasetWriter
from lnfgen.data.folder_survey import NO_MUSIC, Survey
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.source_files import SourceFile, gather
from lnfgen.data.splits import deal, distinct, in_random_order, num_splits, split_in_order
from lnfgen.data.versions import Versions, passages_of
from lnfgen.errors import DatasetError, LnfgenError, UnreadableFileError
from lnfgen.formats.read_write import MIDI, WITH_SYMBOLS, read
from lnfgen.formats.sandbox import in_parallel
from lnfgen.music.octaves import on_keys_of_parts
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
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.music.time_signature import bar_length
from lnfgen.music.tracks import ALL, BASS, DRUMS, Track, is_lead_sheet
from lnfgen.wording import counted

MAX_PIECE_STEPS = 256

FILES_LOOKED_AT = 24  # so many files of a folder decide which parts its pieces have
BAND_SHARE = 0.25  # the share of their pieces that makes a folder one of bands
RARE_SHARE = 0.05  # the share of their pieces that must have a part, or it is left out

LabelledRoll = tuple[str, PianoRoll]  # a roll and its label, which names its file


class SongPiece(NamedTuple):
    """A piece that goes into a dataset."""

    song: int  # the number of its song; versions of one song have one number
    label: str  # names its file
    roll: PianoRoll


def add_music(
    dataset: DatasetWriter,
    files: Sequence[SourceFile],
    options: Options,
    progress: Progress,
    jobs: int | None,
) -> None:
    """Fill a dataset from MIDI files, scores and piano-rolls, which are read a few at a time.

    Where the files do not say their splits, they are read in a random order, and whole pieces are
    dealt to the splits as they come, so that the steps of the splits keep to the shares, and the
    versions of a song are in one split. If there are fewer songs than splits, each piece is split
    in time. In either case no split holds a sequence of another one.
    """
    max_length = options.max_length or MAX_PIECE_STEPS
    dataset.options |= {"kind": "music", "max_length": max_length}
    dataset.disjoint = files[0].split is None
    if dataset.disjoint:
        order = in_random_order([file.label for file in files], options.seed)
        files = [files[place] for place in order]
    else:
        files = sorted(files, key=lambda file: SPLITS.index(file.split or "train"))
    options = in_known_parts(files, options, progress, jobs)
    dataset.survey = Survey(options.steps_per_quarter, options.tracks, wanted_roles(options.parts))
    with closing(reading(files, options, progress, jobs)) as results:
        pieces = _pieces(dataset, zip(files, results, strict=True), options.seed)
        if dataset.disjoint:
            unsplit = (piece for _, piece in pieces)
            placed = _dealt(dataset, unsplit, options.split)
        else:
            placed = _with_songs(pieces)
        encode_rolls(dataset, placed, max_length, options.steps_per_quarter)


def reading(
    files: Sequence[SourceFile], options: Options, progress: Progress, jobs: int | None = None
) -> Generator[list[Song] | LnfgenError, None, None]:
    """The songs of each file, or why it cannot be read, in their order, from several processes."""
    paths = [file.path for file in files]
    return in_parallel(partial(_songs, options=options), paths, "reading", progress, jobs)


def in_known_parts(
    files: Sequence[SourceFile], options: Options, progress: Progress, jobs: int | None = None
) -> Options:
    """The options with the parts of these files in place of `auto`.

    The parts are those of a band if enough of some files are one: files with drums, or with a track
    that is named a melody beside others, or scores that are lead sheets. A part is left out that
    hardly any of them has.
    """
    if options.parts != AUTO:
        return options
    is_chosen = options.tracks != ALL and "=" not in options.tracks
    usual = _usual_files(files)
    if is_chosen or not usual:
        return replace(options, parts=ONE)
    every = -(-len(usual) // FILES_LOOKED_AT)
    results = reading(usual[::every], replace(options, parts=",".join(ROLES)), progress, jobs)
    pieces: list[tuple[Track, ...]] = []
    for result in results:
        if not isinstance(result, LnfgenError):
            pieces += [song.origin.tracks for song in result]
    return replace(options, parts=",".join(_usual_roles(pieces)) or ONE)


def _usual_files(files: Sequence[SourceFile]) -> list[SourceFile]:
    """The MIDI files if half of the files or more are such, or the scores; else none."""
    for suffixes in (MIDI, WITH_SYMBOLS):
        of_kind = [file for file in files if file.suffix in suffixes]
        if 2 * len(of_kind) >= len(files):
            return of_kind
    return []


def _usual_roles(pieces: Sequence[Sequence[Track]]) -> list[str]:
    """The roles that are not rare among pieces with these tracks; none if too few are of a band."""
    counts: Counter[str] = Counter()
    with_named_melody = 0
    lead_sheets = 0
    for tracks in pieces:
        counts.update({track.role for track in tracks})
        lead_sheets += is_lead_sheet(tracks)
        if any(track.role == MELODY and track.why == BY_NAME for track in tracks):
            with_named_melody += 1
    bands = counts[DRUMS]
    if counts[CHORDS] + counts[BASS]:
        bands = max(bands, with_named_melody)
    are_lead_sheets = 2 * lead_sheets > len(pieces)
    if not pieces or (bands < BAND_SHARE * len(pieces) and not are_lead_sheets):
        return []
    return [role for role in ROLES if counts[role] >= RARE_SHARE * len(pieces)]


def folder_facts(
    folder: Path, options: Options, progress: Progress = no_progress
) -> dict[str, Any]:
    """The facts of a folder of music, which is read as for a dataset, and a verdict on it.

    `Survey.facts` has them.
    """
    files = gather([folder])
    options = in_known_parts(files, options, progress)
    survey = Survey(options.steps_per_quarter, options.tracks, wanted_roles(options.parts))
    with closing(reading(files, options, progress)) as results:
        for result in results:
            survey.take(result)
    copies = len(files) - len({file.sha256 for file in files})
    return {"kind": "folder", "copies": copies} | survey.facts(folder)


def _songs(path: Path, options: Options) -> list[Song]:
    pieces = read(
        path,
        steps_per_quarter=options.steps_per_quarter,
        tracks=options.tracks,
        parts=options.parts,
    )
    # a piano-roll has the parts that it was written with
    wanted = [Part(role) for role in wanted_roles(options.parts)]
    songs = [piece.in_parts(wanted) for piece in pieces if not isinstance(piece, str)]
    if not songs:
        raise UnreadableFileError(f"{path} {NO_MUSIC}")
    return songs


def add_benchmark(dataset: DatasetWriter, files: Sequence[SourceFile]) -> None:
    """Fill a dataset from one benchmark file.

    It has its own splits, and its pieces stay as they are: sounding keys without onsets.
    """
    path = next(file.path for file in files if file.suffix in benchmarks.SUFFIXES)
    if len(files) > 1:
        raise DatasetError(
            f"{path} is a benchmark set beside other sources; expected that file alone"
        )
    pieces = benchmarks.read_benchmark(path)
    first = next(chain.from_iterable(pieces.values()), None)
    if first is None:
        raise DatasetError(f"{path} holds no pieces")
    encoding = MusicEncoding(
        has_onsets=False,
        steps_per_quarter=first.steps_per_quarter,
        tempo_bpm=first.tempo_bpm,
    )
    dataset.encoding = encoding
    dataset.options |= {
        "kind": "music",
        "split": None,
        "max_length": None,
        "steps_per_quarter": encoding.steps_per_quarter,
    }
    dataset.sources.append(files[0].record)
    for split, rolls in pieces.items():
        for roll in rolls:
            dataset.add(split, encoding.encode(roll))


def encode_rolls(
    dataset: DatasetWriter,
    pieces: Iterable[tuple[str, SongPiece]],
    max_length: int,
    steps_per_quarter: int,
    tempo_bpm: float | None = None,
) -> None:
    """Add pieces to their splits, from a bar line on and cut at bar lines.

    Stretches have at most `max_length` steps. Silent bars at their ends are left out: a model that
    has learned some would begin late, or stop early. Parts of a band are moved by octaves onto
    their keys.

    Tempo (unless given) and time signature of the encoding are the most common ones, and its range
    of pitches is that of the first roll. A roll on another grid or of another range and each
    stretch without a note are skipped.
    """
    encoding: MusicEncoding | None = None
    parts: list[tuple[Part, ...]] = []
    tempos: list[float] = []
    signatures: list[TimeSignature] = []
    num_moved = 0
    for split, piece in pieces:
        roll = piece.roll
        if encoding is None:
            encoding = MusicEncoding(
                lowest_pitch=roll.lowest_pitch,
                num_pitches=NUM_KEYS if roll.parts else roll.num_pitches,
                steps_per_quarter=steps_per_quarter,
                fills_upbeats=True,
                parts=roll.parts,
            )
            dataset.encoding = encoding
        parts.append(roll.parts)
        tempos.append(roll.tempo_bpm)
        signatures.append(roll.time_signature)
        if roll.parts:
            roll, moved_notes = on_keys_of_parts(roll)
            num_moved += moved_notes
            piece = piece._replace(roll=roll)
        _add_stretches(dataset, encoding, split, piece, max_length)
    assert encoding is not None  # the sources hold a readable piece
    if num_moved:
        notes = counted(num_moved, "note")
        dataset.remarks.append(f"moved {notes} by octaves, onto the four octaves of their part")
    dataset.encoding = replace(
        encoding,
        tempo_bpm=tempo_bpm or mode(tempos),
        time_signature=mode(signatures),
        parts=usual_parts(parts),
    )


def _add_stretches(
    dataset: DatasetWriter,
    encoding: MusicEncoding,
    split: str,
    piece: SongPiece,
    max_length: int,
) -> None:
    """Add the stretches of a piece with notes, each of at most `max_length` steps."""
    song, label, roll = piece
    stretches = [part.from_first_to_last_note() for part in roll.from_bar_line().cut(max_length)]
    for stretch in stretches:
        try:
            values = encoding.encode(stretch)
        except LnfgenError as error:  # the other stretches would fail in the same way
            dataset.skip(label, str(error))
            break
        dataset.survey.report["out_of_range"] += encoding.num_beyond(stretch)
        if not stretch.sounding.any():
            if len(stretches) == 1:
                steps = counted(roll.num_steps, "step")
                dataset.skip(label, f"holds no notes in range ({steps})")
            else:
                reason = f"{_duration(stretch)} of silence in it"
                dataset.skipped.append({"path": label, "reason": reason})
        elif not dataset.add(split, values, stretch.time_signature, song):
            reason = f"{_duration(stretch)} of it are in another split"
            dataset.copies.append({"path": label, "reason": reason})


def _duration(roll: PianoRoll) -> str:
    """The length in bars, as in `4 bars`, or in steps if it is no whole number of bars."""
    bars = roll.num_steps / bar_length(roll.time_signature, roll.steps_per_quarter)
    if bars.denominator == 1:
        return counted(int(bars), "bar")
    return f"{counted(roll.num_steps, 'step')} ({roll.steps_per_quarter} to a quarter)"


def _pieces(
    dataset: DatasetWriter,
    results: Iterable[tuple[SourceFile, list[Song] | LnfgenError]],
    seed: int,
) -> Iterator[tuple[str, LabelledRoll]]:
    """The pieces of all files that can be read, with the splits that the files name, or ""."""
    for file, songs in dataset.readable(_surveyed(dataset.survey, results), "music"):
        labelled = file.labelled([song.roll for song in songs])
        order: Iterable[int] = range(len(labelled))
        if file.split is None:
            order = in_random_order([label for label, _ in labelled], seed)
        for place in order:
            yield file.split or "", labelled[place]
    merged = dataset.survey.merged()
    if merged:
        dataset.remarks.append(f"pieces with several tracks: {merged}")


def _surveyed(
    survey: Survey, results: Iterable[tuple[SourceFile, list[Song] | LnfgenError]]
) -> Iterator[tuple[SourceFile, list[Song] | LnfgenError]]:
    """The files and their results as they come, after the survey has counted them."""
    for file, result in results:
        yield file, survey.take(result)


def _with_songs(pieces: Iterable[tuple[str, LabelledRoll]]) -> Iterator[tuple[str, SongPiece]]:
    """The pieces with the numbers of their songs."""
    versions = Versions()
    for number, (split, (label, roll)) in enumerate(pieces):
        passages = passages_of(roll)
        related = versions.related(passages)
        song = related[0] if related else number
        versions.add(passages, song)
        yield split, SongPiece(song, label, roll)


def _dealt(
    dataset: DatasetWriter, pieces: Iterable[LabelledRoll], shares: Sequence[float]
) -> Iterator[tuple[str, SongPiece]]:
    """The pieces that are no copies, each with the split that its song is dealt to.

    Where there are fewer songs than splits, these are stretches of the pieces.
    """
    split_of_song: dict[int, str] = {}
    different = distinct(pieces, _notes_of, "the same notes", dataset.copies)
    of_songs = _of_one_split(different, split_of_song, dataset.copies)
    first: dict[int, list[SongPiece]] = {}
    while len(first) < num_splits(shares):
        piece = next(of_songs, None)
        if piece is None:
            break
        first.setdefault(piece.song, []).append(piece)
    if len(first) < num_splits(shares):
        dataset.remarks.append(
            f"there are fewer songs ({len(first)}) than splits, so each piece was split in time, at"
            " bar lines"
        )
        yield from _split_in_time(chain.from_iterable(first.values()), shares)
        return
    # The longest goes to the greatest share.
    longest_first = sorted(first.values(), key=_steps_of_all, reverse=True)
    in_order = chain(chain.from_iterable(longest_first), of_songs)
    for split, piece in deal(in_order, shares, _steps_of, lambda piece: piece.song):
        split_of_song[piece.song] = split
        yield split, piece


def _of_one_split(
    pieces: Iterable[LabelledRoll], split_of_song: Mapping[int, str], copies: list[Record]
) -> Iterator[SongPiece]:
    """The pieces with the numbers of their songs, as they come.

    One that is a version of several songs in different splits is left out, and noted in `copies`.
    `split_of_song` has the splits of the songs that have one by now.
    """
    versions = Versions()
    for number, (label, roll) in enumerate(pieces):
        passages = passages_of(roll)
        related = versions.related(passages)
        places = {split_of_song.get(song, song) for song in related}
        if len(places) > 1:
            reason = f"it shares passages with {counted(len(related), 'song')} of different splits"
            copies.append({"path": label, "reason": reason})
            continue
        song = related[0] if related else number
        versions.add(passages, song)
        yield SongPiece(song, label, roll)


def _split_in_time(
    pieces: Iterable[SongPiece], shares: Sequence[float]
) -> Iterator[tuple[str, SongPiece]]:
    """Stretches of each piece, one for each split, divided at bar lines."""
    kept = list(pieces)
    for split in SPLITS:
        for piece in kept:
            roll = piece.roll.from_bar_line()  # an upbeat may be all of a part
            lines = [*roll.bars().values(), roll.num_steps]
            bars = split_in_order(len(lines) - 1, shares)[split]
            if bars.start < bars.stop:
                stretch = roll.stretch(lines[bars.start], lines[bars.stop])
                yield split, piece._replace(roll=stretch)


def _steps_of(piece: SongPiece) -> int:
    return piece.roll.num_steps


def _steps_of_all(pieces: Sequence[SongPiece]) -> int:
    return sum(map(_steps_of, pieces))


def _notes_of(roll: PianoRoll) -> int:
    """A hash that two copies of a piece share, whatever their tempo and time signature are."""
    keys = (roll.steps_per_quarter, roll.lowest_pitch, roll.sounding.shape)
    return hash((*keys, roll.sounding.tobytes(), roll.struck().tobytes()))
