"""Symbols of a voice fill its bars, and show the beats."""

from fractions import Fraction

from hypothesis import given
from strategies import rolls

from lnfgen.formats.symbols import Symbol, bars_of_voice, beat_length, split
from lnfgen.music.pianoroll import PianoRoll


@given(rolls())
def test_bars_are_full(roll: PianoRoll) -> None:
    grid = roll.steps_per_quarter
    bars = bars_of_voice(roll.notes(), roll.num_steps, grid, roll.time_signature)
    length = Fraction(4 * roll.time_signature[0], roll.time_signature[1])
    written = Fraction(0)
    for symbols in bars:
        end = Fraction(0)
        for symbol in symbols:
            assert symbol.offset == end
            end += symbol.length
        assert end == length or symbols is bars[-1]
        written += end
    assert written == Fraction(roll.num_steps, grid)


def test_chords_are_tied_where_one_of_their_notes_ends_and_at_bar_lines() -> None:
    first, second = bars_of_voice([(0, 6, 60), (0, 2, 64)], 6, 1, (4, 4))
    both = (60, 64)
    assert first == [
        Symbol(Fraction(0), Fraction(2), both, goes_on=frozenset({60})),
        Symbol(Fraction(2), Fraction(2), (60,), frozenset({60}), frozenset({60})),
    ]
    assert second == [Symbol(Fraction(0), Fraction(2), (60,), from_before=frozenset({60}))]


def test_symbols_show_the_beats() -> None:
    half = Fraction(1, 2)
    dotted = Fraction(3, 2)
    assert split(half, Fraction(1), (4, 4)) == [(half, 1)], "a plain syncopation"
    middle = split(dotted, Fraction(1), (4, 4))
    assert middle == [(dotted, half), (2, half)], "the middle of the bar is seen"
    second_beat = split(half, dotted, (6, 8))
    assert second_beat == [(half, 1), (dotted, half)], "the second beat of 6/8 is seen"
    assert split(Fraction(1), Fraction(3), (4, 4)) == [(1, 3)], "a dotted half from the second beat"
    assert split(Fraction(0), Fraction(5, 4), (4, 4)) == [(0, 1), (1, Fraction(1, 4))]


def test_a_beat_of_a_compound_time_signature_has_three_units() -> None:
    assert beat_length((4, 4)) == 1
    assert beat_length((2, 2)) == 1
    assert beat_length((6, 8)) == Fraction(3, 2)
    assert beat_length((9, 16)) == Fraction(3, 4)
    assert beat_length((5, 8)) == 1
