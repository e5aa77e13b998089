"""A chord as its symbol names it: a root, a kind and a bass, with the pitch classes it holds.

The suffixes of symbols, as `m7b5`, are read by pychord. What its table lacks is taken apart here: a
suffix that it knows, and the degrees that are added to it or left out.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lnfgen.music.harmony import set_above
from lnfgen.music.tonality import NATURALS, fifths_from_c, name_on_fifths

_SYMBOL = re.compile(r"([A-G])(##|#|bb|b|)(.*?)(?:/([A-G])(##|#|bb|b|))?")
_ALTER = {"": 0, "#": 1, "##": 2, "b": -1, "bb": -2}
_NO_CHORD_NAMES = ("N.C.", "NC", "N")

# A degree that is added to a chord, altered in it or left out: `add9`, `no5`, `b9`, `#11`.
_DEGREE = re.compile(r"(.*?)(add|no|omit|)([#b]?)(1[13]?|[2-79])")
_DEGREES = {1: 0, 2: 2, 3: 4, 4: 5, 5: 7, 6: 9, 7: 11, 9: 2, 11: 5, 13: 9}
"""The semitones of a degree above the root."""

_SAME_SIGNS = (
    ("♯", "#"),
    ("♭", "b"),
    ("−", "-"),
    ("–", "-"),
    ("Δ", "△"),
    ("∆", "△"),
    ("º", "°"),
)
_SAME_KINDS = (
    (re.compile(r"^△(?=7|9|13|$)7?"), "maj7"),
    (re.compile(r"^maj79"), "maj9"),
    (re.compile(r"^maj713"), "maj13"),
    (re.compile(r"^ø7?"), "m7b5"),
    (re.compile(r"^[o°]"), "dim"),
    (re.compile(r"^(?:major|maj|Maj|MAJ|Ma|MA|ma)(?=\d|$)"), "maj"),
    (re.compile(r"^M(?=\d|$)"), "maj"),
    (re.compile(r"^(?:minor|min|Min|MIN|mi|Mi|MI|-)"), "m"),
    (re.compile(r"^m(?:△7?|M7|M(?=9)|Maj7|ma7)"), "mmaj7"),
    (re.compile(r"^(?:\+|aug)(?=7|9)(\d)"), r"\1#5"),
    (re.compile(r"^\+$"), "aug"),
    (re.compile(r"^(\d+)(?:\+|aug)$"), r"\1#5"),
    (re.compile(r"^dom"), ""),
    (re.compile(r"^7?alt$"), "7b5b9#9#5"),
    (re.compile(r"sus(?!\d)"), "sus4"),
    (re.compile(r"^(m?)6/9"), r"\g<1>69"),
    # pychord lacks these.
    (re.compile(r"^m13"), "m11add13"),
    (re.compile(r"^maj11"), "maj9add11"),
    (re.compile(r"^mmaj7?9"), "mmaj7add9"),
    (re.compile(r"^13sus4"), "9sus4add13"),
)
"""What other people write, and the suffix that means the same; later rows see the earlier ones."""

SUFFIXES = (
    "",
    "m",
    "7",
    "m7",
    "maj7",
    "dim",
    "aug",
    "sus4",
    "sus2",
    "6",
    "m6",
    "m7b5",
    "dim7",
    "7sus4",
    "mmaj7",
    "9",
    "m9",
    "maj9",
    "add9",
    "madd9",
    "69",
    "m69",
    "7b9",
    "7#9",
    "7b5",
    "7#5",
    "7#11",
    "7b13",
    "9sus4",
    "9b5",
    "9#5",
    "9#11",
    "7b5b9",
    "7b9#5",
    "7#9#5",
    "maj7#11",
    "maj7#5",
    "11",
    "m11",
    "13",
    "m13",
    "maj13",
    "13b9",
    "add11",
    "madd11",
    "5",
)
"""The suffixes that chords get as names, the usual ones first."""

_ADDED = ("1", "b9", "9", "#9", "3", "11", "#11", "5", "b13", "13", "b7", "7")
_LEFT_OUT = ("1", "b2", "2", "b3", "3", "4", "b5", "5", "#5", "6", "b7", "7")
"""The names of each number of semitones above the root, from 0 on."""

_FEWEST_NAMED = 3  # pitch classes that need a name
_MAJOR_THIRD = 4
_FIFTHS_OF_INTERVALS = (0, -5, 2, -3, 4, -1, 6, 1, -4, 3, -2, 5)
"""How many fifths above the root a bass is, by its semitones above it: a third of C is E."""


@dataclass(frozen=True)
class Chord:
    """A chord, or none: `NO_CHORD`.

    Attributes:
        root: a pitch class, 0 (C) to 11.
        intervals: the semitones of its notes above the root, 0 to 11; empty for no chord.
        bass: the pitch class of the lowest note, mostly the root.
    """

    root: int
    intervals: frozenset[int]
    bass: int

    @property
    def is_silent(self) -> bool:
        """True of no chord."""
        return not self.intervals

    @property
    def pitch_classes(self) -> frozenset[int]:
        """The pitch classes of its notes, with the bass."""
        if self.is_silent:
            return frozenset()
        own = {(self.root + interval) % 12 for interval in self.intervals}
        return frozenset(own | {self.bass})

    @property
    def suffix(self) -> str:
        """The kind of the chord as its symbol has it: `m7b5`; empty for a major triad."""
        return _suffix_of(self.intervals)

    def name(self, sharps: int = 0) -> str:
        """The symbol, spelled under a key signature of so many sharps, or minus the flats."""
        if self.is_silent:
            return _NO_CHORD_NAMES[0]
        name = self.root_name(sharps) + self.suffix
        if self.bass != self.root:
            name += f"/{self.bass_name(sharps)}"
        return name

    def root_name(self, sharps: int = 0) -> str:
        """The root, spelled as `name` has it."""
        return name_on_fifths(self._fifths_of_root(sharps))

    def bass_name(self, sharps: int = 0) -> str:
        """The bass, spelled beside the root as `name` has it."""
        interval = (self.bass - self.root) % 12
        return name_on_fifths(self._fifths_of_root(sharps) + _FIFTHS_OF_INTERVALS[interval])

    def _fifths_of_root(self, sharps: int) -> int:
        # A flat as the root of a major chord is met more often than G sharp.
        if _MAJOR_THIRD in self.intervals:
            sharps -= 1
        return fifths_from_c(self.root, sharps)

    def __str__(self) -> str:
        return self.name()

    def transposed(self, semitones: int) -> "Chord":
        """The chord moved up by semitones."""
        if self.is_silent:
            return self
        return Chord((self.root + semitones) % 12, self.intervals, (self.bass + semitones) % 12)


NO_CHORD = Chord(0, frozenset(), 0)


def parse_chord(symbol: str) -> Chord:
    """The chord with this symbol: `C`, `Am`, `F#m7b5`, `Bbmaj7/D`, or `N.C.` for no chord.

    For another text it is a `ValueError`.
    """
    chord = chord_or_none(symbol)
    if chord is None:
        raise ValueError(f"{symbol!r} is no chord symbol; expected one such as C, F#m7 or Bb/D")
    return chord


def chord_or_none(symbol: str) -> Chord | None:
    """The chord that `parse_chord` finds; None for another text."""
    text = symbol.strip()
    for sign, same in _SAME_SIGNS:
        text = text.replace(sign, same)
    if text in _NO_CHORD_NAMES:
        return NO_CHORD
    match = _SYMBOL.fullmatch(text)
    intervals = None
    if match is not None:
        intervals = _intervals_of(_usual_suffix(match[3]))
    if match is None or intervals is None:
        return None
    letter, accidental, _, bass_letter, bass_accidental = match.groups()
    root = (NATURALS[letter] + _ALTER[accidental]) % 12
    bass = root
    if bass_letter:
        bass = (NATURALS[bass_letter] + _ALTER[bass_accidental]) % 12
    return Chord(root, intervals, bass)


def _usual_suffix(suffix: str) -> str:
    """The suffix as pychord writes it."""
    for sign in "(), ":
        suffix = suffix.replace(sign, "")
    for pattern, usual in _SAME_KINDS:
        suffix = pattern.sub(usual, suffix, count=1)
    return suffix


@lru_cache(maxsize=4096)
def _intervals_of(suffix: str) -> frozenset[int] | None:
    """The semitones above the root of a chord with this suffix; None if there is none."""
    known = _known_intervals(suffix)
    if known is not None:
        return known
    match = _DEGREE.fullmatch(suffix)
    if match is None:
        return None
    shorter, change, accidental, degree = match.groups()
    intervals = _intervals_of(shorter)
    if intervals is None:
        return None
    interval = (_DEGREES[int(degree)] + _ALTER[accidental]) % 12
    if change in ("no", "omit"):
        return intervals - {interval}
    if change == "add":
        return intervals | {interval}
    if not accidental:  # a bare number is a kind of its own, which pychord would know
        return None
    if degree == "5":  # an altered fifth stands in place of the perfect one
        intervals = intervals - {7}
    return intervals | {interval}


def _known_intervals(suffix: str) -> frozenset[int] | None:
    """The semitones above the root of a chord with a suffix that pychord knows."""
    import pychord

    if suffix.startswith(("b", "#")) or "/" in suffix:  # it would be read as a part of the root
        return None
    try:
        components = pychord.Chord(f"C{suffix}").components(visible=False)
    except ValueError:
        return None
    return frozenset(int(component) % 12 for component in components)


@lru_cache(maxsize=1)
def _suffixes() -> dict[frozenset[int], str]:
    """The suffixes of `SUFFIXES` by their intervals."""
    found: dict[frozenset[int], str] = {}
    for suffix in SUFFIXES:
        intervals = _intervals_of(_usual_suffix(suffix))
        assert intervals is not None, suffix
        found.setdefault(intervals, suffix)
    return found


@lru_cache(maxsize=1)
def named_sets() -> np.ndarray:
    """If each set of pitch classes is a chord with a name, bool [4096].

    `lnfgen.music.harmony.set_number` numbers the sets. The empty one, and those of one or two
    classes, need no name.
    """
    has_name = np.array([number.bit_count() < _FEWEST_NAMED for number in range(1 << 12)])
    for intervals in _suffixes():
        for root in range(12):
            has_name[set_above(root, intervals)] = True
    return has_name


def num_changes(known: frozenset[int], intervals: frozenset[int]) -> tuple[int, int]:
    """How far a known kind of chord is from one: the notes it has too many, then all that differ.

    Both are semitones above the root. It is better to add notes than to leave some out.
    """
    return len(known - intervals), len(known ^ intervals)


@lru_cache(maxsize=4096)
def _suffix_of(intervals: frozenset[int]) -> str:
    """The suffix of a chord with these intervals: the nearest of `SUFFIXES`, and what differs."""
    suffixes = _suffixes()
    if not intervals or intervals in suffixes:
        return suffixes.get(intervals, "")
    nearest = min(suffixes, key=lambda known: num_changes(known, intervals))
    changes = [f"no{_LEFT_OUT[interval]}" for interval in sorted(nearest - intervals)]
    changes += [f"add{_ADDED[interval]}" for interval in sorted(intervals - nearest)]
    return suffixes[nearest] + f"({','.join(changes)})"
