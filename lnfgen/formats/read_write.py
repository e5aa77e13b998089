"""Read and write pieces of music and texts; the suffix of a file says which format it has.

roll = read("song.mid")[0]
write("song.musicxml", roll)
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lnfgen import files
from lnfgen.errors import LnfgenError, UnreadableFileError, unreadable
from lnfgen.formats import rolltext
from lnfgen.formats.sandbox import in_child, restart_clock
from lnfgen.formats.text import decode_utf8
from lnfgen.music.pianoroll import STEPS_PER_QUARTER, PianoRoll
from lnfgen.music.tracks import ALL

Piece = PianoRoll | str

MIDI = (".mid", ".midi")
SCORES = (".musicxml", ".xml", ".mxl", ".abc", ".krn")
ROLLS = (".npz", ".txt")  # a .txt may be a text as well
READABLE = (*MIDI, *SCORES, *ROLLS)
WRITABLE_MUSIC = (".mid", ".midi", ".musicxml", ".npz", ".txt", ".png", ".html", ".wav")
WRITABLE_TEXT = (".txt", ".abc")
PAGE = ".html"
"""The suffix whose file holds any number of pieces; a file with another one holds one piece."""
SOUND = ".wav"
WITH_VOICES = (*MIDI, ".musicxml", PAGE, SOUND)
"""The suffixes whose files can tell voices apart."""

_QUICK = 1 << 18  # bytes of MIDI or of a roll as text, which are read in at most a few seconds and 300 MB
_MAX_UNPACKED = 1 << 28  # bytes of a .npz: a million steps of 128 pitches that sound and are struck; no piece is larger


def read(
    path: str | Path, *, steps_per_quarter: int = STEPS_PER_QUARTER, drums: bool = False, tracks: str = ALL
) -> list[Piece]:
    """The pieces in a file. For most files the list has one piece.

    A `.txt` that starts with `# lnfgen piano-roll` is a piano-roll, any other is a text. Piano-roll files (`.npz` and
    `.txt`) keep their own grid.

    Texts and small MIDI files are parsed in this process. All others are in a child process, which has a limit of time
    and a limit of memory: see `lnfgen.formats.sandbox`.

    Args:
        steps_per_quarter: the grid that MIDI files and scores are rounded to.
        drums: keep the drum channel of a MIDI file, as pitches.
        tracks: those of a MIDI file, or parts of a score, to merge into one piano-roll: `melody`; a number; a word of a
            name or instrument, such as `bass`; several of these with commas; or `all`. `PianoRoll.tracks` lists them.

    Raises:
        UnreadableFileError: if the file is missing or damaged, has an unknown suffix, or is not what its suffix says.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if path.is_dir():
        raise UnreadableFileError(f"{path} is a folder; expected a file")
    if suffix not in READABLE and path.exists():
        raise UnreadableFileError(f"{path} has an unknown suffix {suffix!r}; expected one of {' '.join(READABLE)}")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UnreadableFileError(f"{path} is not there; expected a file ({' '.join(READABLE)})") from None
    except OSError as error:
        raise UnreadableFileError(f"cannot read {path}: {error.strerror}") from error
    return _read(content, suffix, str(path), steps_per_quarter, drums, tracks)


def read_bytes(
    content: bytes,
    name: str = "-",
    *,
    steps_per_quarter: int = STEPS_PER_QUARTER,
    drums: bool = False,
    tracks: str = ALL,
) -> list[Piece]:
    """The pieces in some bytes that have no suffix, such as those of stdin. The first bytes tell the format.

    This may be MIDI, `.npz`, `.mxl`, MusicXML or text. A text is a piano-roll if its first line says so. ABC and
    humdrum cannot be told from prose, and stay text.

    Args:
        name: what errors call the bytes.

    Raises:
        UnreadableFileError: as for `read`.
    """
    if content.startswith(b"MThd"):
        suffix = ".mid"
    elif content.startswith(b"PK\x03\x04"):
        suffix = ".mxl" if b"META-INF/" in content[:4096] or b".npy" not in content[:4096] else ".npz"
    elif content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<?xml", b"<!DOCTYPE score-", b"<score-")):
        suffix = ".musicxml"
    else:
        suffix = ".txt"
    return _read(content, suffix, name, steps_per_quarter, drums, tracks)


def _read(content: bytes, suffix: str, name: str, steps_per_quarter: int, drums: bool, tracks: str) -> list[Piece]:
    """The pieces in the content of a file, which is parsed in a child process unless that is surely quick and safe."""
    if not content:
        raise UnreadableFileError(f"{name} is empty; expected {_KINDS.get(suffix, 'a score')}")
    if suffix == ".txt" and not (text := decode_utf8(content, name)).startswith(rolltext.MARK):
        return [text]
    arguments = (content, suffix, name, steps_per_quarter, drums, tracks)
    if suffix in (*MIDI, ".txt") and len(content) <= _QUICK:
        return [*_parse(*arguments)]
    return [*in_child(_parse, *arguments, name=name)]


