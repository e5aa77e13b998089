"""Where the notes of a person's file lie on the grid: its bars, its outermost line, its tracks."""

from fractions import Fraction

import numpy as np
from midi_hexdumps import END, midi
from reading import one_song

from lnfgen.formats.file_notes import file_bars, file_line, file_parts, is_drawn, opened_file
from lnfgen.formats.midi import read_midi
from lnfgen.music.song import Song

# At 96 ticks a quarter, a step is 24 of them: the second note begins a little before its step.
TUNE = f"00 FF 03 04 74 75 6E 65  00 90 3C 40  5A 80 3C 00  00 90 40 40  60 80 40 00 {END}"
BASS = f"00 91 30 50  81 40 81 30 00 {END}"


def own_song(tracks: str = "all") -> Song:
    return one_song(read_midi(midi(TUNE, BASS, division=96), tracks=tracks))


def test_a_file_is_opened_with_the_notes_of_each_track() -> None:
    opened = opened_file(own_song())
    assert opened.ticks_per_step == Fraction(24)
    assert [played.channel for played in opened.played] == [0, 1]
    assert [played.track.name for played in opened.played] == ["tune", ""]
    starts = [[note.start for note in played.notes] for played in opened.played]
    assert starts == [[0, 90], [0]]


def test_a_note_was_drawn_where_the_model_hears_it_begin() -> None:
    song = own_song()
    drawn = np.zeros((song.roll.num_steps, 1, 128), np.bool_)
    drawn[4:] = True  # a quarter, or 96 ticks
    whole = Song(song.roll, song.origin, drawn)
    (tune, bass) = opened_file(whole).played
    found = [is_drawn(note, whole, Fraction(24), tune.track) for note in tune.notes]
    assert found == [False, True]
    assert not is_drawn(bass.notes[0], whole, Fraction(24), bass.track)
    assert list(file_parts(whole)) == [("tune", [(0, 4, 60)]), ("piano", [(0, 8, 48)])]


def test_bars_and_lines_are_those_of_the_file() -> None:
    song = own_song()
    assert file_bars(song) == {1: 0}
    assert np.flatnonzero(file_line(song, top=True).any(axis=0)).tolist() == [60, 64]
    assert np.flatnonzero(file_line(song, top=False).any(axis=0)).tolist() == [48]
    alone = own_song("tune")
    assert np.flatnonzero(file_line(alone, top=False).any(axis=0)).tolist() == [60, 64]
    assert not file_line(Song(song.roll), top=True).any(), "there is no file"
