"""What the fields of an ABC tune mean: its key, time signature, tempo, lengths, clefs and order.

Source: the abc music standard 2.1, abcnotation.com/wiki/abc:standard:v2.1; its sections are in
brackets below.
"""

import re
from fractions import Fraction
from functools import lru_cache

from lnfgen.music.chord import Chord, chord_or_none
from lnfgen.music.key_signature import TONIC_OF_MODE, KeySignature
from lnfgen.music.pianoroll import MAX_BPM, MIN_BPM
from lnfgen.music.time_signature import is_time_signature
from lnfgen.music.tonality import FIFTHS

ALTERATIONS = {"": 0, "=": 0, "^": 1, "^^": 2, "_": -1, "__": -2}
MAX_SECTIONS = 100  # that are played of a tune whose header gives their order

# By how many fifths the signature of a mode lies above that of the major key of the same tonic.
_MODES = {
    "maj": 0,
    "ion": 0,
    "lyd": 1,
    "mix": -1,
    "dor": -2,
    "m": -3,
    "aeo": -3,
    "phr": -4,
    "loc": -5,
}
_SIGN = re.compile(r"(?<=\s)(\^\^?|__?|=)([A-Ga-g])(?=\s|$)")
_CLEF = re.compile(
    r"""
    (?<!\S)(?=\S)
    (?:
        clef=[^\s+^_-]+
        | (?:treble|alto|tenor|bass|soprano|mezzosoprano|baritone|perc)\d?
    )?
    (?: (?P<up>[+^]8(?:va)?) | (?P<down>[-_]8(?:v[ab])?) )?
    (?!\S)
    """,
    re.VERBOSE,
)
_PROPERTY = re.compile(r"(?<!\S)(?P<name>[a-z]+)=(?P<value>\"[^\"]*\"|\S*)")
_QUOTED = re.compile(r'"[^"]*"')


def section_order(text: str) -> str:
    """The sections of a field P: in the order in which they are played, ABCBC for `A(BC)2`.

    A text that is no such order, or one of over `MAX_SECTIONS` sections, gives an empty order.
    """
    order = re.sub(r"[.\s]", "", text)
    before = ""
    while order != before and len(order) <= MAX_SECTIONS:
        before = order
        order = re.sub(r"\(([A-Z]*)\)(\d{0,2})|([A-Z])(\d{1,2})", _repeated_sections, order)
    if re.fullmatch(rf"[A-Z]{{1,{MAX_SECTIONS}}}", order):
        return order
    return ""


def _repeated_sections(found: re.Match[str]) -> str:
    """The sections of a group, or one section, as often as the number behind it asks."""
    group, times_of_group, letter, times_of_letter = found.groups()
    times = times_of_letter or times_of_group or 1
    return (letter or group) * int(times)


@lru_cache(maxsize=256)
def note_length(text: str) -> Fraction:
    """The length of a note in units: `3/2`, `3`, `/4`, `/` (a half) or `//` (a quarter).

    Raises:
        ValueError: if the divisor is 0.
    """
    number, _, rest = text.partition("/")
    divisor = int(rest.strip("/") or 2 ** text.count("/"))
    if divisor == 0:
        raise ValueError(f"a note has the length {text}")
    return Fraction(int(number or 1), divisor)


def chord_of(text: str) -> Chord | None:
    """The chord of a text such as `Am7`, or `G(Em)` with another choice (4.18); None for others."""
    without_choice = re.sub(r"\([^()]*\)$", "", text)
    return chord_or_none(text) or chord_or_none(without_choice)


def unit_length(text: str) -> Fraction:
    """The unit of a field L: in quarters, 1/2 for `1/8`; 0 if the text has no fraction."""
    found = re.search(r"(\d{1,9})\s*/\s*([1-9]\d{0,8})", text)
    if found is None:
        return Fraction(0)
    return 4 * Fraction(int(found[1]), int(found[2]))


def time_signature_of(text: str) -> tuple[int, int] | None:
    """The time signature of a field M:, such as `C|`, `6/8` or `(2+3)/8`; None for a free one."""
    text = text.strip()
    if text == "C":
        return (4, 4)
    if text == "C|":
        return (2, 2)
    found = re.search(r"(\d{1,3}(?:\s*\+\s*\d{1,3})*)\)?\s*/\s*(\d{1,3})", text)
    if found is None:
        return None
    beats = sum(map(int, found[1].split("+")))
    signature = (beats, int(found[2]))
    return signature if is_time_signature(signature) else None


