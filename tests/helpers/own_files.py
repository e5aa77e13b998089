"""What stands in a person's own file, and pieces that were drawn for it."""

import io
from collections.abc import Iterable
from itertools import accumulate
from typing import Any

import mido
import numpy as np

from lnfgen.data.encoding import Encoding
from lnfgen.inference.known import KnownPart, decoded
from lnfgen.music.pianoroll import PianoRoll

Event = tuple[int, Any]
ENCODING = Encoding("music", fills_upbeats=True)


def messages(track: Iterable[Any]) -> list[Event]:
    """The messages of a track, each with its tick."""
    listed = list(track)
    ticks = accumulate(message.time for message in listed)
    return [(tick, repr(message.copy(time=0))) for tick, message in zip(ticks, listed, strict=True)]


def starts(track: Iterable[Any]) -> list[tuple[int, int, int]]:
    """(tick, pitch, velocity) of each note of a track."""
    listed = list(track)
    ticks = accumulate(message.time for message in listed)
    return [
        (t, m.note, m.velocity)
        for t, m in zip(ticks, listed, strict=True)
        if m.type == "note_on" and m.velocity
    ]


def parsed(content: bytes) -> mido.MidiFile:
    return mido.MidiFile(file=io.BytesIO(content))


def drawn(part: KnownPart, seed: int = 0, encoding: Encoding = ENCODING) -> PianoRoll:
    """A piece whose hidden cells were drawn, each in 20 with a note of a step."""
    found = np.random.default_rng(seed).random(part.values.shape) < 0.05
    piece = decoded(encoding, part, np.where(part.hidden, found * np.uint8(3), part.values))
    assert isinstance(piece, PianoRoll)
    return piece
