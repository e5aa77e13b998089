"""Read and write pieces of music and texts, in the format of a file's suffix."""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

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
from lnfgen.music.instruments import Programs, programs_of
from lnfgen.music.parts import ONE, Part, wanted_roles
from lnfgen.music.pianoroll import STEPS_PER_QUARTER, PianoRoll
from lnfgen.music.tracks import ALL
from lnfgen.wording import with_name

Piece = PianoRoll | str

MIDI = (".mid", ".midi")
SCORES = (".musicxml", ".xml", ".mxl", ".abc", ".krn")
ROLLS = (".npz", ".txt")  # a .txt may be a text as well
READABLE = (*MIDI, *SCORES, *ROLLS)
WRITABLE_MUSIC = (".mid", ".midi", ".musicxml", ".npz", ".txt", ".png", ".html", ".wav")
WRITABLE_TEXT = (".txt", ".abc")
PAGE = ".html"  # its file holds any number of pieces; a file with another suffix holds one piece
SOUND = ".wav"
WITH_VOICES = (*MIDI, ".musicxml", PAGE, SOUND)  # formats that can hold voices apart

# bytes of MIDI or of a roll as text, which are read in at most a few seconds and 300 MB
_QUICK = 1 << 18
# bytes of a .npz: a million steps of 128 pitches that sound and are struck; no piece is larger
_MAX_UNPACKED = 1 << 28


def read(
    path: str | Path,
    *,
    steps_per_quarter: int = STEPS_PER_QUARTER,
    tracks: str = ALL,
    parts: str = ONE,
) -> list[Piece]:
    """The pieces in a file. For most files the list has one piece.

    A `.txt` that starts with `# lnfgen piano-roll` is a piano-roll, any other a text. Piano-rolls
    keep their own grid.

    Texts and small MIDI files are parsed in this process, all others in a child process that has a
    limit of time and a limit of memory (see `lnfgen.formats.sandbox`). Of a pipe without a suffix
    the first bytes decide.

    Args:
        steps_per_quarter: the grid that MIDI files and scores are rounded to.
        tracks: the tracks of a MIDI file, or parts of a score, to merge into one piano-roll:
            `melody`; a number; a word of a name or instrument, as `bass`; several of these with
            commas; or `all` (but for the drums). `PianoRoll.tracks` lists them.
        parts: `1`, or how many parts of a band at most the roll has, or which, as `drums,bass`.
            Then `tracks` may place some, as `melody=lead guitar`.

    Raises:
        UnreadableFileError: if the file is missing, damaged, too large, or of another format than
        its suffix names.
    """
    path = Path(path)
    suffix = None if path.is_fifo() and not path.suffix else path.suffix.lower()
    if suffix not in (*READABLE, None) and path.is_file():
        raise UnreadableFileError(
            f"{path} has an unknown suffix {suffix!r}; expected one of {' '.join(READABLE)}"
        )
    content = bytes_of(path, "a file of music, or a text")
    return read_bytes(
        content, str(path), suffix, steps_per_quarter=steps_per_quarter, tracks=tracks, parts=parts
    )


def read_bytes(
    content: bytes,
    name: str = "-",
    suffix: str | None = None,
    *,
    steps_per_quarter: int = STEPS_PER_QUARTER,
    tracks: str = ALL,
    parts: str = ONE,
) -> list[Piece]:
    """The pieces in the content of a file, with the options and the errors of `read`.

    Args:
        name: stands for a path in errors.
        suffix: the suffix of the file. With None, as for stdin, the first bytes decide: MIDI,
            `.npz`, `.mxl`, MusicXML, or else text, as ABC and humdrum too look like prose.
    """
    suffix = _suffix_of(content) if suffix is None else suffix
    if not content:
        raise UnreadableFileError(f"{name} is empty; expected a file of music, or a text")
    if suffix == ".txt" and not (text := decode_utf8(content, name)).startswith(MARK):
        return [text]
    arguments = (content, suffix, name, steps_per_quarter, tracks, wanted_roles(parts))
    try:
        if suffix in (*MIDI, ".txt") and len(content) <= _QUICK:
            return [*_parse(*arguments)]
        return [*in_child(_parse, *arguments, name=name)]
    except LnfgenError as error:  # that of a piano-roll does not know the file
        raise UnreadableFileError(with_name(name, str(error))) from error


def _suffix_of(content: bytes) -> str:
    if content.startswith(b"MThd"):
        return ".mid"
    if content.startswith(b"PK\x03\x04"):
        return ".mxl" if b"META-INF/" in content[:4096] or b".npy" not in content[:4096] else ".npz"
    is_score = content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(
        (b"<?xml", b"<!DOCTYPE score-", b"<score-")
    )
    return ".musicxml" if is_score else ".txt"


