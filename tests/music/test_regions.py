"""Words that name parts of a piece."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import rolls
from toy_music import WALTZ, song_of_band

from lnfgen.errors import LnfgenError
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.regions import region
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


def test_words_mean_the_bars_of_the_file() -> None:
    def steps(roll: PianoRoll, word: str) -> list[int]:
        return np.flatnonzero(region(roll, [word]).all(axis=1)).tolist()

    assert steps(WALTZ, "bars:0") == [0, 1, 2, 3]
    assert steps(WALTZ, "bars:1-2") == list(range(4, 28))
    assert steps(WALTZ, "bars:3-") == steps(WALTZ, "bars:3-9") == list(range(28, 34))
    assert steps(WALTZ, "bars:0-1") == steps(WALTZ, "steps:1-16")
    for roll, word, said in (
        (replace(WALTZ, upbeat=0), "bars:0", "bars:0: bars are counted from 1 on"),
        (WALTZ, "bars:-1", "bars:-1: bars are counted from 0 on"),
        (WALTZ, "steps:0", "steps:0: steps are counted from 1 on"),
        (WALTZ, "bars:4", "bars:4 means nothing in a piece of 3 bars"),
        (WALTZ, "part:", "found 'part:'; expected"),
        (song_of_band(1), "bars:1,bars:2,part:bass", "its parts have no cell in common"),
    ):
        with pytest.raises(LnfgenError, match=said):
            region(roll, [word])


def cells(roll: PianoRoll, *words: str) -> np.ndarray:
    """The region; nothing if a word means nothing in this piece."""
    with suppress(LnfgenError):
        return region(roll, words)
    return np.zeros_like(roll.sounding)


@given(rolls(), PLACES | KEYS | VOICES, PLACES | KEYS | VOICES)
def test_a_comma_means_both_and_several_words_mean_all(
    roll: PianoRoll, first: str, second: str
) -> None:
    one, other = cells(roll, first), cells(roll, second)
    assert np.array_equal(cells(roll, f"{first}, {second}"), one & other)
    if one.any() and other.any():
        assert np.array_equal(cells(roll, first, second), one | other)


@given(rolls(), VOICES)
def test_a_voice_has_each_note_whole_or_not_at_all(roll: PianoRoll, word: str) -> None:
    found = cells(roll, word)
    for start, length, pitch in roll.notes():
        assert len(set(found[start : start + length, pitch - roll.lowest_pitch].tolist())) == 1


@given(
    st.sampled_from(("", "bars:", "steps:", "keys:", "voice:")),
    st.text("0123456789-,: ABCb#²٣ x", max_size=8),
)
def test_any_words_mean_something_or_are_refused(kind: str, value: str) -> None:
    with suppress(LnfgenError):
        assert region(WALTZ, [kind + value]).any()
