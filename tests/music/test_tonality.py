"""Keys: found in pieces, read from words, and how far a piece moves to one."""

import pytest
from toy_music import chorale

from lnfgen.errors import LnfgenError
from lnfgen.formats.scores import read_score
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tonality import Key, find_key, spelled, tonic_of

KEYS = [Key(tonic, mode) for tonic in range(12) for mode in ("major", "minor")]


def test_a_piece_and_its_transpositions_are_in_keys_as_far_apart() -> None:
    (roll,) = read_score(chorale(), ".mxl")
    assert find_key(roll) == Key(6, "minor")
    for semitones in (-5, 1, 6):
        assert find_key(roll.transposed(semitones)) == Key((6 + semitones) % 12, "minor")
    assert find_key(PianoRoll.from_notes([], num_steps=4)) is None


def test_words_name_a_tonic_alone() -> None:
    known = {
        "G": 7,
        "g": 7,
        "Bb": 10,
        "B-flat": 10,
        "b flat": 10,
        "b": 11,
        "f#": 6,
        "F sharp": 6,
        "Cb": 11,
        "B#": 0,
    }
    assert {text: tonic_of(text) for text in known} == known
    for text in ("H", "", "minor", "C dorian", "A flat flat", "B#b"):
        with pytest.raises(LnfgenError, match="expected a tonic, such as G"):
            tonic_of(text)
    for key in KEYS:
        with pytest.raises(
            LnfgenError, match=f"has a mode.*expected a tonic alone, as {str(key).split()[0]}$"
        ):
            tonic_of(str(key))
    for text in ("Am", "AM", "a-minor"):
        with pytest.raises(LnfgenError, match=f"'{text}' has a mode, but a piece keeps its own"):
            tonic_of(text)


def test_every_pitch_has_a_spelling_that_sounds_as_it_does() -> None:
    naturals = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
    for key in KEYS:
        for pitch in range(128):
            step, alter, octave = spelled(pitch, key.sharps)
            assert 12 * (octave + 1) + naturals[step] + alter == pitch
            assert abs(alter) <= 2
        scale = [
            spelled(60 + (key.tonic + degree) % 12, key.sharps)[0]
            for degree in (0, 4 if key.mode == "major" else 3)
        ]
        assert (ord(scale[1]) - ord(scale[0])) % 7 == 2, f"{key}: a third is written as one"
        leading = spelled(key.tonic + 71, key.sharps)[0]
        assert (ord(scale[0]) - ord(leading)) % 7 == 1, f"{key}: the leading note is a step below"
