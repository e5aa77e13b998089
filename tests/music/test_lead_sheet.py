"""What plays the symbols of a lead sheet: close chords that move little, above their bass."""

import itertools
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from lnfgen.music.chart import ChordChange, chord_at
from lnfgen.music.chord import NO_CHORD, Chord, parse_chord
from lnfgen.music.lead_sheet import Accompaniment, TimedNote, accompaniment

PITCH_CLASSES = st.integers(0, 11)
CHORDS = st.just(NO_CHORD) | st.builds(
    Chord, PITCH_CLASSES, st.frozensets(PITCH_CLASSES, min_size=1, max_size=7), PITCH_CLASSES
)
QUARTERS = st.integers(0, 95).map(lambda halves: Fraction(halves, 2))
END = Fraction(48)
LINES = [Fraction(line) for line in range(0, 48, 4)]


def changes_of(*names: str) -> list[ChordChange]:
    """A chord in each bar of four quarters."""
    return [ChordChange(Fraction(4 * bar), parse_chord(name)) for bar, name in enumerate(names)]


def chords_of(played: Accompaniment) -> list[list[int]]:
    by_start = itertools.groupby(sorted(played.chords), key=lambda note: note[0])
    return [[pitch for _, _, pitch in notes] for _, notes in by_start]


def sounding(notes: list[TimedNote], time: Fraction) -> set[int]:
    return {pitch for start, end, pitch in notes if start <= time < end}


@given(st.dictionaries(QUARTERS, CHORDS, max_size=12))
def test_at_each_time_the_notes_are_those_of_the_symbol(found: dict[Fraction, Chord]) -> None:
    changes = [ChordChange(start, found[start]) for start in sorted(found)]
    played = accompaniment(changes, LINES, END)
    for halves in range(96):
        time = Fraction(halves, 2)
        chord = chord_at(changes, time)
        above = sounding(played.chords, time)
        bass = sounding(played.bass, time)
        assert {pitch % 12 for pitch in above | bass} == chord.pitch_classes
        assert {pitch % 12 for pitch in bass} == (set() if chord.is_silent else {chord.bass})
        if above:
            assert len(above) == len(chord.intervals)  # each once, in close position
            assert max(above) - min(above) < 12
            assert min(above) > 48
            assert max(above) <= 72
            assert all(36 <= pitch < 48 for pitch in bass)


def test_the_first_chord_is_around_middle_c_and_the_next_ones_near() -> None:
    played = accompaniment(changes_of("C", "F", "G7", "C"), LINES, Fraction(16))
    first, *others = chords_of(played)
    assert first == [55, 60, 64]
    assert others == [[57, 60, 65], [55, 59, 62, 65], [55, 60, 64]]
    assert [pitch for _, _, pitch in played.bass] == [36, 41, 43, 36]


def test_voices_move_less_than_from_root_position_to_root_position() -> None:
    names = ("Am7", "D7", "Gmaj7", "Cmaj7", "F#m7b5", "B7", "Em", "Em")
    chords = chords_of(accompaniment(changes_of(*names), LINES, Fraction(32)))
    for one, other in itertools.pairwise(chords):
        assert sum(abs(one[0] - pitch) for pitch in other[:1]) <= 4
        for pitch in other:
            assert min(abs(pitch - before) for before in one) <= 3


def test_a_chord_is_struck_where_it_changes_and_at_bar_lines() -> None:
    changes = [
        ChordChange(Fraction(1), parse_chord("C")),
        ChordChange(Fraction(3), parse_chord("C")),  # the same chord, written again
        ChordChange(Fraction(6), parse_chord("G")),
        ChordChange(Fraction(9), NO_CHORD),
        ChordChange(Fraction(13), parse_chord("C/E")),
    ]
    played = accompaniment(changes, LINES, Fraction(15))
    spans = [(1, 4), (4, 6), (6, 8), (8, 9), (13, 15)]
    assert [(start, end) for start, end, _ in played.bass] == spans
    assert played.bass[-1][2] == 40


def test_without_symbols_nothing_is_played() -> None:
    assert accompaniment([], LINES, END) == Accompaniment([], [])