def _parse(
    content: bytes,
    suffix: str,
    name: str,
    steps_per_quarter: int,
    tracks: str,
    roles: tuple[str, ...],
) -> list[PianoRoll]:
    """The piano-rolls in the content of a file."""
    if suffix in SCORES:
        return read_score(
            content, suffix, name, steps_per_quarter=steps_per_quarter, tracks=tracks, roles=roles
        )
    restart_clock()
    if suffix in MIDI:
        return read_midi(
            content, name, steps_per_quarter=steps_per_quarter, tracks=tracks, roles=roles
        )
    return [
        _read_npz(content, name)
        if suffix == ".npz"
        else roll_from_text(decode_utf8(content, name), name)
    ]


def write(
    path: str | Path,
    piece: Piece | Sequence[Piece],
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
    drawn notes in tracks of their own, as a `.mid`, `.wav` or `.musicxml`;
    `dataclasses.replace(piece, song=None)` is the roll alone.

    Args:
        program, voices, names, drawn_name, seed: as `to_bytes` takes them. The title is the name of
            the file.

    Raises:
        LnfgenError: if the suffix does not fit the piece, or there are several for a format that
        holds one. OutputError: if the path cannot be written.
    """
    path = Path(path)
    how: dict[str, Any] = {
        "program": program,
        "voices": voices,
        "drawn_name": drawn_name,
        "seed": seed,
    }
    files.write_bytes(path, to_bytes(piece, path.suffix, title=path.stem, names=names, **how))


def to_bytes(
    piece: Piece | Sequence[Piece],
    suffix: str,
    *,
    program: Programs | None = None,
    voices: int | None = None,
    title: str = "",
    names: Sequence[str] | None = None,
    drawn_name: str = "drawn",
    seed: int | None = None,
) -> bytes:
    """The content of a file with this suffix that holds the piece, or several pieces if the suffix
    is `.html`.

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
    suffix, programs = suffix.lower(), [] if program is None else programs_of(program)
    require_writer(suffix, voices)
    pieces = [piece] if isinstance(piece, PianoRoll | str) else list(piece)
    rolls = [one for one in pieces if isinstance(one, PianoRoll)]
    if suffix == PAGE and len(rolls) == len(pieces):
        return page_bytes(
            rolls,
            title,
            names=names,
            programs=programs,
            voices=voices,
            drawn_name=drawn_name,
            seed=seed,
        )
    if len(pieces) != 1:
        raise LnfgenError(
            f"cannot write {len(pieces)} pieces as one {suffix!r}; expected one, or {PAGE} and music"
        )
    (one,) = pieces
    kind, fitting = (
        ("a text", WRITABLE_TEXT) if isinstance(one, str) else ("a piano-roll", WRITABLE_MUSIC)
    )
    if suffix not in fitting:
        raise LnfgenError(f"cannot write {kind} as {suffix!r}; expected one of {' '.join(fitting)}")
    if isinstance(one, str):
        return one.encode("utf-8")
    if suffix in MIDI:
        return midi_of(one, programs=programs, voices=voices, drawn_name=drawn_name)
    if suffix == SOUND:
        return wav_bytes(one, programs=programs, voices=voices)
    if suffix == ".musicxml":
        return musicxml_bytes(one, voices=voices, title=one.title or title, drawn_name=drawn_name)
    if suffix == ".png":
        return png_bytes(one)
    return _npz_bytes(one) if suffix == ".npz" else roll_to_text(one).encode("utf-8")


def require_writer(suffix: str, voices: int | None = None) -> None:
    """Raise an `LnfgenError` if the format needs a program that is missing, or cannot write these
    voices apart."""
    if voices is not None and suffix not in WITH_VOICES:
        raise LnfgenError(
            f"cannot write voices apart as {suffix!r}; expected one of {' '.join(WITH_VOICES)}"
        )
    if suffix == SOUND:
        require_synthesiser()


def _npz_bytes(roll: PianoRoll) -> bytes:
    arrays = {
        "sounding": roll.sounding,
        "steps_per_quarter": np.int64(roll.steps_per_quarter),
        "lowest_pitch": np.int64(roll.lowest_pitch),
        "tempo_bpm": np.float64(roll.tempo_bpm),
        "time_signature": np.array(roll.time_signature, dtype=np.int64),
    }
    if roll.onsets is not None:
        arrays["onsets"] = roll.onsets
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
        beats, unit = np.asarray(values.get("time_signature", (4, 4))).tolist()
        return PianoRoll(
            values["sounding"],
            values.get("onsets"),
            int(values.get("steps_per_quarter", STEPS_PER_QUARTER)),
            int(values.get("lowest_pitch", 21)),
            float(values.get("tempo_bpm", 120.0)),
            (int(beats), int(unit)),
            upbeat=int(values.get("upbeat", 0)),
            parts=tuple(map(Part.from_json, json.loads(str(values.get("parts", "[]"))))),
        )
    except (LnfgenError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UnreadableFileError(f"{name} is no piano-roll: {error}") from error
