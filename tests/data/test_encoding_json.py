"""Encodings in JSON: read back as they were written, and every value checked."""

import json

import pytest

from lnfgen.data.encoding import Encoding
from lnfgen.data.encoding_json import encoding_from_json
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.errors import DatasetError
from lnfgen.formats.text import UNKNOWN
from lnfgen.music.parts import Part

BAND = MusicEncoding(
    num_pitches=49, steps_per_quarter=8, parts=(Part("drums"), Part("melody", 73, (90, 80)))
)


@pytest.mark.parametrize(
    "encoding", [MusicEncoding(time_signature=(6, 8)), TextEncoding((UNKNOWN, "a")), BAND]
)
def test_json_round_trip(encoding: Encoding) -> None:
    assert encoding_from_json(json.loads(json.dumps(encoding.to_json()))) == encoding


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "film"},
        {"kind": ["music"]},
        {"has_onsets": 1},
        {"lowest_pitch": 100},
        {"num_pitches": "88"},
        {"num_pitches": 1 << 40},
        {"tempo_bpm": None},
        {"time_signature": [3, 5]},
        {"time_signature": [3.0, 4]},
        {"time_signature": "3/4"},
        {"fills_upbeats": 1},
        {"parts": [{"role": "singer"}]},
        {"parts": 4},
        {"colour": "red"},
    ],
)
def test_damaged_music(change: dict[str, object]) -> None:
    with pytest.raises(DatasetError, match="preprocess"):
        encoding_from_json(MusicEncoding().to_json() | change)


@pytest.mark.parametrize(
    "vocabulary", ["ab", [], [UNKNOWN], ["a", "b"], [UNKNOWN, "a", "a"], [UNKNOWN, "ab"], [1, 2]]
)
def test_a_damaged_vocabulary(vocabulary: object) -> None:
    with pytest.raises(DatasetError, match="the vocabulary"):
        encoding_from_json({"kind": "text", "vocabulary": vocabulary})


@pytest.mark.parametrize("change", [{"num_pitches": 90}, {"lowest_pitch": 60}])
def test_keys_of_a_band_beyond_a_piano(change: dict[str, int]) -> None:
    with pytest.raises(DatasetError, match="of parts"):
        encoding_from_json(BAND.to_json() | change)


@pytest.mark.parametrize("value", [None, [], {}, {"kind": "text"}])
def test_what_is_no_encoding(value: object) -> None:
    with pytest.raises(DatasetError, match="an encoding with"):
        encoding_from_json(value)
