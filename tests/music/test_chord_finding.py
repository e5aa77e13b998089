"""Chords that are found from notes: those that a piece was made of, in any key, metre and grid."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from strategies import bands, rolls
from toy_music import chorale, song_of_band

from lnfgen.formats.scores import read_score
from lnfgen.music.chart import (
    Bar,
    ChordChange,
    bar_lines,
    changes_over,
    chart_of,
    parse_chart,
)
from lnfgen.music.chord import NO_CHORD, Chord, parse_chord
from lnfgen.music.chord_finding import chords_of, find_chords, song_chart
from lnfgen.music.key_signature import KeySignature
from lnfgen.music.notes import Note
from lnfgen.music.parts import DRUMS, Part
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Origin, Song

CHARTS = (
    "C | Am | F | G7",
    "C Am | Dm G7 | Em A7 | Dm7 G7",
    "Cmaj7 | A7 | Dm7 | G7 | Cmaj7 F | Bm7b5 E7 | Am7 | %",
    "C | G/B | Am | Am7/G | F | C/E | Dm7 | G",
    "Am | E/G# | Am7/G | D7/F# | F | C/E | Bdim | E7",
    "C | Csus4 C | G7sus4 G7 | C | Fsus2 | F | G | C",
    "Cm | Fm6 | G7 | Cm | Ab | Ddim7 | G | Cm",
    "C | Caug | C6 | C7 | F | Fm | C/G | G7",
    "Em | D | C | B7 | Em | % | F#m7b5 | B7",
    "N.C. | C | F | N.C. | G7 | C",
)
METRES = ((4, 4), (3, 4), (6, 8))
CASES = list(enumerate(itertools.product(CHARTS, METRES)))


def transposed(chart: Sequence[Bar], semitones: int) -> list[Bar]:
    return [tuple(chord.transposed(semitones) for chord in bar) for bar in chart]


def in_blocks(
    chart: Sequence[Bar], time_signature: tuple[int, int] = (4, 4), steps_per_quarter: int = 4
) -> PianoRoll:
    """A piece that strikes each chord of a chart once, in close position over its bass."""
    beats, unit = time_signature
    num_steps = len(chart) * 4 * steps_per_quarter * beats // unit
    silent = PianoRoll.from_notes(
        [], num_steps=num_steps, steps_per_quarter=steps_per_quarter, time_signature=time_signature
    )
    changes = changes_over(chart, silent)
    assert len(bar_lines(silent)) == len(chart)
    steps = [int(start * steps_per_quarter) for start, _ in changes]
    notes: list[Note] = []
    for (_, chord), start, end in zip(changes, steps, [*steps[1:], num_steps], strict=True):
        keys = [60 + pitch_class for pitch_class in chord.pitch_classes]
        if not chord.is_silent:
            keys.append(36 + chord.bass)
        notes += [(start, end - start, key) for key in keys]
    roll = PianoRoll.from_notes(notes, num_steps=num_steps, steps_per_quarter=steps_per_quarter)
    return replace(roll, time_signature=time_signature)


def chords_heard(piece: PianoRoll) -> list[Chord]:
    return [chord for _, chord in find_chords(piece)]


@pytest.mark.parametrize(("number", "case"), CASES)
def test_a_piece_of_block_chords_gives_its_chart_back(
    number: int, case: tuple[str, tuple[int, int]]
) -> None:
    text, metre = case
    chart = transposed(parse_chart(text), number)
    piece = in_blocks(chart, metre)
    expected = chart_of(changes_over(chart, piece), piece)
    assert chart_of(find_chords(piece), piece) == expected


def test_the_grid_does_not_matter() -> None:
    chart = parse_chart(CHARTS[1])
    piece = in_blocks(chart)
    for grid in (1, 2, 12, 24, 48):
        assert find_chords(piece.on_grid(grid)) == find_chords(piece)


def test_chords_are_found_beside_the_beats_of_the_file() -> None:
    """Recorded files begin anywhere, so that their beats are not those of the music."""
    piece = in_blocks(parse_chart(CHARTS[1]))
    ahead = np.zeros((3, 1, piece.num_pitches), np.bool_)
    assert piece.onsets is not None
    late = replace(
        piece,
        sounding=np.concatenate([ahead, piece.sounding]),
        onsets=np.concatenate([ahead, piece.onsets]),
    )
    first, *others = find_chords(piece)
    later = [ChordChange(start + Fraction(3, 4), chord) for start, chord in others]
    assert find_chords(late)[-len(later) :] == later
    assert chords_heard(late)[-len(later) - 1] == first.chord


def test_passing_notes_change_no_chord() -> None:
    plain = [(0, 16, 48), (0, 16, 55), (0, 16, 64)]
    melody = [(2 * step, 2, key) for step, key in enumerate((72, 74, 76, 77, 79, 77, 76, 74))]
    assert chords_heard(PianoRoll.from_notes(plain + melody)) == [parse_chord("C")]


def test_a_suspended_chord_is_found_where_its_third_does_not_sound() -> None:
    open_fifth = [(0, 16, 48), (0, 16, 55), (0, 16, 60)]
    suspended = PianoRoll.from_notes([*open_fifth, (0, 16, 65)])
    assert chords_heard(suspended) == [parse_chord("Csus4")]
    struck_twice = [(start, 8, key) for start in (0, 8) for key in (48, 55, 60)]
    resolved = PianoRoll.from_notes([*struck_twice, (0, 8, 65), (8, 8, 64)])
    assert chords_heard(resolved) == [parse_chord("Csus4"), parse_chord("C")]
    passing = PianoRoll.from_notes([*open_fifth, (0, 2, 65), (2, 2, 64), (4, 2, 65), (6, 10, 64)])
    assert chords_heard(passing) == [parse_chord("C")]


def test_low_notes_count_more_than_high_ones() -> None:
    low = [(0, 16, 48), (0, 16, 52), (0, 16, 55)]
    high = [(0, 16, 80), (0, 16, 84), (0, 16, 87)]
    assert chords_heard(PianoRoll.from_notes(low + high)) == [parse_chord("C")]
    lower = [(start, length, key + 36) for start, length, key in low]
    upper = [(start, length, key - 36) for start, length, key in high]
    assert chords_heard(PianoRoll.from_notes(lower + upper)) == [parse_chord("Ab")]


def test_a_broken_chord_is_one_chord() -> None:
    keys = (48, 55, 60, 64, 67, 64, 60, 55, 45, 52, 57, 60, 64, 60, 57, 52)
    notes = [(step, 1, key) for step, key in enumerate(keys)]
    found = find_chords(PianoRoll.from_notes(notes, steps_per_quarter=2))
    assert found == [
        ChordChange(Fraction(0), parse_chord("C")),
        ChordChange(Fraction(4), parse_chord("Am")),
    ]


def test_other_keys_have_other_chords() -> None:
    (song,) = read_score(chorale(), ".mxl")
    expected = find_chords(song.roll)
    assert len(expected) > 20
    for semitones in (-5, -1, 2, 6):
        moved = find_chords(song.roll.transposed(semitones))
        back = [ChordChange(start, chord.transposed(-semitones)) for start, chord in moved]
        assert back == expected


def test_silence_has_no_chord() -> None:
    silence = [ChordChange(Fraction(0), NO_CHORD)]
    assert find_chords(PianoRoll.from_notes([], num_steps=40)) == silence
    struck = PianoRoll.from_notes([(step, 1, 36) for step in range(40)])
    drums = PianoRoll.of_parts([struck], [Part(DRUMS)])
    assert find_chords(drums) == silence


def test_a_short_rest_is_no_change() -> None:
    staccato = [(4 * beat, 1, key) for beat in range(8) for key in (48, 55, 64)]
    assert chords_heard(PianoRoll.from_notes(staccato, num_steps=32)) == [parse_chord("C")]


def test_drums_are_not_heard() -> None:
    song = song_of_band(1)
    drums = song.roles.index(DRUMS)
    sounding = song.sounding.copy()
    sounding[:, drums] = ~sounding[:, drums]
    assert find_chords(replace(song, sounding=sounding, onsets=None)) == find_chords(
        replace(song, onsets=None)
    )


@given(rolls() | bands())
def test_the_chords_of_any_piece_are_in_order(piece: PianoRoll) -> None:
    found = find_chords(piece)
    starts = [start for start, _ in found]
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert starts[-1] * piece.steps_per_quarter < piece.num_steps
    for (_, before), (_, after) in itertools.pairwise(found):
        assert before != after
    assert len(chart_of(found, piece)) == len(bar_lines(piece))


def test_symbols_of_the_file_come_before_what_is_heard() -> None:
    piece = in_blocks(parse_chart("Eb | Bb7 | % | Eb"))
    heard = Song(piece)
    assert song_chart(heard, chords_of(heard)) == "| Eb | Bb7 | % | Eb |"
    written = (ChordChange(Fraction(0), parse_chord("D#")), ChordChange(Fraction(8), NO_CHORD))
    song = Song(piece, Origin(chords=written, key=KeySignature(-3)))
    assert chords_of(song) == written
    assert song_chart(song, chords_of(song)) == "| Eb | % | N.C. | % |"
