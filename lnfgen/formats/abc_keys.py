"""The fields K: and V: of ABC: the key, the accidentals that it has beside its mode, and octaves.

Source: the abc music standard 2.1, abcnotation.com/wiki/abc:standard:v2.1, sections 3.1.14 and 4.6.
"""

import re
from functools import lru_cache

TOO_HIGH = 9
"""By so many octaves a note is out of range, wherever it was."""

_SIGN = re.compile(r"(?<=\s)(\^\^?|__?|=)([A-Ga-g])(?=\s|$)")
_CLEF = re.compile(
    r"(?<!\S)(?:clef=[^\s+^_-]+|(?:treble|alto|tenor|bass|soprano|mezzosoprano|baritone|perc)\d?)"
    r"(?:(?P<up>[+^]8)|(?P<down>[-_]8))?(?!\S)"
)
_PROPERTY = re.compile(r"(?<!\S)(?P<name>[a-z]+)=(?P<value>\"[^\"]*\"|\S*)")


def without_clef(key: str) -> str:
    """A key without what a field K: says beside it; empty if it names no key."""
    return _PROPERTY.sub("", _CLEF.sub("", key.partition("%")[0])).strip()


def plain_key(key: str) -> str:
    """A key as music21 reads it, without accidentals of its own."""
    key = "D" if key[:2].lower() == "hp" else key
    return "C" if re.search(r"\bexp\b", key) else _SIGN.sub("", key)


@lru_cache(maxsize=256)
def own_signs(key: str) -> dict[str, str]:
    """The accidentals that a key has beside its mode, by the name of the note."""
    return {step.upper(): sign for sign, step in _SIGN.findall(key)}


def octaves_of(text: str) -> dict[str, int]:
    """By how many octaves a field K: or V: moves the notes up, for each of its properties that it names."""
    said = {}
    text = re.sub(r'"[^"]*"', "", text)
    for clef in _CLEF.finditer(text):
        said["clef"] = bool(clef["up"]) - bool(clef["down"])
    for name, value in _PROPERTY.findall(text):
        if name in ("octave", "transpose") and re.fullmatch(r"[+-]?\d{1,3}", value):
            octaves, rest = divmod(int(value), 12 if name == "transpose" else 1)
            said[name] = 0 if rest else max(-TOO_HIGH, min(octaves, TOO_HIGH))
    return said


def raised(note: str, octaves: int) -> str:
    """The name of a note, such as `C,` or `c'`, so many octaves higher."""
    octaves += note.count("'") - note.count(",")
    if octaves < (-4 if note[0].isupper() else -5):
        octaves = TOO_HIGH  # music21 takes the minus of a negative octave for a flat
    return note[0] + "'" * octaves + "," * -octaves
