"""How a piece closes."""

import math
from collections.abc import Sequence

import pytest
from toy_music import chorale, struck_chords

from lnfgen.formats.scores import read_score
from lnfgen.music.endings import (
    BARS_OF_KEY,
    END_FIGURES,
    ends_at_home,
    ends_on_cadence,
    ends_on_triad,
    keeps_key,
)
from lnfgen.music.pianoroll import PianoRoll

TONIC = (48, 55, 64, 72)  # C
SUBDOMINANT = (53, 57, 60, 69)
DOMINANT = (43, 59, 62, 67)
DOMINANT_SEVENTH = (43, 59, 62, 65)
SUSPENDED = (48, 55, 65, 72)  # the fourth over the last bass
IN_SIXTH = (47, 55, 62, 67)  # the dominant on its third


def piece(*chords: Sequence[int]) -> PianoRoll:
    """A piece in C with these chords at its end, each a half note."""
    return struck_chords(TONIC, SUBDOMINANT, DOMINANT, TONIC, SUBDOMINANT, *chords, length=4)


@pytest.mark.parametrize(
    ("pitches", "length", "ends"),
    [
        ((48, 55, 64), 2, True),
        ((48, 55, 63, 72), 2, True),  # minor
        ((48, 55, 64), 1, False),  # too short
        ((52, 55, 60), 2, False),  # not in root position
        ((48, 55), 2, False),
        ((48, 54, 63), 2, False),  # diminished
    ],
)
def test_a_piece_ends_on_a_triad(pitches: Sequence[int], length: int, ends: bool) -> None:
    notes = [(0, 2, 60), *((2, length, pitch) for pitch in pitches)]
    roll = PianoRoll.from_notes(notes, num_steps=6, steps_per_quarter=2)
    assert ends_on_triad(roll) == ends


@pytest.mark.parametrize(
    ("chords", "closes"),
    [
        ((DOMINANT, TONIC), True),
        ((DOMINANT_SEVENTH, TONIC), True),
        ((DOMINANT, SUSPENDED, TONIC), True),
        ((IN_SIXTH, TONIC), False),
        ((SUBDOMINANT, TONIC), False),
        ((TONIC, DOMINANT), False),  # half of one
        ((DOMINANT, (48, 56, 63, 68)), False),  # another chord on the tonic
        ((DOMINANT, SUBDOMINANT), False),
        ((TONIC,), False),
    ],
)
def test_a_cadence_goes_from_the_dominant_to_the_tonic(
    chords: Sequence[Sequence[int]], closes: bool
) -> None:
    roll = piece(*chords)
    assert ends_on_cadence(roll) == closes
    assert ends_on_cadence(roll.transposed(3)) == closes


def test_a_piece_ends_at_home_on_the_tonic_of_its_own_notes() -> None:
    assert ends_at_home(piece(DOMINANT, TONIC))
    assert not ends_at_home(piece(TONIC, DOMINANT))


def test_a_key_is_kept_if_both_ends_are_in_it() -> None:
    phrase = [TONIC, SUBDOMINANT, DOMINANT_SEVENTH, TONIC]
    moved = [tuple(pitch + 6 for pitch in chord) for chord in phrase]
    assert keeps_key(struck_chords(*phrase, *phrase, *phrase, length=8)) == 1
    assert keeps_key(struck_chords(*phrase, *phrase, *moved, *moved, length=8)) == 0
    short = struck_chords(*phrase, length=8)
    assert len(short.bars()) <= BARS_OF_KEY
    assert math.isnan(keeps_key(short))


def test_silence_ends_nowhere() -> None:
    silence = PianoRoll.from_notes([], num_steps=160)
    values = {name: figure.value(silence) for name, figure in END_FIGURES.items()}
    assert math.isnan(values.pop("same_key"))
    assert not any(values.values())


def test_a_chorale_of_bach_ends_at_home() -> None:
    (song,) = read_score(chorale(), ".mxl")
    values = {name: figure.value(song.roll) for name, figure in END_FIGURES.items()}
    # Its last chord but one is that of the second degree.
    assert values == {"held_triad": 1, "tonic": 1, "cadence": 0, "same_key": 1}
