"""Read and write pieces of music and texts, in the format of a file's suffix."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lnfgen import files
from lnfgen.errors import LnfgenError, UnreadableFileError, unreadable
from lnfgen.formats.midi import read_midi
from lnfgen.formats.notation import musicxml_bytes
from lnfgen.formats.page import page_bytes
from lnfgen.formats.picture import png_bytes
from lnfgen.formats.rolltext import MARK, roll_from_text, roll_to_text
from lnfgen.formats.sandbox import in_child, restart_clock
from lnfgen.formats.scores import read_score
from lnfgen.formats.song import midi_of
from lnfgen.formats.sound import require_synthesiser, wav_bytes
from lnfgen.formats.text import bytes_of, decode_utf8
from lnfgen.music.chord_finding import chords_of, song_chart
from lnfgen.music.instruments import Programs, programs_of
from lnfgen.music.parts import ONE, Part, wanted_roles
from lnfgen.music.pianoroll import LOWEST_PITCH, STEPS_PER_QUARTER, PianoRoll
from lnfgen.music.song import Song
from lnfgen.music.tracks import ALL
from lnfgen.wording import with_name

Piece = Song | str
GivenPiece = Piece | PianoRoll
"""What a person may give: a piece, or a piano-roll, which is a song of no file."""

MIDI = (".mid", ".midi")
SCORES = (".musicxml", ".xml", ".mxl", ".abc", ".krn")
WITH_SYMBOLS = (".musicxml", ".xml", ".mxl", ".abc")  # scores of which chord symbols are read
ROLLS = (".npz", ".txt")  # a .txt may be a text as well
READABLE = (*MIDI, *SCORES, *ROLLS)
WRITABLE_MUSIC = (".mid", ".midi", ".musicxml", ".npz", ".txt", ".chords", ".png", ".html", ".wav")
WRITABLE_TEXT = (".txt", ".abc")
PAGE = ".html"  # its file holds any number of pieces; a file with another suffix holds one piece
SOUND = ".wav"
CHART = ".chords"  # the chords of a piece over its bars, as text
NAMING_CHORDS = (*MIDI, ".musicxml", CHART, ".png", PAGE)  # formats that can name chords
WITH_VOICES = (*MIDI, ".musicxml", PAGE, SOUND)  # formats that can hold voices apart

# Bytes of MIDI or of a roll as text, which are read in at most a few seconds and 300 MB
_QUICK = 1 << 18
# Bytes of a .npz: a million steps of 128 pitches that sound and are struck; no piece is larger
_MAX_UNPACKED = 1 << 28


@dataclass(frozen=True)
class _Options:
    """How a file of music becomes songs, as `read` takes it."""

    steps_per_quarter: int = STEPS_PER_QUARTER
    tracks: str = ALL
    roles: tuple[str, ...] = ()  # the parts of a band


def read(
    path: str | Path,
    *,
    steps_per_quarter: int = STEPS_PER_QUARTER,
    tracks: str = ALL,
    parts: str = ONE,
) -> list[Song] | list[str]:
    """The songs in a file of music, or the text of another file. Most files hold one piece.

    A `.txt` that starts with `# lnfgen piano-roll` is a piano-roll, any other a text. Piano-rolls
    keep their own grid.

    Texts and small MIDI files are parsed in this process, all others in a child process that has a
    limit of time and a limit of memory (see `lnfgen.formats.sandbox`). Of a pipe without a suffix
    the first bytes decide.

    Args:
        steps_per_quarter: the grid that MIDI files and scores are rounded to.
        tracks: the tracks of a MIDI file, or parts of a score, to merge into one piano-roll:
            `melody`; a number; a word of a name or instrument, as `bass`; several of these with
            commas; or `all` (but for the drums). `Origin.tracks` lists them.
        parts: `1`, or how many parts of a band at most the song has, or which, as `drums,bass`.
            Then `tracks` may place some, as `melody=lead guitar`.

    Raises:
        UnreadableFileError: if the file is missing, damaged, too large, or of another format than
        its suffix names.
    """
    path = Path(path)
    is_nameless_pipe = path.is_fifo() and not path.suffix
    suffix = None if is_nameless_pipe else path.suffix.lower()
    if suffix == CHART and path.is_file():
        raise UnreadableFileError(
            f"{path} is a chart of chords, which has no notes; expected one of {' '.join(READABLE)}"
        )
    if suffix not in (*READABLE, None) and path.is_file():
        raise UnreadableFileError(
            f"{path} has an unknown suffix {suffix!r}; expected one of {' '.join(READABLE)}"
        )
    content = bytes_of(path, "a file of music, or a text")
    return read_bytes(
        content, str(path), suffix, steps_per_quarter=steps_per_quarter, tracks=tracks, parts=parts
    )


# It has the options of `read`.
def read_bytes(  # noqa: PLR0913
    content: bytes,
    name: str = "-",
    suffix: str | None = None,
    *,
    steps_per_quarter: int = STEPS_PER_QUARTER,
    tracks: str = ALL,
    parts: str = ONE,
) -> list[Song] | list[str]:
    """The songs or the text in the content of a file, with the options and the errors of `read`.

    Args:
        name: stands for a path in errors.
        suffix: the suffix of the file. With None, as for stdin, the first bytes decide: MIDI,
            `.npz`, `.mxl`, MusicXML, or else text, as ABC and humdrum too look like prose.
    """
    if suffix is None:
        suffix = _suffix_of(content)
    if not content:
        raise UnreadableFileError(f"{name} is empty; expected a file of music, or a text")
    if suffix == ".txt":
        text = decode_utf8(content, name)
        if not text.startswith(MARK):
            return [text]
    options = _Options(steps_per_quarter, tracks, wanted_roles(parts))
    is_quick = suffix in (*MIDI, ".txt") and len(content) <= _QUICK
    try:
        if is_quick:
            return _parse(content, suffix, name, options)
        return in_child(_parse, content, suffix, name, options, name=name)
    except LnfgenError as error:  # that of a piano-roll does not know the file
        raise UnreadableFileError(with_name(name, str(error))) from error


def _suffix_of(content: bytes) -> str:
    """The suffix of a file that starts as this one does."""
    if content.startswith(b"MThd"):
        return ".mid"
    if content.startswith(b"PK\x03\x04"):
        head = content[:4096]
        is_arrays = b".npy" in head and b"META-INF/" not in head
        return ".npz" if is_arrays else ".mxl"
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith((b"<?xml", b"<!DOCTYPE score-", b"<score-")):
        return ".musicxml"
    return ".txt"


def _parse(content: bytes, suffix: str, name: str, options: _Options) -> list[Song]:
    """The songs in the content of a file of music."""
    if suffix in SCORES:
        return read_score(
            content,
            suffix,
            name,
            steps_per_quarter=options.steps_per_quarter,
            tracks=options.tracks,
            roles=options.roles,
        )
    restart_clock()
    if suffix in MIDI:
        return read_midi(
            content,
            name,
            steps_per_quarter=options.steps_per_quarter,
            tracks=options.tracks,
            roles=options.roles,
        )
    if suffix == ".npz":
        return [Song(_read_npz(content, name))]
    return [Song(roll_from_text(decode_utf8(content, name), name))]


# It has the options of `to_bytes`.
def write(  # noqa: PLR0913
    path: str | Path,
    piece: GivenPiece | Sequence[GivenPiece],
    *,
    program: Programs | None = None,
    voices: int | None = None,
    names: Sequence[str] | None = None,
    drawn_name: str = "drawn",
    seed: int | None = None,
) -> None:
    """Write a piece to `path`, in the format of its suffix. A file that is there is replaced.

    A `.html` is a page that plays its pieces; it takes a list of them. A `.wav` needs the program
    FluidSynth.

    A piece that a model drew from a person's piece is written as that person's own file with the
    drawn notes in tracks of their own, as a `.mid`, `.wav` or `.musicxml`; `song.roll` is the music
    alone.

    Args:
        program, voices, names, drawn_name, seed: as `to_bytes` takes them. The title is the name of
            the file.

    Raises:
        LnfgenError: if the suffix does not fit the piece, or there are several for a format that
        holds one. OutputError: if the path cannot be written.
    """
    path = Path(path)
    content = to_bytes(
        piece,
        path.suffix,
        program=program,
        voices=voices,
        title=path.stem,
        names=names,
        drawn_name=drawn_name,
        seed=seed,
    )
    files.write_bytes(path, content)


# People write `lnfgen.write(path, piece, voices=4)`: each format takes its options by name.
def to_bytes(  # noqa: PLR0913
    piece: GivenPiece | Sequence[GivenPiece],
    suffix: str,
    *,
    program: Programs | None = None,
    voices: int | None = None,
    title: str = "",
    names: Sequence[str] | None = None,
    drawn_name: str = "drawn",
    seed: int | None = None,
) -> bytes:
    """The content of a file with this suffix that holds the piece, or all pieces of a `.html`.

    Args:
        program: the General MIDI instrument of a `.mid`, `.wav` or page, as 73 or "flute", or one
            for each voice. None: a piano, or the instruments of a person's own file.
        voices: how many voices to write apart, in a format of `WITH_VOICES`. With None, the format
            decides.
        drawn_name: names the track of what was drawn beside a person's own notes.
        title: the title of a page, or of a score if the piece has none. Several pieces on a page
            are numbered.
        names: the names of the pieces on a page, in place of numbers.
        seed: what drew the pieces, which a page names.

    Raises:
        LnfgenError: if this kind of piece cannot be written with this suffix; the message lists
        those that fit.
    """
    suffix = suffix.lower()
    programs = [] if program is None else programs_of(program)
    require_writer(suffix, voices)
    pieces = _pieces_of(piece)
    songs = [one for one in pieces if isinstance(one, Song)]
    if suffix == PAGE and len(songs) == len(pieces):
        return page_bytes(
            songs,
            title,
            names=names,
            programs=programs,
            voices=voices,
            drawn_name=drawn_name,
            seed=seed,
        )
    if len(pieces) != 1:
        raise LnfgenError(
            f"cannot write {len(pieces)} pieces as one {suffix!r}; "
            f"expected one, or {PAGE} and music"
        )
    only = pieces[0]
    if isinstance(only, str):
        _require_suffix(suffix, "a text", WRITABLE_TEXT)
        return only.encode("utf-8")
    _require_suffix(suffix, "a piano-roll", WRITABLE_MUSIC)
    if suffix in MIDI:
        return midi_of(only, programs=programs, voices=voices, drawn_name=drawn_name)
    if suffix == SOUND:
        return wav_bytes(only, programs=programs, voices=voices)
    if suffix == ".musicxml":
        own_title = only.origin.title or title
        return musicxml_bytes(only, voices=voices, title=own_title, drawn_name=drawn_name)
    return _WRITERS[suffix](only)


def _pieces_of(piece: GivenPiece | Sequence[GivenPiece]) -> list[Piece]:
    """The texts and songs of what a person gives to be written."""
    given = [piece] if isinstance(piece, GivenPiece) else piece
    pieces: list[Piece] = []
    for one in given:
        if isinstance(one, PianoRoll):
            one = Song(one)
        pieces.append(one)
    return pieces


def _require_suffix(suffix: str, kind: str, fitting: Sequence[str]) -> None:
    if suffix not in fitting:
        raise LnfgenError(f"cannot write {kind} as {suffix!r}; expected one of {' '.join(fitting)}")


def require_writer(suffix: str, voices: int | None = None) -> None:
    """Raise an `LnfgenError` if the format needs a program that is missing.

    It is raised too if the format cannot write these voices apart.
    """
    if voices is not None and suffix not in WITH_VOICES:
        raise LnfgenError(
            f"cannot write voices apart as {suffix!r}; expected one of {' '.join(WITH_VOICES)}"
        )
    if suffix == SOUND:
        require_synthesiser()


def _npz_bytes(song: Song) -> bytes:
    """An archive of the attributes of a roll. Its cells are [T, P], and of a band [T, R, P]."""
    roll = song.roll
    sounding = roll.sounding
    onsets = roll.onsets
    if not roll.parts:
        sounding = sounding[:, 0]
        if onsets is not None:
            onsets = onsets[:, 0]
    arrays = {
        "sounding": sounding,
        "steps_per_quarter": np.int64(roll.steps_per_quarter),
        "lowest_pitch": np.int64(roll.lowest_pitch),
        "tempo_bpm": np.float64(roll.tempo_bpm),
        "time_signature": np.array(roll.time_signature, dtype=np.int64),
    }
    if onsets is not None:
        arrays["onsets"] = onsets
    if roll.upbeat:
        arrays["upbeat"] = np.int64(roll.upbeat)
    if roll.parts:
        arrays["parts"] = np.array(json.dumps([asdict(part) for part in roll.parts]))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _read_npz(content: bytes, name: str) -> PianoRoll:
    """The roll in an archive of arrays; its size is checked before anything is unpacked."""
    with unreadable(f"{name} is a damaged .npz archive", "expected a piano-roll"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > _MAX_UNPACKED:
            raise UnreadableFileError(
                f"{name} unpacks to {size} bytes; expected at most {_MAX_UNPACKED}"
            )
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            values = {key: arrays[key] for key in arrays.files}
    if "sounding" not in values:
        found = ", ".join(sorted(values)) or "nothing"
        raise UnreadableFileError(f"{name} holds {found}; expected a piano-roll's array 'sounding'")
    try:
        return _roll_of_arrays(values)
    except (LnfgenError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UnreadableFileError(f"{name} is no piano-roll: {error}") from error


def _roll_of_arrays(values: Mapping[str, np.ndarray]) -> PianoRoll:
    """The roll of which `_npz_bytes` wrote the arrays.

    In older files a band has cells [T * R, P], a row for each part of a step, and counts rows.
    """
    beats, unit = np.asarray(values.get("time_signature", (4, 4))).tolist()
    named = json.loads(str(values.get("parts", "[]")))
    parts = tuple(Part.from_json(part) for part in named)
    num_parts = max(1, len(parts))
    steps_per_quarter = int(values.get("steps_per_quarter", STEPS_PER_QUARTER))
    upbeat = int(values.get("upbeat", 0))
    # A damaged file may have bytes in place of an array.
    sounding = np.asarray(values["sounding"])
    if sounding.ndim == 2:
        steps_per_quarter //= num_parts
        upbeat //= num_parts
    onsets = None
    if "onsets" in values:
        onsets = _with_parts(np.asarray(values["onsets"]), num_parts)
    return PianoRoll(
        _with_parts(sounding, num_parts),
        onsets,
        steps_per_quarter=steps_per_quarter,
        lowest_pitch=int(values.get("lowest_pitch", LOWEST_PITCH)),
        tempo_bpm=float(values.get("tempo_bpm", 120.0)),
        time_signature=(int(beats), int(unit)),
        upbeat=upbeat,
        parts=parts,
    )


def _with_parts(cells: np.ndarray, num_parts: int) -> np.ndarray:
    """Cells [T, R, P] of rows [T * R, P]. Arrays of another size stay, for a roll to refuse."""
    if cells.ndim != 2:
        return cells
    return cells.reshape(-1, num_parts, cells.shape[1])


def _text_bytes(song: Song) -> bytes:
    return roll_to_text(song.roll).encode("utf-8")


def _chart_bytes(song: Song) -> bytes:
    return f"{song_chart(song, chords_of(song))}\n".encode()


# The formats that take no options
_WRITERS: dict[str, Callable[[Song], bytes]] = {
    ".png": png_bytes,
    ".npz": _npz_bytes,
    ".txt": _text_bytes,
    CHART: _chart_bytes,
}
