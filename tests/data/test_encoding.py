"""Encodings: pieces to integers and back, text as lines, chunks and tunes."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import rolls

from lnfgen.data.encoding import UNKNOWN, Encoding, changes_in_words
from lnfgen.errors import DatasetError, LnfgenError, UnreadableFileError
from lnfgen.formats import text
from lnfgen.music.pianoroll import Losses, PianoRoll

ROLL = PianoRoll.from_notes(
    [(0, 2, 60), (2, 2, 60), (1, 5, 67)], num_steps=8, tempo_bpm=90.0, time_signature=(3, 4)
)


def test_music_round_trip_tells_struck_from_held() -> None:
    encoding = Encoding("music", tempo_bpm=90.0, time_signature=(3, 4))
    values = encoding.encode(ROLL)
    assert values.dtype == np.uint8
    assert values[:, 60 - 21].tolist() == [3, 1, 3, 1, 0, 0, 0, 0]
    assert encoding.decode(values) == ROLL


def test_a_key_that_is_held_after_silence_is_struck() -> None:
    values = np.array([[1, 0], [1, 1], [0, 3]], dtype=np.uint8)
    decoded = Encoding("music", lowest_pitch=60, num_pitches=2).decode(values)
    assert decoded == PianoRoll.from_notes(
        [(0, 2, 60), (1, 1, 61), (2, 1, 61)], lowest_pitch=60, num_pitches=2
    )


def test_music_without_onsets_keeps_sounding_alone() -> None:
    encoding = Encoding("music", has_onsets=False)
    values = encoding.encode(ROLL)
    assert set(np.unique(values)) == {0, 1}
    decoded = encoding.decode(values)
    assert isinstance(decoded, PianoRoll)
    assert decoded.onsets is None
    assert np.array_equal(decoded.sounding, ROLL.sounding)


def test_unknown_onsets_are_struck_where_sounding_starts() -> None:
    held = PianoRoll(ROLL.sounding, None)
    assert Encoding("music").encode(held)[:, 60 - 21].tolist() == [3, 1, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "piece",
    [
        "text",
        PianoRoll(ROLL.sounding, None, steps_per_quarter=2),
        PianoRoll(ROLL.sounding[:, :80].copy(), None),
    ],
)
def test_music_refuses_what_does_not_fit(piece: PianoRoll | str) -> None:
    with pytest.raises(LnfgenError, match="expected"):
        Encoding("music").encode(piece)


def test_text_round_trip_and_unknown() -> None:
    encoding = Encoding("text", vocabulary=text.fit_vocabulary(["naïve é\n", "𝄞"]))
    assert encoding.vocabulary[0] == UNKNOWN
    assert list(encoding.vocabulary[1:]) == sorted(set("naïve é\n𝄞"))
    values = encoding.encode("é𝄞\n n")
    assert values.dtype == np.int32
    assert encoding.decode(values) == "é𝄞\n n"
    assert encoding.decode(encoding.encode("nxn")) == f"n{UNKNOWN}n"
    assert encoding.unit == "bits_per_char"
    with pytest.raises(LnfgenError, match="found music; expected text"):
        encoding.encode(ROLL)
    with pytest.raises(LnfgenError):
        encoding.decode(np.array([99]))


@given(st.text(), st.integers(1, 9))
def test_any_text_is_the_same_again(piece: str, length: int) -> None:
    chunks = text.chunks(piece, length)
    encoding = Encoding("text", vocabulary=text.fit_vocabulary(chunks))
    assert "".join(str(encoding.decode(encoding.encode(chunk))) for chunk in chunks) == piece


@given(rolls())
def test_any_music_is_the_same_again(roll: PianoRoll) -> None:
    facts = {
        name: getattr(roll, name) for name in ("steps_per_quarter", "tempo_bpm", "time_signature")
    }
    encoding = Encoding("music", **facts)
    assert encoding.decode(encoding.encode(roll)) == replace(roll, upbeat=0)


@pytest.mark.parametrize(
    "encoding",
    [Encoding("music", time_signature=(6, 8)), Encoding("text", vocabulary=(UNKNOWN, "a"))],
)
def test_json_round_trip(encoding: Encoding) -> None:
    assert Encoding.from_json(json.loads(json.dumps(encoding.to_json()))) == encoding


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "film"},
        {"has_onsets": 1},
        {"lowest_pitch": 100},
        {"num_pitches": "88"},
        {"tempo_bpm": None},
        {"time_signature": [3, 5]},
        {"fills_upbeats": 1},
        {"colour": "red"},
    ],
)
def test_json_damaged(change: dict[str, object]) -> None:
    with pytest.raises(DatasetError, match="preprocess"):
        Encoding.from_json(Encoding("music").to_json() | change)


def test_adapted_pieces_are_encoded_and_their_losses_added_up() -> None:
    coarse = Encoding(kind="music", steps_per_quarter=2)
    pieces = [
        PianoRoll.from_notes([(0, 3, 60), (4, 4, 62)]),
        PianoRoll.from_notes([(0, 4, 20), (0, 4, 60)]),
    ]
    sequences, changes = coarse.adapt([*pieces, coarse.decode(np.zeros((2, 88), np.uint8))])
    assert [len(sequence) for sequence in sequences] == [4, 2, 2]
    assert changes == Losses(rounded=1, out_of_range=1)
    assert changes_in_words(changes).split("; ") == [
        "rounded 1 start or end of a note to the model's grid",
        "left out 1 note beyond the model's range",
    ]
    assert not coarse.adapt([])[1]
    text = Encoding(kind="text", vocabulary=(UNKNOWN, "a"))
    assert text.adapt(["axa", f"{UNKNOWN}a"])[1] == Losses(unknown=1)
    with pytest.raises(LnfgenError, match="found text; expected music"):
        coarse.adapt(["a"])


def test_abc_tunes() -> None:
    tunes = text.abc_tunes("% book\nX:1\nT:a X: b\nK:C\nCDE|\n\n\nX: 2\r\nK:G\r\nGAB|\rX:3\r")
    assert tunes == ["X:1\nT:a X: b\nK:C\nCDE|\n", "X: 2\nK:G\nGAB|\n", "X:3\n"]


def test_text_that_is_not_utf8_names_the_byte() -> None:
    with pytest.raises(UnreadableFileError, match=r"song.txt .*0xff at offset 3"):
        text.decode_utf8(b"abc\xff", "song.txt")
    assert text.decode_utf8("\ufeffabc".encode(), "song.txt") == "abc"
