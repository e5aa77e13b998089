"""Markers of MIDI files that name chords are chord symbols; those that name sections are not."""

from fractions import Fraction

import mido
import pytest
from reading import one_song

from lnfgen.formats.markers import marker_events
from lnfgen.formats.messages import MARKER, new_track, text_event, text_of, voice_events
from lnfgen.formats.midi import read_midi
from lnfgen.formats.midi_file import MidiFile, file_bytes, new_file
from lnfgen.music.chart import ChordChange
from lnfgen.music.chord import parse_chord


def file_with(*markers: str) -> bytes:
    """A MIDI file with a note and a marker in each quarter."""
    events = voice_events([(0, 480 * len(markers), 60, 80)], 0, 0, None)
    for number, text in enumerate(markers):
        events.append(text_event(480 * number, MARKER, text))
    midi: MidiFile = new_file(0, 480, [new_track(events, 480 * len(markers))])
    return file_bytes(midi)


@pytest.mark.parametrize(
    ("markers", "symbols", "unread"),
    [
        (("Am", "F", "C", "G"), 4, 0),
        (("C", "F", "G", "C"), 4, 0),
        (("F", "Bb", "Fine"), 2, 1),
        (("N.C.", "Dm7"), 2, 0),
        (("A", "B", "A", "C"), 0, 0),
        (("A",), 0, 0),
        (("A1", "A2", "B", "A2"), 0, 0),
        (("Verse", "Chorus", "Am"), 0, 0),
        (("Intro", "A", "B"), 0, 0),
        (("",), 0, 0),
    ],
)
def test_markers_are_chords_or_sections(
    markers: tuple[str, ...], symbols: int, unread: int
) -> None:
    origin = one_song(read_midi(file_with(*markers))).origin
    assert (len(origin.chords), origin.report["unread_chords"]) == (symbols, unread)


def test_markers_have_their_ticks_and_the_names_of_the_key() -> None:
    changes = [
        ChordChange(Fraction(0), parse_chord("Bb")),
        ChordChange(Fraction(4, 3), parse_chord("Eb7/G")),
    ]
    events = marker_events(changes, 480, -2)
    assert [(event.tick, text_of(event)) for event in events] == [(0, "Bb"), (640, "Eb7/G")]


def test_other_programs_read_the_markers(tmp_path) -> None:
    path = tmp_path / "a.mid"
    path.write_bytes(file_with("Am", "F"))
    texts = [message.text for message in mido.MidiFile(path).tracks[0] if message.type == "marker"]
    assert texts == ["Am", "F"]
