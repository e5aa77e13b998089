"""A score of one line with chord symbols is a band that plays them, if parts are asked for."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from reading import one_song

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.formats.read_write import read, to_bytes
from lnfgen.formats.scores import read_score
from lnfgen.formats.song import midi_of
from lnfgen.inference.known_music import on_grid
from lnfgen.music.chart import chord_at
from lnfgen.music.parts import ROLES, Part
from lnfgen.music.song import Song

TUNE = """X:1
T:Upbeat, repeat and endings
M:3/4
L:1/4
K:G
D | "G" G2 B | "D7" A3 |1 "G" G3 :|2 "Em7" G2 "N.C." z | z2 |]
"""
TWO_VOICES = TUNE + 'V:2\n"C" C,3 | C,3 |\n'
IN_CHORDS = TUNE.replace("G2 B", "[GB]2 [Bd]").replace("A3", "[FAc]3").replace("G3", "[GBd]3")


def sheet(roles: Sequence[str], text: str = TUNE, tracks: str = "all") -> Song:
    return one_song(read_score(text.encode(), ".abc", roles=roles, tracks=tracks))


def test_it_has_the_parts_that_are_asked_for() -> None:
    song = sheet(ROLES)
    drums, bass, chords, melody = (song.roll.notes(part) for part in range(4))
    assert drums == []
    assert melody == sheet(()).roll.notes()
    assert bass[:3] == [(4, 12, 43), (16, 12, 38), (28, 12, 43)]
    assert [note for note in chords if note[0] == 4] == [(4, 12, 55), (4, 12, 59), (4, 12, 62)]
    assert [track.role for track in song.origin.tracks] == ["melody", "chords", "bass"]
    assert {track.why for track in song.origin.tracks} == {"its chord symbols"}
    assert song.roll.upbeat == 4
    assert [part.program for part in song.roll.parts] == [0, 32, 0, 0]


def test_without_a_bass_the_chords_have_its_notes() -> None:
    song = sheet(("chords", "melody"))
    chords, melody = (song.roll.notes(part) for part in range(2))
    assert [pitch for start, _, pitch in chords if start == 4] == [43, 55, 59, 62]
    assert melody == sheet(()).roll.notes()


def test_as_one_part_it_is_the_melody_with_its_symbols() -> None:
    song = sheet(())
    assert song.roll.sounding.sum(axis=2).max() == 1
    assert [str(chord) for _, chord in song.origin.chords] == ["G", "D7", "G", "G", "D7", "Em7",
                                                               "N.C."]  # fmt: skip
    assert len(song.origin.tracks) == 1


@pytest.mark.parametrize("text", [TWO_VOICES, IN_CHORDS, TUNE.replace('"', "!")])
def test_other_scores_stay_as_they_are(text: str) -> None:
    song = sheet(ROLES, text)
    assert all(track.why != "its chord symbols" for track in song.origin.tracks)
    assert song.roll.num_notes == sheet((), text).roll.num_notes


def test_tracks_may_be_placed_by_hand() -> None:
    song = sheet(ROLES, tracks="bass=1")
    assert song.origin.tracks[0].role == "bass"
    alone = sheet(ROLES, tracks="1")
    assert [track.kept for track in alone.origin.tracks] == [True, False, False]


def test_its_file_has_the_tracks_that_the_model_hears() -> None:
    song = sheet(ROLES)
    parts = tuple(Part(role) for role in ROLES)
    heard = on_grid(MusicEncoding(num_pitches=49, parts=parts), song)
    assert heard.roll.in_range(21, 88).notes(2) == song.roll.notes(2)
    drawn = Song(heard.roll, heard.origin, np.zeros((heard.roll.num_steps, 4, 128), np.bool_))
    assert midi_of(drawn) == song.origin.midi


@pytest.mark.slow
def test_real_sheets_are_bands(shared_data: Callable[[str], Path]) -> None:
    for path in sorted(shared_data("openewld").glob("*.mxl"))[::40]:
        song = one_song(read(path, parts="4"))
        roll = song.roll
        assert roll.notes(3) == one_song(read(path)).roll.notes()
        low = roll.edge_keys(top=True)[:, 1]
        above = roll.edge_keys(top=False)[:, 2]
        assert (low[above >= 0] < above[above >= 0]).all()
        for step in range(0, roll.num_steps, 5):
            chord = chord_at(song.origin.chords, Fraction(step, 4))
            keys = np.flatnonzero(roll.sounding[step, 1:3].any(axis=0)) + roll.lowest_pitch
            classes = set((keys % 12).tolist())
            if all((start * 4).denominator == 1 for start, _ in song.origin.chords):
                assert classes == chord.pitch_classes
        to_bytes(song, ".png")
