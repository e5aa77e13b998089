"""What stands in a person's own file, and pieces that were drawn for it."""

import io
from collections.abc import Iterable, Iterator
from typing import Any

import mido
import numpy as np

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import KnownPart
from lnfgen.music.song import Song

Event = tuple[int, Any]
ENCODING = MusicEncoding(fills_upbeats=True)


def timed(track: Iterable[Any]) -> Iterator[Event]:
    """The messages of a track as they are, each with its tick."""
    tick = 0
    for message in track:
        tick += message.time
        yield tick, message


def messages(track: Iterable[Any]) -> list[Event]:
    """The messages of a track in words, each with its tick."""
    return [(tick, repr(message.copy(time=0))) for tick, message in timed(track)]


def starts(track: Iterable[Any]) -> list[tuple[int, int, int]]:
    """(tick, pitch, velocity) of each note of a track."""
    notes: list[tuple[int, int, int]] = []
    for tick, message in timed(track):
        if message.type == "note_on" and message.velocity:
            notes.append((tick, message.note, message.velocity))
    return notes


def content_of(*tracks: mido.MidiTrack, ticks_per_beat: int = 96) -> bytes:
    """The content of a file of format 1 with these tracks."""
    buffer = io.BytesIO()
    mido.MidiFile(type=1, ticks_per_beat=ticks_per_beat, tracks=tracks).save(file=buffer)
    return buffer.getvalue()


def parsed(content: bytes) -> mido.MidiFile:
    return mido.MidiFile(file=io.BytesIO(content))


def drawn(part: KnownPart, seed: int = 0) -> Song:
    """A piece whose hidden cells were drawn, each in 20 with a note of a step."""
    assert isinstance(part, KnownMusic)
    found = np.random.default_rng(seed).random(part.values.shape) < 0.05
    struck = found * np.uint8(3)
    return part.decoded(np.where(part.hidden, struck, part.values))
