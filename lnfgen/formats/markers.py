"""Chord symbols in MIDI files: markers whose texts are the names of chords.

MIDI has no other event for them that many programs share.
"""

import re
from collections.abc import Sequence
from fractions import Fraction

from lnfgen.formats.messages import MARKER, meta_type, text_event, text_of
from lnfgen.formats.midi_file import Event, TrackEvents
from lnfgen.music.chart import ChordChange
from lnfgen.music.chord import Chord, chord_or_none

_SECTION = re.compile(r"([A-G])[1-4]?")
_LETTERS = "ABCDEFG"


def chords_of_markers(tracks: Sequence[TrackEvents]) -> list[tuple[int, Chord | None]]:
    """(tick, chord) of each marker of a file, if its markers are chord symbols; else none.

    They are if most of them name chords, and do not all name sections. A marker among them that
    names no chord is None.
    """
    markers: list[tuple[int, str]] = []
    for track in tracks:
        for event in track:
            if meta_type(event) == MARKER:
                markers.append((event.tick, text_of(event).strip()))
    chords = [(tick, chord_or_none(text)) for tick, text in markers]
    named: list[str] = []
    for (_, text), (_, chord) in zip(markers, chords, strict=True):
        if chord is not None:
            named.append(text)
    if 2 * len(named) <= len(markers) or _are_sections(named):
        return []
    return chords


def _are_sections(texts: Sequence[str]) -> bool:
    """True if texts name sections: letters, perhaps with numbers, that first appear as A, B, C."""
    letters: list[str] = []
    for text in texts:
        section = _SECTION.fullmatch(text)
        if section is None:
            return False
        if section[1] not in letters:
            letters.append(section[1])
    return _LETTERS.startswith("".join(letters))


def marker_events(chords: Sequence[ChordChange], ticks: int, sharps: int) -> list[Event]:
    """A marker for each chord, at the nearest tick.

    Args:
        ticks: those of a quarter.
        sharps: those of the key signature that the chords are spelled under, or minus the flats.
    """
    half = Fraction(1, 2)
    events: list[Event] = []
    for start, chord in chords:
        tick = int(start * ticks + half)
        events.append(text_event(tick, MARKER, chord.name(sharps)))
    return events
