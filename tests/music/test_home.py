"""The home of a piece, and its number for a model."""

from dataclasses import replace

import numpy as np
import pytest
from toy_music import chorale

from lnfgen.formats.scores import read_score
from lnfgen.music.home import find_home, home_number, last_bass, numbered_home
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tonality import MODES, Key

HOMES = [Key(tonic, mode) for mode in MODES for tonic in range(12)]


def in_c(last: int) -> PianoRoll:
    """A tune on the notes of C major, which are those of A minor too, over a last note."""
    tune = [60, 64, 67, 69, 71, 72, 74, 76, 69, 65, 62, last]
    notes = [(4 * place, 4, pitch) for place, pitch in enumerate(tune)]
    return PianoRoll.from_notes(notes, num_steps=4 * len(tune))


def test_the_close_decides_between_keys_of_the_same_notes() -> None:
    assert find_home(in_c(48)) == Key(0, "major")
    assert find_home(in_c(57)) == Key(9, "minor")
    assert last_bass(in_c(57)) == 57


def test_where_the_piece_goes_on_its_last_note_is_one_of_many() -> None:
    once = find_home(in_c(57), closes=False)
    assert once == find_home(in_c(45), closes=False)
    assert once is not None


def test_the_last_bass_of_a_stretch_of_a_song_is_one_of_many() -> None:
    band = in_c(57).in_parts([Part("melody")])
    assert find_home(band) == find_home(in_c(57), closes=False)


def test_a_home_moves_with_its_piece() -> None:
    (song,) = read_score(chorale(), ".mxl")
    home = find_home(song.roll)
    assert home is not None
    for semitones in (-5, 1, 6):
        moved = Key((home.tonic + semitones) % 12, home.mode)
        assert find_home(song.roll.transposed(semitones)) == moved


def test_silence_and_drums_have_no_home() -> None:
    assert find_home(PianoRoll.from_notes([], num_steps=4)) is None


def test_silence_after_the_close_changes_nothing() -> None:
    roll = in_c(57)
    silence = ((0, 16), (0, 0), (0, 0))
    onsets = np.pad(roll.struck(), silence)
    longer = replace(roll, sounding=np.pad(roll.sounding, silence), onsets=onsets)
    assert find_home(longer) == find_home(roll)


@pytest.mark.parametrize("lowest_pitch", [0, 21, 43])
def test_numbers_stand_for_homes(lowest_pitch: int) -> None:
    numbers = [home_number(home, lowest_pitch) for home in HOMES]
    assert sorted(numbers) == list(range(24))
    assert [numbered_home(number, lowest_pitch) for number in numbers] == HOMES
    assert numbered_home(home_number(None, lowest_pitch), lowest_pitch) is None


def test_a_home_has_the_number_of_its_tonic_among_the_keys_of_the_model() -> None:
    assert home_number(Key(9, "major"), 21) == 0  # the first key of a piano is an A
    assert home_number(Key(9, "minor"), 21) == 12
    assert home_number(Key(0, "major"), 21) == 3
