"""Encodings from the JSON of a `dataset.json`, each value checked."""

from dataclasses import fields
from typing import Any, get_args

import numpy as np

from lnfgen.conventions import Kind
from lnfgen.data.encoding import Encoding
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.errors import DatasetError, LnfgenError
from lnfgen.formats.text import UNKNOWN
from lnfgen.music.parts import Part

_HIGHEST = 960  # of all whole numbers in JSON

_MUSIC = {field.name: field.default for field in fields(MusicEncoding) if field.name != "parts"}
"""The attributes of music that JSON always has, and their defaults."""


def encoding_from_json(value: Any) -> Encoding:
    """The encoding that `Encoding.to_json` wrote, or a `DatasetError`."""
    try:
        if not isinstance(value, dict) or value.get("kind") not in get_args(Kind):
            raise ValueError(f"no kind; expected one of {', '.join(get_args(Kind))}")
        if value["kind"] == "music":
            return _music(value)
        return _text(value)
    except (LnfgenError, TypeError, ValueError) as error:
        raise DatasetError(f"an encoding with {error}; preprocess the sources again") from None


def _music(value: dict[str, Any]) -> MusicEncoding:
    others = {name: attribute for name, attribute in value.items() if name != "parts"}
    _require_names(others, {"kind", *_MUSIC})
    del others["kind"]
    for name, default in _MUSIC.items():
        if not _is_like(others[name], default):
            raise ValueError(f"the {name} {others[name]!r:.60}")
    signature = tuple(others["time_signature"])
    if [type(number) for number in signature] != [int, int]:
        raise ValueError(f"the time_signature {signature!r:.60}")
    others["time_signature"] = signature
    parts = [Part.from_json(part) for part in value.get("parts", ())]
    encoding = MusicEncoding(**others, parts=tuple(parts))
    columns = encoding.columns_of(encoding.lowest_pitch)
    _, num_pitches = encoding.pitches
    if columns.min(initial=0) < 0 or columns.max(initial=0) >= num_pitches:
        raise ValueError(f"the num_pitches {encoding.num_pitches} of parts")
    silence = np.zeros((1, encoding.num_parts, encoding.num_pitches), np.uint8)
    encoding.decode(silence)  # this checks the ranges of numbers
    return encoding


def _is_like(found: Any, default: Any) -> bool:
    """True if a value of JSON may stand for an attribute with this default."""
    if isinstance(default, tuple):
        return type(found) is list
    if isinstance(default, float):
        return type(found) in (int, float)
    if type(found) is not type(default):
        return False
    return type(found) is not int or 0 <= found <= _HIGHEST


def _text(value: dict[str, Any]) -> TextEncoding:
    _require_names(value, {"kind", "vocabulary"})
    symbols = value["vocabulary"]
    if type(symbols) is not list:
        raise ValueError(f"the vocabulary {symbols!r:.60}")
    are_characters = all(isinstance(symbol, str) and len(symbol) == 1 for symbol in symbols)
    if (
        not are_characters
        or len(symbols) < 2
        or symbols[0] != UNKNOWN
        or len(set(symbols)) < len(symbols)
    ):
        raise ValueError(f"the vocabulary {tuple(symbols)!r:.60}")
    return TextEncoding(tuple(symbols))


def _require_names(value: dict[str, Any], expected: set[str]) -> None:
    odd = sorted(set(value) ^ expected)
    if odd:
        raise ValueError(f"missing or unknown fields: {', '.join(odd)}")