def tempo_of(text: str) -> float | None:
    """The tempo of a field Q: in quarters a minute, such as `1/4=100`, `90` or `"Adagio"`.

    None if the text names no tempo, or one outside of `MIN_BPM` to `MAX_BPM`.
    """
    beats, _, number = _QUOTED.sub("", text).rpartition("=")
    beat = Fraction(0)  # in quarters; some tunes count several notes together
    for numerator, denominator in re.findall(r"(\d{1,3})/([1-9]\d{0,2})", beats):
        beat += 4 * Fraction(int(numerator), int(denominator))
    bpm = 0.0
    found = re.search(r"\d{1,6}(?:\.\d+)?", number)
    if found is not None:
        bpm = float(found[0]) * float(beat or 1)
    elif '"' in text:
        bpm = _tempo_of_word(text.split('"')[1].strip())
    return bpm if MIN_BPM <= bpm <= MAX_BPM else None


def _tempo_of_word(word: str) -> float:
    """The quarters a minute of `Adagio` and other words that music21 knows, else 0."""
    from music21 import tempo

    return float(tempo.MetronomeMark(word).number or 0)


def without_clef(key: str) -> str:
    """A field K: without its clef and properties; empty if the field names no key."""
    key = key.partition("%")[0]
    return _PROPERTY.sub("", _CLEF.sub("", key)).strip()


@lru_cache(maxsize=256)
def key_signature(key: str) -> dict[str, int]:
    """The alterations of a key by the name of the note, in semitones.

    Alterations that stand beside the mode count too, as in `D phr ^f` (3.1.14).
    """
    sharps = 0
    if not re.search(r"\bexp\b", key):
        sharps = _num_sharps(key)
    signature = {}
    for place, step in enumerate(FIFTHS):
        signature[step] = (sharps - place + 6) // 7
    for sign, step in _SIGN.findall(key):
        signature[step.upper()] = ALTERATIONS[sign]
    return signature


def _num_sharps(key: str) -> int:
    """The sharps of a tonic with its mode; flats count below 0."""
    # The keys of a bagpipe, HP and Hp, have those of D.
    if key[:2].lower() == "hp":
        key = "D"
    found = re.match(r"([A-Ga-g])([#b]?)\s*([A-Za-z]{0,3})", key)
    if found is None:
        return 0
    tonic, sign, mode = found.groups()
    sharps_of_tonic = FIFTHS.index(tonic.upper()) - 1 + 7 * {"#": 1, "b": -1}.get(sign, 0)
    for name, fifths in _MODES.items():
        if mode.lower().startswith(name):
            return sharps_of_tonic + fifths
    return sharps_of_tonic


def written_key(key: str) -> KeySignature | None:
    """The key signature and the mode of a field K: without its clef.

    It is None if the field names no tonic, or has alterations of its own in place of a mode.
    """
    found = re.fullmatch(r"[A-G][#b]?\s*([A-Za-z]{0,3})[A-Za-z]*", key.strip())
    sharps = _num_sharps(key)
    if found is None or abs(sharps) > 7:
        return None
    mode = found[1].lower()
    if mode == "m":
        return KeySignature(sharps, "minor")
    for name in TONIC_OF_MODE:
        if name.startswith(mode):  # the first one, major, also without a word
            return KeySignature(sharps, name)
    return None


def octave_shifts(text: str) -> dict[str, int]:
    """By how many octaves a field K: or V: moves the notes up, for each of its properties (4.6).

    A `transpose` that is not of whole octaves moves nothing.
    """
    text = _QUOTED.sub("", text)
    shifts = {}
    for clef in _CLEF.finditer(text):
        shifts["clef"] = bool(clef["up"]) - bool(clef["down"])
    for name, value in _PROPERTY.findall(text):
        if not re.fullmatch(r"[+-]?\d{1,3}", value):
            continue
        if name == "octave":
            shifts[name] = int(value)
        elif name == "transpose":
            octaves, semitones = divmod(int(value), 12)
            shifts[name] = octaves if semitones == 0 else 0
    return shifts
