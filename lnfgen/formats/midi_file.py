"""Standard MIDI files as bytes: the header, the chunks and the events, read and written whole.

A file that is read and written again has the same bytes, and one in which some events changed
differs there alone. Times, lengths and running status stay as the file writes them. Events of any
kind, further bytes of the header, and chunks that are no tracks stay too. No library of MIDI keeps
all of that. `lnfgen.formats.messages` reads what an event means.

Source: Standard MIDI-File Format Spec. 1.1 (MIDI Manufacturers Association, RP-001).
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lnfgen.errors import LnfgenError, UnreadableFileError, unreadable
from lnfgen.wording import counted

SYSEX = 0xF0  # begins a system-exclusive message
ESCAPE = 0xF7  # goes on with one, or stands before any bytes
META = 0xFF
FIRST_SYSTEM = 0xF0  # below it are the messages that have a channel
FIRST_REALTIME = 0xF8  # from it on up to 0xFE are messages of one byte, which may stand anywhere

_MOST_TRACKS = 0xFFFF  # as the header counts them
_LONGEST_NUMBER = 8  # bytes of a time or a length; MIDI defines four
# How many bytes of data follow the status of a channel's message, by its upper four bits
_CHANNEL_DATA = {0x8: 2, 0x9: 2, 0xA: 2, 0xB: 2, 0xC: 1, 0xD: 1, 0xE: 2}
# The same of the other messages that MIDI defines, without those that name their length
_SYSTEM_DATA = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0, 0xF8: 0, 0xFA: 0, 0xFB: 0, 0xFC: 0, 0xFE: 0}


class Event(NamedTuple):
    """An event of a track, as the file has it.

    Attributes:
        tick: the time since the start of the track.
        status: its first byte, from 0x80 on.
        data: the bytes of a message of a channel after its status, or those that an event of
            another kind holds.
        head: what stands between both: the length, and of a meta event its type before that.
        gap: the time since the event before, as the file writes it; empty for the shortest way.
        is_running: True if the status is left out where the one before is the same.
    """

    tick: int
    status: int
    data: bytes
    head: bytes = b""
    gap: bytes = b""
    is_running: bool = False


TrackEvents = list[Event]


@dataclass
class MidiFile:
    """A MIDI file.

    Attributes:
        kind: its format, 0 to 2.
        division: the ticks of a quarter, or below 0 those of a second (SMPTE), as the header has
            them.
        tracks: the events of each track that the header counts.
        others: what stands before each track, and last what comes after all: chunks that are no
            tracks. The specification asks readers to skip them.
        more_header: the bytes of the header after the six that MIDI defines.
    """

    kind: int
    division: int
    tracks: list[TrackEvents]
    others: list[bytes]
    more_header: bytes = b""

    def add(self, track: TrackEvents) -> None:
        """Add a track after all others. The file then has format 1."""
        self.kind = 1
        self.tracks.append(track)
        self.others.insert(-1, b"")


def new_file(kind: int, division: int, tracks: Iterable[TrackEvents]) -> MidiFile:
    """A file of these tracks and nothing else."""
    own = list(tracks)
    return MidiFile(kind, division, own, [b""] * (len(own) + 1))


def read_file(content: bytes, name: str = "-") -> MidiFile:
    """The MIDI file with these bytes.

    Raises:
        UnreadableFileError: about the file `name`, if the bytes are none, or are cut or damaged.
    """
    size, kind, num_tracks, division = _checked_header(content, name)
    position = 8 + size
    after_track = position
    tracks: list[TrackEvents] = []
    others: list[bytes] = []
    with unreadable(f"{name} is a damaged MIDI file", "expected well-formed tracks"):
        while len(tracks) < num_tracks and position < len(content):
            chunk = _chunk_at(position, content, name)
            if chunk.startswith(b"MTrk"):
                tracks.append(events_in(chunk[8:]))
                others.append(content[after_track:position])
                after_track = position + len(chunk)
            position += len(chunk)
    if len(tracks) < max(num_tracks, 1):
        found = f"its header promises {counted(num_tracks, 'track')}, {len(tracks)} are there"
        raise UnreadableFileError(
            f"{name} is a cut or damaged MIDI file: {found}; expected all, and at least one"
        )
    others.append(content[after_track:])
    return MidiFile(kind, division, tracks, others, content[14 : 8 + size])


def _checked_header(content: bytes, name: str) -> tuple[int, int, int, int]:
    """The size, the format, the number of tracks and the division of time in the header."""
    if content[:4] != b"MThd":
        raise UnreadableFileError(
            f"{name} is no MIDI file: it starts with {content[:4]!r}; expected b'MThd'"
        )
    if len(content) < 14:
        found = counted(len(content), "byte")
        raise UnreadableFileError(
            f"{name} is cut off in the MIDI header: {found}; expected at least 14"
        )
    size, kind, num_tracks, division = struct.unpack(">LHHh", content[4:14])
    if size < 6 or 8 + size > len(content):
        raise UnreadableFileError(
            f"{name} is a damaged MIDI file: a header of {size} bytes; expected 6"
        )
    if kind > 2:
        raise UnreadableFileError(
            f"{name} is a MIDI file of format {kind}; expected format 0, 1 or 2"
        )
    return size, kind, num_tracks, division


def _chunk_at(position: int, content: bytes, name: str) -> bytes:
    """The chunk that begins at a position, with its label and its length of four bytes each."""
    label = content[position : position + 4]
    start = position + 8
    length = int.from_bytes(content[position + 4 : start], "big")
    left = max(len(content) - start, 0)
    if start > len(content) or length > left:
        claim = f"a chunk {label!r} claims {counted(length, 'byte')}, {left} are there"
        raise UnreadableFileError(
            f"{name} is a cut or damaged MIDI file: {claim}; expected all of them"
        )
    return content[position : start + length]


def events_in(content: bytes) -> TrackEvents:
    """The events in the content of a track.

    A `ValueError` or `EOFError` says what is wrong with it.
    """
    events: TrackEvents = []
    tick = 0
    running: int | None = None
    position = 0
    while position < len(content):
        start = position
        delta, position = _number_at(position, content)
        tick += delta
        gap = content[start:position]
        if position == len(content):
            raise EOFError
        status = content[position]
        is_running = status < 0x80
        if not is_running:
            position += 1
        elif running is None:
            raise ValueError("running status without a status before it")
        else:
            status = running
        start, end = _data_at(position, status, content)
        data = content[start:end]
        if status != META and status not in (SYSEX, ESCAPE) and not data.isascii():
            raise ValueError("data byte must be in range 0..127")
        head = content[position:start]
        position = end
        running = _running_after(status, running)
        events.append(Event(tick, status, data, head, gap, is_running))
    return events


def _data_at(position: int, status: int, content: bytes) -> tuple[int, int]:
    """Where the data of an event begins and ends; the position is that after its status."""
    start = position
    length: int | None
    if status < FIRST_SYSTEM:
        length = _CHANNEL_DATA[status >> 4]
    elif status == META:
        length, start = _number_at(position + 1, content)
    elif status in (SYSEX, ESCAPE):
        length, start = _number_at(position, content)
    else:
        length = _SYSTEM_DATA.get(status)
    if length is None:
        raise ValueError(f"undefined status byte 0x{status:02x}")
    end = start + length
    if end > len(content):
        raise EOFError
    return start, end


def _number_at(position: int, content: bytes) -> tuple[int, int]:
    """The number of variable length at a position, and the position after it."""
    if position < len(content) and content[position] < 0x80:  # as most are
        return content[position], position + 1
    number = 0
    for place in range(position, min(position + _LONGEST_NUMBER, len(content))):
        byte = content[place]
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            return number, place + 1
    if position + _LONGEST_NUMBER > len(content):
        raise EOFError
    raise ValueError(f"a time or a length of over {_LONGEST_NUMBER} bytes")


def _running_after(status: int, before: int | None) -> int | None:
    """The status that the next event may leave out.

    By the specification a meta event ends it, but many programs write on, and all read that.
    """
    if status < FIRST_SYSTEM:
        return status
    if status >= FIRST_REALTIME:
        return before
    return None


def file_bytes(midi: MidiFile) -> bytes:
    """The bytes of a MIDI file."""
    num_tracks = len(midi.tracks)
    if num_tracks > _MOST_TRACKS:
        raise LnfgenError(f"{num_tracks:,} tracks; a MIDI file holds at most {_MOST_TRACKS:,}")
    size = 6 + len(midi.more_header)
    parts = [struct.pack(">4sLHHh", b"MThd", size, midi.kind, num_tracks, midi.division)]
    parts.append(midi.more_header)
    for before, track in zip(midi.others, midi.tracks, strict=False):
        content = _track_content(track)
        parts += (before, struct.pack(">4sL", b"MTrk", len(content)), content)
    parts.append(midi.others[-1])
    return b"".join(parts)


def _track_content(track: Sequence[Event]) -> bytes:
    content = bytearray()
    now = 0
    running: int | None = None
    for tick, status, data, head, gap, is_running in track:
        content += _gap_of(tick - now, gap)
        if not is_running or status != running:
            content.append(status)
        content += head
        content += data
        now = tick
        running = _running_after(status, running)
    return bytes(content)


def _gap_of(delta: int, written: bytes) -> bytes:
    """The time between two events, as it was written if it is the same still."""
    if written and _number_at(0, written)[0] == delta:
        return written
    return number_bytes(delta)


def number_bytes(number: int) -> bytes:
    """A number of variable length, written the shortest way."""
    septets = [number & 0x7F]
    while number > 0x7F:
        number >>= 7
        septets.append(number & 0x7F | 0x80)
    return bytes(reversed(septets))
