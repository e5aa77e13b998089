"""What a client asks is read key by key, and becomes the words that the model takes."""

import json
import random
from typing import Any

import pytest
from toy_bands import FOUR, band_encoding

from lnfgen.conventions import MELODY_PARTICLES
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.errors import LnfgenError
from lnfgen.music.parts import ROLES
from lnfgen.serving.asked import ACTIONS, Asked
from lnfgen.serving.json_fields import AskedWronglyError, Fields

BAND = band_encoding()
KEYS = {
    "action": ["fill", "harmonize", "continue", "vary", "sample", "open", None],
    "take": ["0001", "../x", None, 3],
    "first_bar": [1, 0, -1, 1.5, "2", None],
    "last_bar": [4, 1, None],
    "parts": [[], ["drums"], ["drums", "bass"], ["flute"], "drums", None],
    "bars": [8, 0, None],
    "amount": [0.2, 2, None],
    "count": [1, 4, 99],
    "temperature": [0, 1.2, -1, "hot"],
    "seed": [None, 0, 2**63 - 1, 2**63, 1.0],
    "want": [{}, {"key": "G"}, {"notes_per_bar": [None, 8]}, {"ends": "tonic"}, [], {"a": []}],
    "chords": ["", "C Am | F G7", "H", "% |", "/etc/passwd", "x" * 10_000],
}


def asked(**values: Any) -> Asked:
    return Asked.of(Fields(values), ROLES)


def test_defaults_are_those_of_the_page() -> None:
    found = asked(action="fill", take="0001", first_bar=2)
    assert (found.first_bar, found.last_bar, found.parts) == (2, 2, ())
    assert (found.count, found.particles, found.temperature) == (1, MELODY_PARTICLES, 1.0)
    assert 0 <= found.seed < 2**31
    assert found.seed != asked(action="sample").seed


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"first_bar": 3, "last_bar": 5}, ["bars:3-5"]),
        ({"first_bar": 3, "last_bar": 5, "parts": ["drums"]}, ["bars:3-5,part:drums"]),
        ({"parts": ["bass", "drums"]}, ["part:drums", "part:bass"]),
        ({}, ["bars:1-"]),
    ],
)
def test_marked_bars_are_a_region(values: dict[str, Any], words: list[str]) -> None:
    assert asked(action="fill", take="0001", **values)._free(ROLES) == words


def test_some_bars_are_harmonised() -> None:
    bars = asked(action="harmonize", take="0001", first_bar=3, last_bar=4)
    assert bars._free(()) == ["bars:3-4,below-melody"]
    roles = ("drums", "bass", "chords")
    assert bars._free(ROLES) == [f"bars:3-4,part:{role}" for role in roles]


def test_names_say_what_was_done() -> None:
    fill = asked(action="fill", take="0001", first_bar=3, last_bar=4, parts=["drums"])
    assert fill.words() == "drums bars 3-4"
    assert asked(action="fill", take="0001", first_bar=3).words() == "bar 3"
    assert asked(action="fill", take="0001").words() == "drawn again"
    assert asked(action="harmonize", take="0001").words() == "harmonised"
    assert asked(action="vary", take="0001").words() == "varied"


def test_settings_have_what_was_asked_and_no_more() -> None:
    found = asked(action="vary", take="0001", amount=0.5, seed=3, want={"key": "G"})
    assert found.settings() == {
        "action": "vary",
        "amount": 0.5,
        "count": 1,
        "temperature": 1.0,
        "seed": 3,
        "particles": 16,
        "tries": 6,
        "want": {"key": "G"},
    }
    assert "amount" not in asked(action="sample").settings()


def test_new_songs_are_drawn_one_by_one_from_seeds_that_follow() -> None:
    found = asked(action="sample", count=3, seed=2**63 - 2)
    assert [(one.count, one.seed) for one in found.singly()] == [
        (1, 2**63 - 2),
        (1, 2**63 - 1),
        (1, 0),
    ]
    several = asked(action="vary", take="0001", count=3)
    assert several.singly() == [several]


def test_wishes_are_read_as_the_command_reads_them() -> None:
    want = {"notes_per_bar": [4, None], "top": [60, 79], "key": "G", "drums_polyphony": 2}
    wishes = asked(action="sample", want=want, chords="C | G").wishes(BAND)
    words = [wish.words for wish in wishes.wishes]
    assert "notes_per_bar=4.." in words
    assert wishes.keys.stop == 80
    assert len(wishes.chart) == 2
    with pytest.raises(LnfgenError, match="the wish drums_polyphony=2"):
        asked(action="sample", want={"drums_polyphony": 2}).wishes(MusicEncoding())


def test_whatever_is_asked_it_is_understood_or_refused_in_one_line() -> None:
    rng = random.Random(0)
    understood = 0
    for _ in range(3000):
        keys = rng.sample(list(KEYS), rng.randint(1, 6))
        values = {key: rng.choice(KEYS[key]) for key in {"action", *keys}}
        try:
            found = Asked.of(Fields.of(json.dumps(values).encode()), [part.role for part in FOUR])
            found.wishes(BAND)
        except AskedWronglyError as error:
            message = str(error)
        except LnfgenError as error:
            message = str(error)
        else:
            understood += 1
            assert found.action in ACTIONS
            continue
        assert message.count("\n") == 0
        assert len(message) < 600
    assert understood > 50
