"""Keys: found in pieces, read from words, and how far a piece moves to one."""

import pytest
from toy_music import chorale

from lnfgen.errors import LnfgenError
from lnfgen.formats.scores import read_score
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tonality import Key, find_key, semitones_to, spelled

KEYS = [Key(tonic, mode) for tonic in range(12) for mode in ("major", "minor")]


def test_a_piece_and_its_transpositions_are_in_keys_as_far_apart() -> None:
    (roll,) = read_score(chorale(), ".mxl")
    assert find_key(roll) == Key(6, "minor")
    for semitones in (-5, 1, 6):
        assert find_key(roll.transposed(semitones)) == Key((6 + semitones) % 12, "minor")
    assert find_key(PianoRoll.from_notes([], num_steps=4)) is None


def test_words_name_keys() -> None:
    for key in KEYS:
        assert Key.parse(str(key)) == key
    known = {"G": (7, ""), "a minor": (9, "minor"), "Bb": (10, ""), "f#m": (6, "minor"), "AM": (9, "major")}
    assert {text: Key.parse(text) for text in known} == {text: Key(*key) for text, key in known.items()}
    for text in ("H", "", "minor", "C dorian", "A flat flat"):
        with pytest.raises(LnfgenError, match="expected a tonic"):
            Key.parse(text)


def test_pieces_move_the_nearest_way_and_keep_their_mode() -> None:
    for found in KEYS:
        for wanted in KEYS:
            semitones = semitones_to(found, wanted)
            assert abs(semitones) <= 6
            moved = Key((found.tonic + semitones) % 12, found.mode)
            assert moved == wanted if found.mode == wanted.mode else moved.sharps == wanted.sharps
        assert (found.tonic + semitones_to(found, Key(7, ""))) % 12 == 7, "a tonic alone suits both modes"


def test_every_pitch_has_a_spelling_that_sounds_as_it_does() -> None:
    naturals = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
    for key in KEYS:
        for pitch in range(128):
            step, alter, octave = spelled(pitch, key.sharps)
            assert 12 * (octave + 1) + naturals[step] + alter == pitch
            assert abs(alter) <= 2
        scale = [
            spelled(60 + (key.tonic + degree) % 12, key.sharps)[0] for degree in (0, 4 if key.mode == "major" else 3)
        ]
        assert (ord(scale[1]) - ord(scale[0])) % 7 == 2, f"{key}: a third is written as one"
        leading = spelled(key.tonic + 71, key.sharps)[0]
        assert (ord(scale[0]) - ord(leading)) % 7 == 1, f"{key}: the leading note is a step below"
