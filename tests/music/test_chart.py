"""Charts: the language, where the chords of a bar start, and round trips."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnfgen.music.chart import (
    ChordChange,
    bar_lines,
    bars_around,
    beat_steps,
    cell_starts,
    changes_over,
    chart_of,
    chart_text,
    chord_at,
    parse_chart,
)
from lnfgen.music.chord import NO_CHORD, Chord, parse_chord
from lnfgen.music.pianoroll import PianoRoll

SIGNATURES = [(4, 4), (3, 4), (2, 4), (6, 8), (12, 8), (5, 4), (2, 2)]
CHORDS = st.sampled_from(
    [parse_chord(symbol) for symbol in ["C", "Am", "F#m7b5", "G7", "Bb/D", "N.C."]]
)
BARS = st.lists(CHORDS, min_size=1, max_size=6).map(tuple)


def named(text: str) -> list[str]:
    return [" ".join(map(str, bar)) for bar in parse_chart(text)]


def silence(num_quarters: int, time_signature: tuple[int, int], upbeat: int = 0) -> PianoRoll:
    cells = np.zeros((num_quarters * 4, 1, 12), np.bool_)
    return PianoRoll(cells, cells, lowest_pitch=60, time_signature=time_signature, upbeat=upbeat)


@pytest.mark.parametrize(
    ("text", "bars"),
    [
        ("C Am F G7", ["C", "Am", "F", "G7"]),
        ("C Am | F G7", ["C Am", "F G7"]),
        ("| C | % | F . G . |", ["C", "C", "F F G G"]),
        ("C | . G", ["C", "C G"]),
        ("C / / G7 |", ["C C C G7"]),
        ("C | G x2", ["C", "G", "C", "G"]),
        ("| C | G | x2", ["C", "G", "C", "G"]),
        ("C G x2\nF", ["C", "G", "C", "G", "F"]),
        ("C\n% x3", ["C", "C", "C", "C"]),
        ("C || F |] G", ["C", "F", "G"]),
    ],
)
def test_the_language_of_charts(text, bars):
    assert named(text) == bars


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "found no chord; expected at least one"),
        ("| |", "found no chord"),
        ("C | H7", "'H7' is no chord symbol"),
        ("% C", "% is the first bar; expected one to repeat"),
        (". C |", "is the first chord; expected one to repeat"),
        ("C x999\n" * 11, "more than 10,000 bars"),
    ],
)
def test_a_chart_that_cannot_be_read_is_refused(text, expected):
    with pytest.raises(ValueError, match=expected):
        parse_chart(text)


@pytest.mark.parametrize(
    ("count", "time_signature", "starts"),
    [
        (2, (4, 4), [0, 2]),
        (3, (4, 4), [0, 2, 3]),
        (4, (4, 4), [0, 1, 2, 3]),
        (8, (4, 4), [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]),
        (2, (3, 4), [0, 2]),
        (3, (3, 4), [0, 1, 2]),
        (2, (6, 8), [0, 1.5]),
        (6, (6, 8), [0, 0.5, 1, 1.5, 2, 2.5]),
    ],
)
def test_the_chords_of_a_bar_share_it_by_beats(count, time_signature, starts):
    beats, unit = time_signature
    quarters = [share * 4 * beats / unit for share in cell_starts(count, time_signature)]
    assert quarters == starts


@given(st.lists(BARS, min_size=1, max_size=9), st.sampled_from(SIGNATURES), st.integers(0, 3))
def test_a_chart_over_a_piece_is_the_chart_again(bars, time_signature, upbeat):
    beats, unit = time_signature
    num_quarters = -(-len(bars) * 4 * beats // unit)
    piece = silence(num_quarters, time_signature)
    piece = piece.with_upbeat(upbeat)
    changes = changes_over(bars, piece)
    assert changes[0].start == Fraction(piece.upbeat, 4)
    again = parse_chart(chart_text(chart_of(changes, piece)))
    assert changes_over(again, piece) == changes


def test_a_short_chart_begins_again_after_its_last_bar():
    piece = silence(20, (4, 4))
    changes = changes_over(parse_chart("C G"), piece)
    assert [(int(start), str(chord)) for start, chord in changes] == [
        (0, "C"),
        (4, "G"),
        (8, "C"),
        (12, "G"),
        (16, "C"),
    ]


def test_an_upbeat_has_no_bar():
    piece = silence(9, (4, 4), upbeat=4)
    assert bar_lines(piece) == [1, 5]
    assert chord_at(changes_over(parse_chart("C G"), piece), Fraction(1, 2)) == NO_CHORD


def test_a_chord_off_the_beats_starts_in_the_nearest_cell():
    piece = silence(4, (4, 4))
    fifths = frozenset({0, 7})
    changes = [ChordChange(Fraction(0), Chord(0, fifths, 0))]
    changes.append(ChordChange(Fraction(25, 12), Chord(7, fifths, 7)))
    assert chart_text(chart_of(changes, piece)) == "| C5 . . . G5 . . . |"


def test_four_bars_stand_on_a_line():
    text = chart_text(parse_chart("C | C | Am . G | F | Bb x2"), sharps=-1)
    assert text == "| C | % | Am . G | F |\n| Bb | C | % | Am . G |\n| F | Bb |"


@pytest.mark.parametrize(
    ("time_signature", "upbeat", "steps"),
    [
        ((3, 4), 0, [0, 4, 8, 12, 16, 20]),
        ((6, 8), 0, [0, 6, 12, 18]),
        ((3, 4), 8, [8, 12, 16, 20]),
    ],
)
def test_beats_are_counted_from_the_first_bar_line(time_signature, upbeat, steps) -> None:
    assert beat_steps(silence(6, time_signature, upbeat)) == steps


def test_bars_around_some_steps() -> None:
    piece = PianoRoll.from_notes([(0, 64, 60)]).with_upbeat(4)
    steps = np.zeros(64, np.bool_)
    steps[[21, 30]] = True
    assert bars_around(piece, steps) == (5, 9)
    steps[0] = True
    assert bars_around(piece, steps) == (0, 9)
    steps[63] = True
    assert bars_around(piece, steps) == (0, 16)
