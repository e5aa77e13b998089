"""Chord symbols: what they mean, how they are spelled, and that each chord has a name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnfgen.music.chord import NO_CHORD, SUFFIXES, Chord, named_sets, parse_chord

PITCH_CLASSES = st.integers(0, 11)
INTERVALS = st.frozensets(PITCH_CLASSES, min_size=1)


@pytest.mark.parametrize(
    ("symbol", "root", "intervals", "bass"),
    [
        ("C", 0, {0, 4, 7}, 0),
        ("Am", 9, {0, 3, 7}, 9),
        ("F#m7b5", 6, {0, 3, 6, 10}, 6),
        ("G7sus4", 7, {0, 5, 7, 10}, 7),
        ("Bbmaj7/D", 10, {0, 4, 7, 11}, 2),
        ("C6/9", 0, {0, 2, 4, 7, 9}, 0),
        ("C6/9/E", 0, {0, 2, 4, 7, 9}, 4),
        ("Ebdim7", 3, {0, 3, 6, 9}, 3),
        ("C7#9", 0, {0, 3, 4, 7, 10}, 0),
        ("Cm13", 0, {0, 2, 3, 5, 7, 9, 10}, 0),
    ],
)
def test_a_symbol_means_its_notes(symbol, root, intervals, bass):
    chord = parse_chord(symbol)
    assert chord == Chord(root, frozenset(intervals), bass)
    assert chord.pitch_classes == {(root + interval) % 12 for interval in intervals} | {bass}


@pytest.mark.parametrize(
    ("usual", "others"),
    [
        ("Cmaj7", ["CM7", "CMaj7", "Cma7", "C△7", "C△", "CΔ"]),
        ("Cm7", ["C-7", "Cmin7", "Cmi7", "CMI7"]),
        ("Cm7b5", ["Cø", "Cø7", "C-7b5", "Cm7-5", "Cm7(b5)"]),
        ("Cdim7", ["Co7", "C°7", "Cº7"]),
        ("Cdim", ["Co", "C°"]),
        ("Caug", ["C+"]),
        ("C7#5", ["C+7", "Caug7", "C7+5", "C7(#5)"]),
        ("Cmmaj7", ["CmM7", "Cm(maj7)", "C-△7"]),
        ("C7b9", ["C7(b9)", "C7-9", "C7♭9"]),
        ("Csus4", ["Csus"]),
        ("C7sus4", ["C7sus"]),
        ("C9#11", ["C9(#11)", "C9(add#11)"]),
        ("Cadd9", ["C2", "Cadd2", "C(add9)"]),
        ("N.C.", ["NC", "N"]),
    ],
)
def test_what_other_people_write_means_the_same(usual, others):
    assert [parse_chord(other).name() for other in others] == [usual] * len(others)


@pytest.mark.parametrize(
    "symbol", ["", "H7", "c", "Csomething", "C/", "C/X", "C7 8", "Am/9", "Cadd", "♭", "C##b", "C99"]
)
def test_other_text_is_no_symbol(symbol):
    with pytest.raises(ValueError, match="no chord symbol; expected one such as C"):
        parse_chord(symbol)


@given(PITCH_CLASSES, INTERVALS, PITCH_CLASSES, st.integers(-7, 7))
def test_each_chord_has_a_name_that_means_it(root, intervals, bass, sharps):
    chord = Chord(root, intervals, bass)
    assert parse_chord(chord.name(sharps)) == chord


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_usual_suffix_is_its_own_name(suffix):
    assert parse_chord(f"C{suffix}").suffix == suffix


@pytest.mark.parametrize(
    ("chord", "sharps", "name"),
    [
        (Chord(10, frozenset({0, 4, 7}), 10), 0, "Bb"),
        (Chord(10, frozenset({0, 4, 7}), 10), 4, "A#"),
        (Chord(8, frozenset({0, 4, 7}), 8), 0, "Ab"),
        (Chord(8, frozenset({0, 3, 6, 9}), 8), 0, "G#dim7"),
        (Chord(11, frozenset({0, 4, 7, 10}), 3), 0, "B7/D#"),
        (Chord(3, frozenset({0, 4, 7}), 10), -3, "Eb/Bb"),
        (Chord(2, frozenset({0, 3, 7}), 0), 0, "Dm/C"),
    ],
)
def test_a_chord_is_spelled_under_a_signature(chord, sharps, name):
    assert chord.name(sharps) == name


@given(PITCH_CLASSES, INTERVALS, PITCH_CLASSES, st.integers(-24, 24))
def test_a_moved_chord_has_moved_notes(root, intervals, bass, semitones):
    chord = Chord(root, intervals, bass)
    moved = {(pitch_class + semitones) % 12 for pitch_class in chord.pitch_classes}
    assert chord.transposed(semitones).pitch_classes == moved


def test_no_chord_stays_none():
    assert NO_CHORD.is_silent
    assert not NO_CHORD.pitch_classes
    assert NO_CHORD.transposed(5) == NO_CHORD


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_notes_of_each_suffix_are_a_set_with_a_name_on_each_root(suffix):
    for root in ("C", "F#", "Bb"):
        number = sum(1 << pitch_class for pitch_class in parse_chord(root + suffix).pitch_classes)
        assert named_sets()[number]


def test_clusters_have_no_name_and_two_notes_need_none():
    has_name = named_sets()
    for classes, expected in [((), True), ((0,), True), ((0, 1), True), ((0, 1, 2), False)]:
        assert has_name[sum(1 << pitch_class for pitch_class in classes)] == expected
