"""What is drawn joins the song that it was drawn in; all else of that song stays."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from own_files import ENCODING, drawn, messages, parsed
from toy_bands import band_encoding, band_file

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.formats.midi import midi_bytes
from lnfgen.formats.read_write import read_bytes
from lnfgen.formats.song import midi_of
from lnfgen.inference.known_part import known_intro, known_part
from lnfgen.music.chart import ChordChange
from lnfgen.music.chord import parse_chord
from lnfgen.music.parts import MELODY
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.serving.opened_files import opened
from lnfgen.serving.redrawing import all_drawn, alone_as_melody, joined


def redrawn(encoding: MusicEncoding, song: Song, words: str, seed: int = 0) -> Song:
    """The song after a drawing in it."""
    return joined(song, drawn(known_part(encoding, song, [words]), seed))


def test_several_drawings_end_in_one_own_file() -> None:
    encoding = band_encoding()
    song = opened(encoding, band_file(bars=8), "band.mid").song
    assert midi_of(song) == band_file(bars=8)
    words = ("bars:2-3,part:bass", "bars:5,part:chords", "bars:3-4,part:bass", "bars:2,part:drums")
    before = song
    for number, word in enumerate(words):
        after = redrawn(encoding, before, word, number)
        assert after.drawn is not None
        assert before.drawn is not None
        is_old = after.drawn & before.drawn == before.drawn
        assert is_old.all()
        kept = ~after.drawn
        assert np.array_equal(after.roll.sounding & kept, song.roll.sounding & kept)
        before = after
    own = {track.name: messages(track) for track in parsed(band_file(bars=8)).tracks}
    saved = parsed(midi_of(before))
    found = {track.name: messages(track) for track in saved.tracks}
    assert found["Lead"] == own["Lead"]
    assert len(saved.tracks) == len(own) + 3, "a track for each part that was drawn in"


def test_notes_that_the_model_does_not_hear_stay_in_the_take() -> None:
    roll = PianoRoll.from_notes([(0, 8, 24), (0, 8, 60), (8, 8, 62)], steps_per_quarter=4)
    narrow = MusicEncoding(lowest_pitch=48, num_pitches=24, fills_upbeats=True)
    song = opened(narrow, midi_bytes(roll), "low.mid").song
    after = redrawn(narrow, song, "steps:9-16")
    assert (0, 8, 24) in after.roll.notes()
    assert (0, 8, 60) in after.roll.notes()


def test_a_note_goes_with_its_beginning_on_keys_that_the_model_does_not_have() -> None:
    """From step 12 on it was held in a kept place, but it began in one that was drawn."""
    roll = PianoRoll.from_notes([(8, 8, 24), (0, 8, 60), (16, 8, 62)], steps_per_quarter=4)
    narrow = MusicEncoding(lowest_pitch=48, num_pitches=24, fills_upbeats=True)
    song = opened(narrow, midi_bytes(roll), "low.mid").song
    after = redrawn(narrow, song, "steps:9-12")
    assert not after.roll.sounding[:, 0, 24].any()
    kept = [note for note in after.roll.notes() if not after.was_drawn(note)]
    assert kept == [(0, 8, 60), (16, 8, 62)]
    (saved,) = read_bytes(midi_of(after), suffix=".mid")
    assert isinstance(saved, Song)
    assert saved.roll.in_range(0, 128).notes() == after.roll.notes()


def test_a_take_that_goes_on_is_longer() -> None:
    roll = PianoRoll.from_notes([(4 * place, 4, 60) for place in range(8)])
    song = opened(ENCODING, midi_bytes(roll), "song.mid").song
    longer = joined(song, drawn(known_intro(ENCODING, song, 16)))
    assert longer.roll.num_steps == song.roll.num_steps + 16
    assert longer.drawn is not None
    assert not longer.drawn[: song.roll.num_steps].any()
    assert longer.drawn[song.roll.num_steps :].all()
    assert longer.roll.stretch(0, 32).notes() == song.roll.notes()


def test_a_new_song_is_all_drawn() -> None:
    roll = PianoRoll.from_notes([(0, 4, 60)])
    song = all_drawn(Song(roll))
    assert song.num_drawn == 1
    assert song.roll.num_pitches == 128
    assert not song.is_own_file


@pytest.mark.parametrize("role", ["chords", "bass"])
def test_one_part_alone_is_the_melody_of_a_band(role: str) -> None:
    encoding = band_encoding()
    song = opened(encoding, band_file(), "band.mid").song
    number = encoding.roles.index(role)
    alone = song.roll.sounding.copy()
    others = [part for part in range(4) if part != number]
    alone[:, others] = False
    quiet = PianoRoll(alone, None, lowest_pitch=0, parts=song.roll.parts)
    moved = alone_as_melody(Song(quiet, song.origin, song.drawn))
    melody = encoding.roles.index(MELODY)
    assert moved.roll.notes(melody) == quiet.notes(number)
    assert not moved.roll.sounding[:, number].any()
    assert moved.roll.roles == quiet.roles
    assert alone_as_melody(song) is song


def test_a_take_keeps_its_chord_symbols_where_nothing_is_drawn() -> None:
    encoding = band_encoding()
    song = opened(encoding, band_file(bars=8), "band.mid").song
    chords = (
        ChordChange(Fraction(0), parse_chord("C")),
        ChordChange(Fraction(18), parse_chord("G")),
    )
    song = replace(song, origin=replace(song.origin, chords=chords))
    after = redrawn(encoding, song, "bars:2-3,part:bass")
    found = [(start, str(chord)) for start, chord in after.origin.chords]
    assert found == [(0, "C"), (4, "N.C."), (12, "C"), (18, "G")]
    # A second drawing elsewhere leaves them as the first did.
    assert redrawn(encoding, after, "bars:6,part:drums").origin.chords == after.origin.chords
