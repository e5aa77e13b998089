"""Keys: found in pieces, read from words, and how far a piece moves to one."""

import numpy as np
import pytest
from toy_music import chorale

from lnfgen.errors import LnfgenError
from lnfgen.formats.scores import read_score
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tonality import (
    Key,
    find_key,
    most_like,
    pitch_name,
    pitch_number,
    spelled,
    tonic_of,
)

KEYS = [Key(tonic, "major") for tonic in range(12)] + [Key(tonic, "minor") for tonic in range(12)]


def test_a_piece_and_its_transpositions_are_in_keys_as_far_apart() -> None:
    (song,) = read_score(chorale(), ".mxl")
    roll = song.roll
    assert find_key(roll) == Key(6, "minor")
    for semitones in (-5, 1, 6):
        assert find_key(roll.transposed(semitones)) == Key((6 + semitones) % 12, "minor")
    assert find_key(PianoRoll.from_notes([], num_steps=4)) is None


@pytest.mark.parametrize(
    ("words", "tonic"),
    [
        ("G", 7),
        ("g", 7),
        ("Bb", 10),
        ("B-flat", 10),
        ("b flat", 10),
        ("b", 11),
        ("f#", 6),
        ("F sharp", 6),
        ("Cb", 11),
        ("B#", 0),
    ],
)
def test_words_name_a_tonic(words: str, tonic: int) -> None:
    assert tonic_of(words) == tonic


@pytest.mark.parametrize("words", ["H", "", "minor", "C dorian", "A flat flat", "B#b"])
def test_words_name_no_tonic(words: str) -> None:
    with pytest.raises(LnfgenError, match="expected a tonic, such as G"):
        tonic_of(words)


def test_a_tonic_stands_alone() -> None:
    for key in KEYS:
        tonic, _ = str(key).split()
        with pytest.raises(LnfgenError, match=f"has a mode.*expected a tonic alone, as {tonic}$"):
            tonic_of(str(key))
    for text in ("Am", "AM", "a-minor"):
        with pytest.raises(LnfgenError, match=f"'{text}' has a mode, but a piece keeps its own"):
            tonic_of(text)


def test_every_pitch_has_a_spelling_that_sounds_as_it_does() -> None:
    naturals = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
    for key in KEYS:
        for pitch in range(128):
            letter, alter, octave = spelled(pitch, key.sharps)
            assert 12 * (octave + 1) + naturals[letter] + alter == pitch
            assert abs(alter) <= 2


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_a_third_is_written_as_one_and_a_leading_note_as_the_step_below(key: Key) -> None:
    third_size = 4 if key.mode == "major" else 3
    tonic, _, _ = spelled(60 + key.tonic, key.sharps)
    third, _, _ = spelled(60 + (key.tonic + third_size) % 12, key.sharps)
    leading, _, _ = spelled(key.tonic + 71, key.sharps)
    assert (ord(third) - ord(tonic)) % 7 == 2
    assert (ord(tonic) - ord(leading)) % 7 == 1


def test_names_of_pitches_and_their_numbers() -> None:
    for pitch in range(128):
        assert pitch_number(pitch_name(pitch)) == pitch
    assert pitch_number(" Bb-1 ") == 10
    for wrong in ("", "H4", "C", "C#", "4", "C444"):
        with pytest.raises(ValueError, match="is no pitch"):
            pitch_number(wrong)


def test_the_most_like_key() -> None:
    likeness = np.zeros((2, 12))
    likeness[1, 9] = 0.5
    assert most_like(likeness) == Key(9, "minor")
    likeness[0, 0] = np.nan
    assert most_like(likeness) is None
