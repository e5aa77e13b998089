"""Words that name parts of a piece."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import rolls
from toy_music import WALTZ, song_of_band, struck_chords

from lnfgen.errors import LnfgenError
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.regions import beyond, outer_voices, random_share, region, room_inside
from lnfgen.music.tonality import pitch_name

PLACES = st.builds(
    "{}:{}{}".format,
    st.sampled_from(("bars", "steps")),
    st.integers(0, 30),
    st.sampled_from(("", "-", "-31")),
)
KEYS = st.builds(
    "keys:{}-{}".format, st.integers(0, 64).map(pitch_name), st.integers(64, 127).map(pitch_name)
)
VOICES = st.sampled_from(("below-melody", "above-bass", "voice:1", "voice:2", "voice:3"))


def steps(roll: PianoRoll, word: str) -> list[int]:
    """The steps whose cells a word means all."""
    return np.flatnonzero(region(roll, [word]).all(axis=(1, 2))).tolist()


def test_words_mean_the_bars_of_the_file() -> None:
    assert steps(WALTZ, "bars:0") == [0, 1, 2, 3]
    assert steps(WALTZ, "bars:1-2") == list(range(4, 28))
    assert steps(WALTZ, "bars:3-") == list(range(28, 34))
    assert steps(WALTZ, "bars:3-9") == list(range(28, 34))
    assert steps(WALTZ, "bars:0-1") == steps(WALTZ, "steps:1-16")


@pytest.mark.parametrize(
    ("roll", "word", "said"),
    [
        (replace(WALTZ, upbeat=0), "bars:0", "bars:0: bars are counted from 1 on"),
        (WALTZ, "bars:-1", "bars:-1: bars are counted from 0 on"),
        (WALTZ, "steps:0", "steps:0: steps are counted from 1 on"),
        (WALTZ, "bars:4", "bars:4 means nothing in a piece of 3 bars, 34 steps and 1 voice"),
        (WALTZ, "part:", "found 'part:'; expected"),
        (WALTZ, "part:bass", "found part:bass for music of one part"),
        (song_of_band(1), "part:tuba", "expected one of part:drums, part:bass, part:chords"),
        (song_of_band(1), "voice:2", "expected it with a part, as part:melody,voice:2"),
        (song_of_band(1), "bars:1,bars:2,part:bass", "its parts have no cell in common"),
    ],
)
def test_a_word_that_means_nothing_is_refused(roll: PianoRoll, word: str, said: str) -> None:
    with pytest.raises(LnfgenError, match=said):
        region(roll, [word])


def test_words_mean_all_parts_of_a_band_or_one() -> None:
    song = song_of_band(1)
    for word in ("bars:2-3", "steps:1-16", "keys:C3-C5"):
        cells = region(song, [word])
        alone = region(song.part(0), [word])
        assert cells.shape == song.sounding.shape
        assert np.array_equal(cells, np.repeat(alone, 4, axis=1))
        of_bass = region(song, [f"{word},part:bass"])
        assert np.array_equal(of_bass[:, [1]], alone)
        assert not of_bass[:, [0, 2, 3]].any()
    inner = region(song, ["part:chords,voice:2"])
    assert np.array_equal(inner[:, [2]], region(song.part(2), ["voice:2"]))


def cells(roll: PianoRoll, *words: str) -> np.ndarray:
    """The region; nothing if a word means nothing in this piece."""
    with suppress(LnfgenError):
        return region(roll, words)
    return np.zeros_like(roll.sounding)


@given(rolls(), PLACES | KEYS | VOICES, PLACES | KEYS | VOICES)
def test_a_comma_means_both_and_several_words_mean_all(
    roll: PianoRoll, first: str, second: str
) -> None:
    one = cells(roll, first)
    other = cells(roll, second)
    assert np.array_equal(cells(roll, f"{first}, {second}"), one & other)
    if one.any() and other.any():
        assert np.array_equal(cells(roll, first, second), one | other)


@given(rolls(), VOICES)
def test_a_voice_has_each_note_whole_or_not_at_all(roll: PianoRoll, word: str) -> None:
    found = cells(roll, word)
    for start, length, pitch in roll.notes():
        own = found[start : start + length, 0, pitch - roll.lowest_pitch]
        assert own.all() or not own.any()


@given(
    st.sampled_from(("", "bars:", "steps:", "keys:", "voice:")),
    st.text("0123456789-,: ABCb#²٣ x", max_size=8),
)
def test_any_words_mean_something_or_are_refused(kind: str, value: str) -> None:
    with suppress(LnfgenError):
        assert region(WALTZ, [kind + value]).any()


def test_keys_beyond_the_model_are_named() -> None:
    assert beyond(["bars:1,keys:C4-C5", "voice:2"], 45, 93) == ""
    one = "keys:C1-C3 goes beyond the keys of the model, A2 to A6; nothing is drawn there"
    assert beyond(["keys:C1-C3", "keys:C1-C3,bars:1"], 45, 93) == one
    assert beyond(["keys:C1-C3", "keys:C8"], 45, 93).startswith("keys:C1-C3, keys:C8 go beyond")


def test_outer_voices_and_the_room_between_the_lowest_ones() -> None:
    roll = struck_chords((60, 64, 67), (62,), ())
    keys = roll.sounding
    assert np.array_equal(outer_voices(keys, 1), struck_chords((67,), (62,), ()).sounding)
    assert np.array_equal(outer_voices(keys, 2), struck_chords((60, 67), (62,), ()).sounding)
    assert np.array_equal(outer_voices(keys, 3), keys)
    room = room_inside(keys)
    assert (np.flatnonzero(room[0, 0]) + roll.lowest_pitch).tolist() == [61, 62, 63]
    assert (np.flatnonzero(room[1, 0]) + roll.lowest_pitch).tolist() == list(range(21, 62))
    assert not room[2].any()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_a_band_has_whole_parts_of_bars(share: float) -> None:
    song = song_of_band(1)
    cells = random_share(song, share, np.random.default_rng(0))
    places = cells.reshape(8, 16, 4, -1).swapaxes(1, 2).reshape(32, -1)  # parts of bars
    chosen = places.all(axis=1)
    assert np.array_equal(chosen, places.any(axis=1))
    assert chosen.sum() == share * 32


def test_a_share_of_one_part_has_voices_of_bars() -> None:
    roll = struck_chords(*[(60, 64, 67)] * 16, grid=4)
    cells = random_share(roll, 1 / 3, np.random.default_rng(0))
    expected = [region(roll, [f"voice:{number}"]) for number in (1, 2, 3)]
    assert any(np.array_equal(cells, one) for one in expected)
