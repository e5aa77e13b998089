"""Where the notes of a person's file lie on the grid: its bars, its outermost line, its tracks."""

from dataclasses import replace
from fractions import Fraction

import mido
import numpy as np
import pytest
from midi_hexdumps import END, midi
from own_files import content_of
from reading import one_song

from lnfgen.formats.file_notes import (
    file_bars,
    file_line,
    file_parts,
    in_time,
    is_drawn,
    opened_file,
)
from lnfgen.formats.midi import read_midi
from lnfgen.music.chart import ChordChange
from lnfgen.music.chord import NO_CHORD
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.music.timing import Timing

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
    opened = opened_file(whole)
    (tune, bass) = opened.played
    found = [is_drawn(note, whole, opened, tune.track) for note in tune.notes]
    assert found == [False, True]
    assert not is_drawn(bass.notes[0], whole, opened, bass.track)
    assert list(file_parts(whole)) == [("tune", [(0, 4, 60)]), ("piano", [(0, 8, 48)])]


def test_bars_and_lines_are_those_of_the_file() -> None:
    song = own_song()
    assert file_bars(song) == {1: 0}
    assert np.flatnonzero(file_line(song, top=True).any(axis=0)).tolist() == [60, 64]
    assert np.flatnonzero(file_line(song, top=False).any(axis=0)).tolist() == [48]
    alone = own_song("tune")
    assert np.flatnonzero(file_line(alone, top=False).any(axis=0)).tolist() == [60, 64]
    assert not file_line(Song(song.roll), top=True).any(), "there is no file"


def played(timing: Timing, roll: PianoRoll) -> Song:
    """The song of a file of 96 ticks a quarter that plays a roll with this timing."""
    track = mido.MidiTrack()
    events: list[tuple[int, int, int]] = []
    for start, length, pitch in roll.notes():
        for step, velocity in ((start, 64), (start + length, 0)):
            at = timing.played(Fraction(step, roll.steps_per_quarter)) * 96
            events.append((round(at), velocity, pitch))
    now = 0
    for tick, velocity, pitch in sorted(events):
        track.append(mido.Message("note_on", note=pitch, velocity=velocity, time=tick - now))
        now = tick
    return one_song(read_midi(content_of(track)))


@pytest.mark.parametrize(
    "timing",
    [Timing(), Timing(Fraction(17, 96)), Timing(swing=Fraction(2, 3)), Timing(Fraction(-5, 96))],
)
def test_a_song_in_time_has_its_notes_on_the_beats(timing: Timing) -> None:
    """A file whose notes were 17 of 96 ticks late used to be heard a step late."""
    notes = [(4 + 2 * place, 2, 60 + place % 7) for place in range(60)]
    roll = PianoRoll.from_notes(notes)
    song = in_time(played(timing, roll))
    assert song.origin.timing == timing
    assert song.roll.notes() == roll.notes()
    assert song.origin.report["rounded"] == 0
    opened = opened_file(song)
    starts = [note.start for note in opened.played[0].notes]
    assert starts == [opened.tick(step) for step, *_ in notes]
    nothing = np.zeros((song.roll.num_steps, 1, 128), np.bool_)
    [(_, heard)] = file_parts(Song(song.roll, song.origin, nothing))
    assert heard == notes


def test_a_song_without_a_file_is_in_time() -> None:
    song = Song(PianoRoll.from_notes([(0, 4, 60)]))
    assert in_time(song) is song


def test_chord_symbols_move_to_the_beats_with_the_notes() -> None:
    timing = Timing(Fraction(17, 96))
    roll = PianoRoll.from_notes([(4 + 2 * place, 2, 60 + place % 7) for place in range(60)])
    song = played(timing, roll)
    chords = tuple(ChordChange(timing.played(Fraction(bar)), NO_CHORD) for bar in (1, 5))
    song = replace(song, origin=replace(song.origin, chords=chords))
    assert [start for start, _ in in_time(song).origin.chords] == [1, 5]
