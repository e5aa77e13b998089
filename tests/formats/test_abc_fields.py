"""Fields of ABC tunes mean what the standard has them mean."""

from fractions import Fraction

import pytest

from lnfgen.formats.abc_fields import (
    chord_of,
    key_signature,
    note_length,
    octave_shifts,
    section_order,
    tempo_of,
    time_signature_of,
    unit_length,
    without_clef,
    written_key,
)
from lnfgen.music.chord import parse_chord
from lnfgen.music.key_signature import KeySignature


def test_lengths_are_fractions_of_the_unit() -> None:
    lengths = {"": 1, "3": 3, "3/2": Fraction(3, 2), "/": Fraction(1, 2), "//": Fraction(1, 4)}
    for text, length in lengths.items():
        assert note_length(text) == length
    assert note_length("/4") == Fraction(1, 4)
    with pytest.raises(ValueError, match="a note has the length 2/0"):
        note_length("2/0")
    assert unit_length("1/8") == Fraction(1, 2)
    assert unit_length("1/0") == unit_length("none") == 0


def test_time_signatures() -> None:
    for text, signature in (
        ("C", (4, 4)),
        ("C|", (2, 2)),
        (" 6/8", (6, 8)),
        ("(2+3)/8", (5, 8)),
        ("none", None),
        ("4/0", None),
    ):
        assert time_signature_of(text) == signature


def test_tempos_are_in_quarters_a_minute() -> None:
    for text, bpm in (
        ("1/4=100", 100),
        ("90", 90),
        ("3/8=60", 90),
        ("1/4 3/8=40", 100),
        ('"Fast" 1/2=60', 120),
        ('"Adagio"', 56),
        ("1/4", None),
        ("1/4=0", None),
        ("", None),
    ):
        assert tempo_of(text) == bpm


def test_keys_alter_their_notes() -> None:
    for key, altered in (
        ("C", {}),
        ("D", {"F": 1, "C": 1}),
        ("Bb", {"B": -1, "E": -1}),
        ("F#m", {"F": 1, "C": 1, "G": 1}),
        ("G mix", {}),
        ("D phr ^f", {"B": -1, "E": -1, "F": 1}),
        ("D exp _b", {"B": -1}),
        ("Hp", {"F": 1, "C": 1}),
    ):
        signature = key_signature(key)
        assert {step: alter for step, alter in signature.items() if alter} == altered
        assert len(signature) == 7


def test_clefs_are_no_part_of_a_key_and_may_move_octaves() -> None:
    for text, key, octaves in (
        ("G clef=treble-8 % low", "G", {"clef": -1}),
        ("Am bass+8", "Am", {"clef": 1}),
        ("clef=bass", "", {"clef": 0}),
        ("D octave=2 transpose=-12", "D", {"octave": 2, "transpose": -1}),
        ("D transpose=-2", "D", {"transpose": 0}),
        ("D octave=x", "D", {}),
    ):
        assert without_clef(text) == key
        assert octave_shifts(text) == octaves


def test_sections_are_written_out_in_their_order() -> None:
    for text, order in (
        ("A(BC)2", "ABCBC"),
        ("A.B A", "ABA"),
        ("((AB)2C)2", "ABABCABABC"),
        ("the old version", ""),
        ("(A", ""),
        ("A99B99", ""),
    ):
        assert section_order(text) == order


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("G", KeySignature(1, "major")),
        ("Ador", KeySignature(1, "dorian")),
        ("F# minor", KeySignature(3, "minor")),
        ("Bbm", KeySignature(-5, "minor")),
        ("D Mixolydian", KeySignature(1, "mixolydian")),
        ("C#loc", KeySignature(2, "locrian")),
        ("none", None),
        ("HP", None),
        ("D exp _b _e ^f", None),
    ],
)
def test_a_key_is_a_signature_with_a_mode(key: str, expected: KeySignature | None) -> None:
    assert written_key(key) == expected


@pytest.mark.parametrize(
    ("text", "name"),
    [("Am7", "Am7"), ("G(Em)", "G"), ("C(add9)", "Cadd9"), (" D/F# ", "D/F#"), ("N.C.", "N.C.")],
)
def test_a_text_names_a_chord(text: str, name: str) -> None:
    assert chord_of(text) == parse_chord(name)


@pytest.mark.parametrize("text", ["Fine", "", "(Em)", "D.C.", "1st time"])
def test_other_texts_name_none(text: str) -> None:
    assert chord_of(text) is None
