"""How far a piece is from a wish that is no number."""

import math

import numpy as np
import pytest

from lnfgen.inference import wish_measures
from lnfgen.inference.wish_measures import FAR
from lnfgen.music.pianoroll import PianoRoll

SCALE = PianoRoll.from_notes(
    [(2 * i, 2, 60 + pitch) for i, pitch in enumerate((0, 4, 7, 5, 4, 2, 7, 12))]
)
SILENCE = PianoRoll.from_notes([], num_steps=4)
TUNE = "X:1\nK:Am\nM:6/8\nabc|abc"


def keys(mode: int, tonic: int) -> np.ndarray:
    wanted = np.zeros((2, 12), np.bool_)
    wanted[mode, tonic] = True
    return wanted


def test_the_distance_of_a_key_grows_with_its_foreign_notes() -> None:
    value, distance = wish_measures.in_key(keys(0, 0), SCALE)
    assert (value, distance) == ("C major", 0)
    _, to_relative = wish_measures.in_key(keys(1, 4), SCALE)
    _, to_far = wish_measures.in_key(keys(0, 6), SCALE)
    assert 0 < to_relative < to_far <= FAR
    value, distance = wish_measures.in_key(keys(0, 0), SILENCE)
    assert value is None
    assert math.isnan(distance)


@pytest.mark.parametrize(
    ("top", "low", "high", "distance"),
    [(True, 60, 72, 0), (True, 62, 71, 3), (False, -math.inf, 60, 12), (True, 48, math.inf, 0)],
)
def test_a_line_is_as_far_as_its_outer_pitches(
    top: bool, low: float, high: float, distance: float
) -> None:
    assert wish_measures.line_within(top, low, high, SCALE) == ("C4..C5", distance)
    value, nothing = wish_measures.line_within(top, low, high, SILENCE)
    assert value is None
    assert math.isnan(nothing)


TONIC = (48, 55, 64, 72)
DOMINANT = (55, 62, 65, 71)


def in_c(*last: tuple[int, ...]) -> PianoRoll:
    """A tune of C major with its chords, and these chords last."""
    chords = [TONIC, (53, 60, 65, 69), TONIC, (50, 57, 65, 74), DOMINANT, TONIC, *last]
    notes = [(4 * number, 4, pitch) for number, chord in enumerate(chords) for pitch in chord]
    return PianoRoll.from_notes(notes)


def test_a_cadence_leads_from_the_dominant_to_the_tonic() -> None:
    """A held triad alone is none."""
    full = in_c(DOMINANT, TONIC)
    assert wish_measures.ends_as("cadence", full) == ("cadence", 0)
    assert wish_measures.ends_as("tonic", full) == ("tonic", 0)
    plagal = in_c((53, 60, 65, 69), TONIC)
    assert wish_measures.ends_as("cadence", plagal) == ("tonic", 1)
    half = in_c(TONIC, (*DOMINANT[:2], 71, 79))
    assert wish_measures.ends_as("cadence", half) == (None, 1)
    assert wish_measures.ends_as("tonic", half) == (None, 1)
    assert wish_measures.ends_as("tonic", SILENCE) == (None, 1)


def test_the_close_decides_on_the_key_of_a_whole_piece_alone() -> None:
    """A tune of C major that closes on A is in A minor."""
    tune = (60, 64, 67, 72, 71, 72, 74, 67, 65, 64, 62, 69, 57)
    on_a = PianoRoll.from_notes([(4 * place, 4, pitch) for place, pitch in enumerate(tune)])
    assert wish_measures.in_key(keys(1, 9), on_a) == ("A minor", 0)
    value, _ = wish_measures.in_key(keys(1, 9), on_a, closes=False)
    assert value == "C major"


def test_a_time_signature_is_that_of_the_piece() -> None:
    assert wish_measures.in_time_signature((4, 4), SCALE) == ("4/4", 0)
    assert wish_measures.in_time_signature((3, 4), SCALE) == ("4/4", FAR)


def test_a_word_is_in_a_text_or_far() -> None:
    assert wish_measures.contains("bc|", TUNE) == (True, 0)
    assert wish_measures.contains("cb", TUNE) == (False, FAR)


@pytest.mark.parametrize(
    ("wanted", "distance"),
    [((9, None), 0), ((9, "minor"), 0), ((9, "major"), FAR), ((0, None), FAR)],
)
def test_a_key_of_a_tune_is_its_field(wanted: tuple[int, str | None], distance: float) -> None:
    assert wish_measures.in_abc_key(wanted, TUNE) == ("Am", distance)


def test_fields_count_once_their_lines_are_whole() -> None:
    assert wish_measures.in_abc_time_signature((6, 8), TUNE) == ("6/8", 0)
    assert wish_measures.in_abc_time_signature((3, 4), TUNE) == ("6/8", FAR)
    assert wish_measures.in_abc_time_signature((3, 4), "M:C|\n") == ("C|", FAR)
    assert wish_measures.in_abc_key((9, None), "K:none\n") == ("none", FAR)
    for measured in (
        wish_measures.in_abc_key((9, None), "K:A"),
        wish_measures.in_abc_time_signature((6, 8), "M:6/8"),
    ):
        value, distance = measured
        assert value is None
        assert math.isnan(distance)
