"""The names of chords above a piano-roll."""

from fractions import Fraction

from lnfgen.formats.chord_names import chord_names
from lnfgen.music.chart import ChordChange
from lnfgen.music.chord import NO_CHORD, Chord, parse_chord
from lnfgen.music.key_signature import KeySignature
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Origin, Song

ROLL = PianoRoll.from_notes([(0, 16, 63), (16, 16, 70)])


def test_names_are_spelled_in_the_key_at_the_steps_of_the_roll() -> None:
    a_flat = Chord(8, frozenset((0, 4, 7)), 8)
    times = (Fraction(0), Fraction(2), Fraction(7, 2), Fraction(5))
    chords = (a_flat, a_flat, parse_chord("F7"), NO_CHORD)
    changes = tuple(map(ChordChange, times, chords))
    song = Song(ROLL, Origin(key=KeySignature(-3, "major"), chords=changes))
    assert chord_names(song) == [(0, "Ab"), (14, "F7"), (20, "N.C.")]


def test_a_song_without_symbols_has_no_names() -> None:
    assert chord_names(Song(ROLL)) == []
