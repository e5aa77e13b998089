"""The drums of General MIDI: their names, and the rows of those that a band plays."""

import pytest
from toy_music import band, song_of_band

from lnfgen.music.drums import drum_of, drum_rows
from lnfgen.music.tonality import pitch_number


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (36, ("kick", "F4", "normal")),
        (42, ("closed hat", "G5", "x")),
        (81, ("triangle", "B5", "diamond")),
        (20, ("drum 20", "B4", "normal")),
    ],
)
def test_a_drum_has_a_name_and_a_place_on_a_staff(key: int, expected: tuple[str, ...]) -> None:
    assert drum_of(key) == expected


def test_each_drum_has_a_place_that_is_a_pitch() -> None:
    for key in range(128):
        _, place, _ = drum_of(key)
        assert 60 <= pitch_number(place) <= 96


def test_rows_are_those_of_the_staff_from_the_top_down() -> None:
    piece = band(16, bass=[(0, 4, 40)], drums=[(0, 1, 36), (4, 1, 38), (2, 1, 42), (6, 1, 46)])
    assert list(drum_rows(piece).items()) == [
        (46, "open hat"),
        (42, "closed hat"),
        (38, "snare"),
        (36, "kick"),
    ]
    assert drum_rows(song_of_band(1).part(3)) == {}
