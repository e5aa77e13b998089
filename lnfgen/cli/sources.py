"""Datasets, runs and pieces, as commands name them.

It loads all readers, and so a command imports it when it runs.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from lnfgen.cli import console
from lnfgen.data.dataset import Dataset
from lnfgen.data.facts import report_in_words
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.errors import LnfgenError, RunError
from lnfgen.formats.read_write import (
    MIDI,
    READABLE,
    ROLLS,
    WRITABLE_TEXT,
    Piece,
    read,
    read_bytes,
)
from lnfgen.formats.text import bytes_of, decode_utf8, read_text, rest_of
from lnfgen.music.conversion import ConversionReport
from lnfgen.music.parts import AUTO, BY_NAME, CHORDS, MELODY, ONE, ROLES
from lnfgen.music.song import Song
from lnfgen.music.tracks import ALL, BASS, DRUMS, Track, said_of
from lnfgen.pretrained import BOX, DEFAULT, is_boxed
from lnfgen.runs.evaluation_data import reading_options
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.naming import RUNS, find, newest_run
from lnfgen.wording import counted, shown, with_name


def tell_sizes(dataset: Dataset, *sources: str | Path) -> None:
    """Print the sizes of a dataset on stderr.

    If it was just made of `sources`, what these are worth is printed too.
    """
    encoding = dataset.encoding
    for split, counts in dataset.manifest["splits"].items():
        sequences = counted(counts["sequences"], "sequence")
        steps = counted(counts["steps"], encoding.step_noun)
        sizes = f"{sequences}, {steps}"
        if counts["dropped"]:
            sizes += f", {counts['dropped']:,} dropped for their length"
        console.note(f"{split}: {sizes}")
    for remark in encoding.remarks():
        console.note(remark)
    if dataset.survey:
        facts = dataset.survey.facts(*sources)
        for name in ("files", "grid", "music", "verdict"):  # a remark has the tracks
            console.note(f"{name}: {shown(facts[name])}")


def resolve_run(run: Path | None) -> RunFolder:
    """Open the run that a person names, or the newest under runs/, or else a model in the box.

    A note says which, if nobody named it.
    """
    if run is None:
        try:
            path = newest_run()
            console.note(f"run {path}")
        except RunError:
            path = BOX / DEFAULT
            console.note(f"no runs under {RUNS}/; taking the model in the box: {DEFAULT}")
        return RunFolder(path)
    path = find(run, "run").path
    if run.exists() and is_boxed(path) and path != run:
        console.note(f"{run} here is no run; taking the model in the box: {path.name}")
    return RunFolder(path)


def for_each(paths: Sequence[str], do: Callable[[str], None]) -> bool:
    """Do something with each path, print errors, and return True if there were any.

    The error of an only path is raised.
    """
    failed = False
    for path in paths:
        try:
            do(path)
        except LnfgenError as error:
            message = with_name(shown_name(path), str(error))
            if len(paths) == 1:
                raise type(error)(message) from error
            console.fail(message)
            failed = True
    return failed


def shown_name(path: str) -> str:
    """The name of a file in a message."""
    return "stdin" if path == "-" else str(Path(path))


def read_pieces(
    path: str, steps_per_quarter: int, tracks: str, parts: str
) -> list[Song] | list[str]:
    """Read the pieces in a file, or in stdin if the path is -.

    With the parts `auto`, a MIDI file that is the song of a band has the parts that it plays. It is
    one if it has drums, or a track that is named a melody beside others. Any other file, and one of
    which some tracks are asked for, is one piano-roll.
    """
    if path == "-":
        content = rest_of(sys.stdin.buffer, "stdin")
        read_again = partial(read_bytes, content, "stdin")
        is_midi = content.startswith(b"MThd")
    elif Path(path).is_fifo():  # it can be read once
        content = bytes_of(Path(path), "a file of music, or a text")
        read_again = partial(read_bytes, content, path, Path(path).suffix.lower() or None)
        is_midi = content.startswith(b"MThd")
    else:
        read_again = partial(read, path)
        is_midi = Path(path).suffix.lower() in MIDI
    read_in = partial(read_again, steps_per_quarter=steps_per_quarter, tracks=tracks)
    if parts != AUTO:
        return read_in(parts=parts)
    places_tracks = "=" in tracks
    if is_midi and (tracks == ALL or places_tracks):
        pieces = read_in(parts=",".join(ROLES))
        roles = _roles_in(pieces)
        if places_tracks or _is_band(pieces):
            return read_in(parts=",".join(roles))
    return read_in(parts=ONE)


def _roles_in(pieces: Sequence[Piece]) -> list[str]:
    """The roles that tracks of the pieces have."""
    found = {track.role for track in _tracks_of(pieces)}
    return [role for role in ROLES if role in found]


def _is_band(pieces: Sequence[Piece]) -> bool:
    """True if there are drums, or a track that is named a melody beside others."""
    roles = _roles_in(pieces)
    if DRUMS in roles:
        return True
    if CHORDS not in roles and BASS not in roles:
        return False
    return any(track.role == MELODY and track.why == BY_NAME for track in _tracks_of(pieces))


def _tracks_of(pieces: Sequence[Piece]) -> list[Track]:
    """The tracks of the files of all songs."""
    tracks: list[Track] = []
    for piece in pieces:
        if isinstance(piece, Song):
            tracks.extend(piece.origin.tracks)
    return tracks


def read_one(run: RunFolder, source: str, tracks: str, flat: bool) -> Piece:
    """Read the one piece in a file, as the run's kind has it: ABC is text or notes.

    Remarks on it go to stderr.
    """
    encoding = run.encoding
    if isinstance(encoding, MusicEncoding):
        return _read_one_of_music(encoding, source, tracks, flat)
    assert isinstance(encoding, TextEncoding)
    return _read_one_text(run, encoding, source)


def _read_one_of_music(encoding: MusicEncoding, source: str, tracks: str, flat: bool) -> Piece:
    """Read the one song in a file. A text is left to the model to refuse."""
    name = shown_name(source)
    parts = ",".join(encoding.roles) or ONE
    pieces = read_pieces(source, encoding.steps_per_quarter, tracks, parts)
    # Of a roll, harmonize takes the highest line as of any track.
    require_no_roll(source, ["--tracks"] if tracks not in ("all", "melody") else [])
    if len(pieces) != 1:
        raise LnfgenError(
            f"{name} holds {len(pieces)} pieces; expected one; "
            "`lnfgen convert` writes each on its own"
        )
    piece = pieces[0]
    if isinstance(piece, str):
        return piece
    if flat or piece.origin.midi is None:
        tell_of_file([piece], name, mended=["rounded"])  # the known part says what was rounded
        return piece
    num_tracks = len(piece.origin.tracks)
    num_kept = sum(track.kept for track in piece.origin.tracks)
    if num_kept < num_tracks:
        heard = f"the model hears {num_kept} of {counted(num_tracks, 'track')}"
        console.note(f"{name}: {heard}; all others stay as in the file")
    return piece


def _read_one_text(run: RunFolder, encoding: TextEncoding, source: str) -> str:
    """Read a text, as one of the dataset of the run is written."""
    name = shown_name(source)
    suffix = Path(source).suffix.lower()
    if suffix in READABLE and suffix not in WRITABLE_TEXT:
        raise LnfgenError(
            f"{name} is music; expected a text, as {run.name} makes; choose another --run"
        )
    if source == "-":
        text = decode_utf8(rest_of(sys.stdin.buffer, "stdin"), "stdin")
    else:
        text = read_text(Path(source))
    # The last line of a file ends. A line of a corpus does not, and a chunk ends anywhere; a tune
    # does.
    if "\n" not in encoding.vocabulary:
        text = text.rstrip("\r\n")
    elif reading_options(run).chunks:
        text = text.removesuffix("\n")
    if not text:
        raise LnfgenError(f"{name} is empty; expected a text")
    return text


def require_no_roll(source: str, given: Sequence[str]) -> None:
    """Raise an `LnfgenError` for a piano-roll and an option that is for other files alone."""
    if Path(source).suffix.lower() not in ROLLS:
        return
    for option in given:
        if option in ("--steps-per-quarter", "--parts", "--tracks"):
            raise LnfgenError(
                f"{source} is a piano-roll; leave {option} out, which is for MIDI files and scores"
            )


def require_no_text(run: RunFolder, **given: bool) -> None:
    """Raise an `LnfgenError` if the run makes text and an option for music is given."""
    for name, is_given in given.items():
        if is_given and run.encoding.kind == "text":
            raise LnfgenError(f"{run.name} makes text, which has no {name}; leave --{name} out")


def tell_of_file(songs: Sequence[Song], source: str, mended: Sequence[str]) -> None:
    """Print on stderr which tracks of a file were merged, and what else its songs lost.

    What is `mended` is left out.
    """
    if not songs:
        return
    report = ConversionReport()
    for song in songs:
        if len(song.origin.tracks) > 1:
            console.note(f"{source}: {said_of([song.origin.tracks])}")
        report += song.origin.report
    for kind in mended:
        del report[kind]
    for line in report_in_words(report, songs[0].roll.steps_per_quarter):
        console.note(f"{source}: {line}")
