"""Wishes as values: when they count, what they report, and the chords that a file then names."""

import math
from dataclasses import replace
from fractions import Fraction

from lnfgen.inference.wishes import AT_THE_END, GROWING, NO_WISHES, Wish, Wishes
from lnfgen.music.chart import ChordChange, parse_chart
from lnfgen.music.chord import parse_chord
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song

PIECE = PianoRoll.from_notes([(0, 4, 60)], num_steps=64)


def far(piece):
    return 7, 2.0


def test_a_wish_counts_by_the_share_that_is_drawn():
    growing = Wishes((Wish("growing", far, GROWING),))
    at_the_end = Wishes((Wish("end", far, AT_THE_END),))
    assert growing.count_at(0.5)
    assert growing.distance(PIECE, 0.5) == 2 * 0.5**GROWING
    assert not at_the_end.count_at(0.5)
    assert at_the_end.distance(PIECE, 0.5) == 0
    assert at_the_end.count_at(1.0)
    assert at_the_end.distance(PIECE) == 2
    assert not NO_WISHES.count_at(1.0)


def test_what_cannot_be_measured_is_far_in_a_whole_piece_alone():
    wish = Wish("nothing", lambda piece: (None, math.nan))
    assert wish.distance(PIECE, is_whole=False) == 0
    assert wish.distance(PIECE, is_whole=True) > 10


def test_a_report_has_values_and_what_holds():
    wishes = Wishes((Wish("a", far),), sure=(Wish("b", lambda piece: (1, 0.0)),))
    assert wishes.report(PIECE) == {
        "b": {"value": 1, "held": True},
        "a": {"value": 7, "held": False},
    }


def test_a_piece_names_the_chords_that_were_wished_for():
    song = Song(PIECE)
    assert NO_WISHES.with_chords(PIECE) == song
    wishes = Wishes(chart=tuple(parse_chart("C G")))
    changes = wishes.with_chords(PIECE).origin.chords
    assert [(start, str(chord)) for start, chord in changes] == [
        (0, "C"),
        (4, "G"),
        (8, "C"),
        (12, "G"),
    ]


def test_a_song_keeps_its_own_chords_before_what_was_drawn():
    own = (ChordChange(Fraction(0), parse_chord("Am")), ChordChange(Fraction(9), parse_chord("E")))
    song = Song(PIECE.in_range(0, 128))
    drawn = PIECE.in_range(0, 128).sounding & False
    drawn[32:] = True
    song = replace(song, drawn=drawn, origin=replace(song.origin, chords=own))
    changes = Wishes(chart=tuple(parse_chart("F"))).with_chords(song).origin.chords
    assert [(start, str(chord)) for start, chord in changes] == [(0, "Am"), (8, "F")]


def test_a_song_has_the_chords_of_its_own_again_after_what_was_drawn() -> None:
    own = (ChordChange(Fraction(0), parse_chord("Am")), ChordChange(Fraction(13), parse_chord("E")))
    song = Song(PIECE.in_range(0, 128))
    drawn = PIECE.in_range(0, 128).sounding & False
    drawn[16:32] = True
    song = replace(song, drawn=drawn, origin=replace(song.origin, chords=own))
    changes = Wishes(chart=tuple(parse_chart("F"))).with_chords(song).origin.chords
    found = [(start, str(chord)) for start, chord in changes]
    assert found == [(0, "Am"), (4, "F"), (8, "Am"), (13, "E")]
