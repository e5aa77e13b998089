"""Chord symbols of humdrum: where they start, what they mean, and that they repeat with notes."""

from collections.abc import Sequence
from fractions import Fraction

import pytest

from lnfgen.errors import UnreadableFileError
from lnfgen.formats.humdrum_chords import chord_of_token, chords_of_humdrum
from lnfgen.formats.scores import read_score
from lnfgen.music.chord import Chord

SONG = """!!!OTL: A song
**kern\t**mxhm\t**kern
*M4/4\t*\t*M4/4
=1-\t=1-\t=1-
4C\tC major\t2e
! a comment\t!\t!
8qD\t.\t.
4E\t.\t.
4.G\tF dominant/A\t2f
8E\t.\t.
=2\t=2\t=2
2A\tA minor\t1a
*^\t*\t*
2F\t4d\tF dominant\t.
.\t4e\tB- major-seventh\t.
*v\t*v\t*\t*
=3\t=3\t=3
0G\tnone\t0b
==\t==\t==
*-\t*-\t*-
"""
REPEATED = """**kern\t**mxhm
*M4/4\t*
=1-\t=1-
1c\tC
=:|!|:\t=:|!|:
2d\tG7
2e\tF
=:|!\t=:|!
*-\t*-
"""
EXCHANGED = """**mxhm\t**kern
C\t4c
*x\t*x
4d\tG
*\t*+
*\t*\t**kern
4e\tF\t4c
*\t*-\t*
4f\t4d
*-\t*-
"""


def named(piece: Sequence[tuple[Fraction, Chord | None]]) -> list[tuple[Fraction, str]]:
    return [(start, str(chord)) for start, chord in piece]


def test_chords_start_with_the_notes_of_their_lines() -> None:
    (piece,) = chords_of_humdrum(SONG)
    assert named(piece) == [
        (0, "C"),
        (2, "F7/A"),
        (4, "Am"),
        (6, "F7"),
        (7, "Bbmaj7"),
        (8, "N.C."),
    ]
    (song,) = read_score(SONG.encode(), ".krn")
    assert named(song.origin.chords) == named(piece)


def test_spines_are_exchanged_added_and_ended() -> None:
    (piece,) = chords_of_humdrum(EXCHANGED)
    assert named(piece) == [(0, "C"), (1, "G"), (2, "F")]


def test_chords_repeat_with_the_notes() -> None:
    (song,) = read_score(REPEATED.encode(), ".krn")
    expected = [(0, "C"), (4, "C"), (8, "G7"), (10, "F"), (12, "G7"), (14, "F")]
    assert named(song.origin.chords) == expected
    assert song.roll.num_steps == 16 * song.roll.steps_per_quarter


def test_chords_over_one_note_share_it() -> None:
    text = "**kern\t**mxhm\n*M4/4\t*\n=1\t=1\n1c\tC\n.\tG7\n=2\t=2\n1c\tF\n*-\t*-\n"
    (song,) = read_score(text.encode(), ".krn")
    assert named(song.origin.chords) == [(0, "C"), (2, "G7"), (4, "F")]


def test_a_lead_sheet_of_humdrum_becomes_a_band() -> None:
    text = REPEATED.replace("=:|!|:", "=2").replace("=:|!", "==")
    (song,) = read_score(text.encode(), ".krn", roles=("melody", "chords", "bass"))
    assert song.roll.roles == ("melody", "chords", "bass")
    assert song.roll.sounding.any(axis=(0, 2)).all()


@pytest.mark.parametrize(
    ("token", "name"),
    [
        ("C major", "C"),
        ("B- major-seventh/D", "Bbmaj7/D"),
        ("F# half-diminished", "F#m7b5"),
        ("D suspended-fourth", "Dsus4"),
        ("Bb:maj7/D", "Bbmaj7/D"),
        ("C:min7", "Cm7"),
        ("G7", "G7"),
        ("none", "N.C."),
    ],
)
def test_tokens(token: str, name: str) -> None:
    assert str(chord_of_token(token)) == name


def test_an_unread_token_is_counted() -> None:
    assert chord_of_token("H major") is None
    (song,) = read_score(SONG.replace("A minor", "??").encode(), ".krn")
    assert song.origin.report["unread_chords"] == 1


def test_a_line_without_all_spines_is_refused() -> None:
    with pytest.raises(UnreadableFileError, match="no readable humdrum score"):
        read_score(SONG.replace("\t1a", "").encode(), ".krn")
