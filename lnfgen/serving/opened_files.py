"""A file that a client sends, as a song that its model hears."""

from pathlib import PurePosixPath
from typing import NamedTuple

from lnfgen.conventions import MAX_LENGTH
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.read_write import MIDI, SCORES, read_bytes
from lnfgen.formats.sandbox import in_child
from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import known_whole
from lnfgen.music.parts import ONE
from lnfgen.music.song import Song
from lnfgen.serving.redrawing import with_nothing_drawn
from lnfgen.wording import in_one_line, in_utf8

OPENED = (*MIDI, *SCORES)


class Opened(NamedTuple):
    """A song of a file, in which nothing was drawn yet, and what was remarked about it."""

    song: Song
    remarks: list[str]


def open_file(encoding: MusicEncoding, content: bytes, name: str) -> Opened:
    """The first piece of a file on the grid and in the parts of the model.

    All is done in a child process that has a limit of time and a limit of memory.

    Raises:
        LnfgenError: if it cannot be read, or is no piece that the model can hear.
    """
    return in_child(opened, encoding, content, name, name=name)


def opened(encoding: MusicEncoding, content: bytes, name: str) -> Opened:
    """What `open_file` gives, read in this process as far as `read_bytes` does so."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in OPENED:
        raise LnfgenError(
            f"{name} has the suffix {suffix or 'none'!r}; expected one of {' '.join(OPENED)}"
        )
    parts = ",".join(encoding.roles) or ONE
    pieces = read_bytes(
        content, name, suffix, steps_per_quarter=encoding.steps_per_quarter, parts=parts
    )
    songs = [piece for piece in pieces if isinstance(piece, Song)]
    if not songs:
        raise LnfgenError(f"{name} holds no music; expected notes")
    found = as_heard(encoding, songs[0])
    if len(songs) > 1:
        found.remarks.insert(0, f"{name} holds {len(songs)} pieces; this is the first one")
    return found


def as_heard(encoding: MusicEncoding, song: Song) -> Opened:
    """A song that was read from a file, as the model hears it.

    Raises:
        LnfgenError: if it has no notes, none of the parts of the model, or is very long.
    """
    if song.roll.num_steps > MAX_LENGTH:
        raise LnfgenError(
            f"a piece of {song.roll.num_steps:,} steps; expected at most {MAX_LENGTH:,}"
        )
    heard = known_whole(encoding, song)
    assert isinstance(heard, KnownMusic)
    remarks = heard.remarks()
    num_tracks = len(song.origin.tracks)
    num_kept = sum(track.kept for track in heard.song.origin.tracks)
    if num_kept < num_tracks:
        remarks.append(f"the model hears {num_kept} of {num_tracks} tracks; the others stay")
    return Opened(with_nothing_drawn(heard.song), remarks)


def base_name(name: str) -> str:
    """The name of a take for a file of this name: without folders and suffix, in one line."""
    last = in_one_line(in_utf8(name)).replace("\\", "/").rpartition("/")[2]
    return PurePosixPath(last).stem[:100] or "a file"