def _parse(content: bytes, suffix: str, name: str, steps_per_quarter: int, drums: bool, tracks: str) -> list[PianoRoll]:
    """The piano-rolls in the content of a file."""
    if suffix in SCORES:
        from lnfgen.formats.scores import read_score

        return read_score(content, suffix, name, steps_per_quarter=steps_per_quarter, tracks=tracks)
    restart_clock()
    if suffix in MIDI:
        from lnfgen.formats.midi import read_midi

        return read_midi(content, name, steps_per_quarter=steps_per_quarter, drums=drums, tracks=tracks)
    return [_read_npz(content, name) if suffix == ".npz" else rolltext.roll_from_text(decode_utf8(content, name), name)]


_KINDS = {".mid": "a MIDI file", ".midi": "a MIDI file", ".npz": "a piano-roll", ".txt": "a text or a piano-roll"}


def to_bytes(
    piece: Piece | Sequence[Piece],
    suffix: str,
    *,
    program: int | Sequence[int] = 0,
    voices: int | None = None,
    title: str = "",
    names: Sequence[str] | None = None,
) -> bytes:
    """The content of a file with this suffix that holds the piece, or several pieces if the suffix is `.html`.

    Args:
        program: the General MIDI program (instrument) of a `.mid` or `.wav`, 0 to 127, or one for each voice.
        voices: how many voices to write apart, where the format can; None: as the format does by itself.
        title: what a page or a score calls the piece; several on a page are numbered.
        names: what a page calls its pieces, in place of numbers.

    Raises:
        LnfgenError: if this kind of piece cannot be written with this suffix; the message lists those that fit.
    """
    suffix = suffix.lower()
    require_writer(suffix, voices)
    if not isinstance(piece, PianoRoll | str):
        rolls = [one for one in piece if isinstance(one, PianoRoll)]
        if suffix == PAGE and len(rolls) == len(piece):
            from lnfgen.formats.page import page_bytes

            return page_bytes(rolls, title, names=names, program=program, voices=voices)
        if len(piece) != 1:
            raise LnfgenError(f"cannot write {len(piece)} pieces as one {suffix!r}; expected one, or {PAGE} and music")
        piece = piece[0]
    if isinstance(piece, str):
        if suffix not in WRITABLE_TEXT:
            raise LnfgenError(f"cannot write a text as {suffix!r}; expected one of {' '.join(WRITABLE_TEXT)}")
        return piece.encode("utf-8")
    if suffix not in WRITABLE_MUSIC:
        raise LnfgenError(f"cannot write a piano-roll as {suffix!r}; expected one of {' '.join(WRITABLE_MUSIC)}")
    if suffix == PAGE:
        return to_bytes([piece], suffix, program=program, voices=voices, title=title, names=names)
    if suffix in MIDI:
        from lnfgen.formats.midi import midi_bytes

        return midi_bytes(piece, program=program, voices=voices)
    if suffix == SOUND:
        from lnfgen.formats.sound import wav_bytes

        return wav_bytes(piece, program=program, voices=voices)
    if suffix == ".musicxml":
        from lnfgen.formats.notation import musicxml_bytes

        return musicxml_bytes(piece, voices=voices, title=title)
    if suffix == ".png":
        from lnfgen.formats.picture import png_bytes

        return png_bytes(piece)
    if suffix == ".npz":
        return _npz_bytes(piece)
    return rolltext.roll_to_text(piece).encode("utf-8")


def require_writer(suffix: str, voices: int | None = None) -> None:
    """Raise an `LnfgenError` if this suffix needs a program that is missing, or cannot tell voices apart but must."""
    if voices is not None and suffix not in WITH_VOICES:
        raise LnfgenError(f"cannot write voices apart as {suffix!r}; expected one of {' '.join(WITH_VOICES)}")
    if suffix == SOUND:
        from lnfgen.formats.sound import require_synthesiser

        require_synthesiser()


def write(
    path: str | Path,
    piece: Piece | Sequence[Piece],
    *,
    program: int | Sequence[int] = 0,
    voices: int | None = None,
    names: Sequence[str] | None = None,
) -> None:
    """Write a piece to `path`, in the format that its suffix says. A file that is there is replaced.

    A `.html` is a page that draws and plays its pieces; it takes a list of any number of them. A `.wav` needs the
    program FluidSynth; see `lnfgen.formats.sound`.

    Args:
        program, voices, names: as `to_bytes` takes them. The title is the name of the file.

    Raises:
        LnfgenError: if the suffix does not fit the piece, or there are several for a format that holds one.
        OutputError: if the path cannot be written.
    """
    path = Path(path)
    content = to_bytes(piece, path.suffix, program=program, voices=voices, title=path.stem, names=names)
    files.write_bytes(path, content)


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
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _read_npz(content: bytes, name: str) -> PianoRoll:
    """The roll in an archive of arrays; its size is checked before anything is unpacked."""
    with unreadable(f"{name} is a damaged .npz archive", "expected a piano-roll"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > _MAX_UNPACKED:
            raise UnreadableFileError(f"{name} unpacks to {size} bytes; expected at most {_MAX_UNPACKED}")
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
        )
    except (LnfgenError, TypeError, ValueError, OverflowError) as error:
        raise UnreadableFileError(f"{name} is no piano-roll: {error}") from error
