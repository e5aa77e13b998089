"""MIDI files that are legal but odd, and a reader of their bytes that shares nothing with lnfgen.

An event is (tick, status, the bytes after it), whether its file writes the status or leaves it out.
"""

import random
import struct
from collections.abc import Sequence
from typing import NamedTuple

RawEvent = tuple[int, int, bytes]

REALTIME = (0xF8, 0xFA, 0xFB, 0xFC, 0xFE)
TEMPO = 0x51
KEY_SIGNATURE = 0x59
END_OF_TRACK = 0x2F
# Bytes after the status, of the messages that do not name their length
LENGTHS = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0, **dict.fromkeys(REALTIME, 0)}


class RawFile(NamedTuple):
    """The format, the division, further bytes of the header, and the chunks in order."""

    kind: int
    division: bytes
    more_header: bytes
    chunks: list[tuple[bytes, bytes]]  # (label, content)
    tail: bytes  # what stands behind the tracks that the header counts

    @property
    def tracks(self) -> list[list[RawEvent]]:
        return [raw_events(content) for label, content in self.chunks if label == b"MTrk"]

    @property
    def others(self) -> list[tuple[bytes, bytes] | bytes]:
        """The chunks, with nothing but the label in place of a track."""
        return [(label, b"" if label == b"MTrk" else content) for label, content in self.chunks]


def raw_file(content: bytes) -> RawFile:
    size, kind, num_tracks = struct.unpack(">LHH", content[4:12])
    position = 8 + size
    chunks: list[tuple[bytes, bytes]] = []
    while num_tracks:
        label = content[position : position + 4]
        length = int.from_bytes(content[position + 4 : position + 8], "big")
        chunks.append((label, content[position + 8 : position + 8 + length]))
        position += 8 + length
        num_tracks -= label == b"MTrk"
    return RawFile(kind, content[12:14], content[14 : 8 + size], chunks, content[position:])


def raw_events(content: bytes) -> list[RawEvent]:
    events: list[RawEvent] = []
    position = tick = running = 0
    while position < len(content):
        delta, position = _number(content, position)
        tick += delta
        status = content[position]
        if status < 0x80:
            status = running
        else:
            position += 1
        if status < 0xF0:
            running = status
        end = _end(content, position, status)
        events.append((tick, status, content[position:end]))
        position = end
    return events


def _number(content: bytes, position: int) -> tuple[int, int]:
    value = 0
    while content[position] > 127:
        value = value * 128 + content[position] - 128
        position += 1
    return value * 128 + content[position], position + 1


def _end(content: bytes, position: int, status: int) -> int:
    if status in (0xF0, 0xF7, 0xFF):
        length, start = _number(content, position + (status == 0xFF))
        return start + length
    if status < 0xF0:
        return position + (1 if 0xC0 <= status < 0xE0 else 2)
    return position + LENGTHS[status]


def is_note(event: RawEvent) -> bool:
    return event[1] >> 4 in (8, 9)


def is_meta(event: RawEvent, kind: int) -> bool:
    return event[1] == 0xFF and event[2][0] == kind


# Writing.


def number(value: int, padding: int = 0) -> bytes:
    """A number of variable length, with so many bytes more than it needs."""
    septets = [value % 128]
    while value > 127:
        value //= 128
        septets.append(value % 128 + 128)
    return bytes([0x80] * padding + septets[::-1])


def meta(kind: int, data: bytes, padding: int = 0) -> tuple[int, bytes]:
    return 0xFF, bytes([kind]) + number(len(data), padding) + data


def odd_events(rng: random.Random) -> list[tuple[int, bytes]]:
    """(status, bytes after it) of an event that most programs do not expect, or of a few."""
    some = rng.randbytes(rng.randrange(6))
    seven_bits = bytes(byte & 127 for byte in some)
    return rng.choice(
        [
            [(rng.choice(REALTIME), b"")],
            [(0xF7, number(len(some)) + some)],  # an escape, with any bytes
            [(0xF7, b"\x03\x90\x3c\x40")],  # a note, but not one of the file
            [(0xF0, number(len(seven_bits)) + seven_bits), (0xF7, b"\x02\x01\xf7")],  # in pieces
            [(0xF0, number(len(seven_bits), 1) + seven_bits)],  # without an end
            [(0xF0, b"\x04\x7e\x7f\x09\xf7")],
            [(0xF1, b"\x05"), (0xF2, b"\x05\x06"), (0xF3, b"\x07"), (0xF6, b"")],
            [meta(TEMPO, b"\x07\xa1\x20" + some)],
            [meta(0x58, b"\x04\x02\x18\x08" + some)],
            [meta(KEY_SIGNATURE, bytes([rng.randrange(256), rng.randrange(256)]) + some)],
            [meta(KEY_SIGNATURE, some[:1])],
            [meta(rng.randrange(0x60, 0x7F), some, padding=2)],  # of a type that has no meaning
            [meta(rng.choice((0x00, 0x20, 0x21, 0x54)), some)],  # of a length that is not its own
            [meta(0x7F, some), meta(0x01, some)],
        ]
    )


def with_odd_events(events: Sequence[RawEvent], rng: random.Random, many: int) -> list[RawEvent]:
    """The events of a track with others at random places."""
    mixed = list(events)
    for _ in range(many):
        place = rng.randrange(len(mixed))  # never behind the end of the track
        earliest = mixed[place - 1][0] if place else 0
        tick = rng.randint(earliest, mixed[place][0])
        mixed[place:place] = [(tick, *event) for event in odd_events(rng)]
    return mixed


def track_content(events: Sequence[RawEvent], rng: random.Random) -> bytes:
    """The events with running status here and there, and some times longer than they need be."""
    content = b""
    now = running = 0
    for tick, status, data in events:
        content += number(tick - now, padding=rng.choice((0, 0, 0, 0, 1)))
        is_running = status == running and rng.random() < 0.7
        content += data if is_running else bytes([status]) + data
        now = tick
        if status < 0xF0:
            running = status
        elif 0xF0 <= status < 0xF8:
            running = 0
    return content


def odd_file(content: bytes, rng: random.Random, many: int = 12) -> bytes:
    """A MIDI file with odd events, chunks that are no tracks, and a longer header."""
    raw = raw_file(content)
    more_header = rng.randbytes(rng.choice((0, 0, 2)))
    found = struct.pack(">4sLHH", b"MThd", 6 + len(more_header), raw.kind, len(raw.tracks))
    found += raw.division + more_header
    for events in raw.tracks:
        if rng.random() < 0.3:
            found += _chunk(b"XFIH", rng.randbytes(rng.randrange(9)))
        found += _chunk(b"MTrk", track_content(with_odd_events(events, rng, many), rng))
    return found + rng.choice((b"", b"tail", _chunk(b"XFKM", b"abc")))


def _chunk(label: bytes, content: bytes) -> bytes:
    return label + struct.pack(">L", len(content)) + content
