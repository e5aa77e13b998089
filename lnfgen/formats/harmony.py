"""Chord symbols in MusicXML: the elements `<harmony>`, read and written.

Source: MusicXML 4.0, www.w3.org/2021/06/musicxml40. Its kinds of chords are read as the suffixes
that they print, so that a chord is the same in all formats.
"""

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from operator import itemgetter
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from lnfgen.music.chart import ChordChange, shared_starts
from lnfgen.music.chord import NO_CHORD, Chord, chord_or_none, num_changes, parse_chord
from lnfgen.music.tonality import NATURALS

_KINDS = {
    "major": "",
    "minor": "m",
    "augmented": "aug",
    "diminished": "dim",
    "dominant": "7",
    "major-seventh": "maj7",
    "minor-seventh": "m7",
    "diminished-seventh": "dim7",
    "augmented-seventh": "7#5",
    "half-diminished": "m7b5",
    "major-minor": "mmaj7",
    "major-sixth": "6",
    "minor-sixth": "m6",
    "dominant-ninth": "9",
    "major-ninth": "maj9",
    "minor-ninth": "m9",
    "dominant-11th": "11",
    "major-11th": "maj11",
    "minor-11th": "m11",
    "dominant-13th": "13",
    "major-13th": "maj13",
    "minor-13th": "m13",
    "suspended-second": "sus2",
    "suspended-fourth": "sus4",
    "power": "5",
}
"""The suffix of each kind of MusicXML that is a chord by itself."""

_OTHER_KINDS = {"": "", "minor-major": "mmaj7", "augmented-ninth": "9#5"}
"""What is no kind of MusicXML, but stands in files."""

_ROOT_ALONE = "other"  # the kind of chords that consist of added degrees
_NONE = "none"
_USUAL = {1: 0, 2: 2, 3: 4, 4: 5, 5: 7, 6: 9, 7: 10}
"""The semitones of a degree that is added: those of a dominant chord."""

_OWN = {3: (4, 3), 5: (7, 6, 8), 7: (10, 11, 9)}
"""The semitones that a degree may have in a kind of chord, if there are several."""

_ADDED = (
    (1, 0),
    (9, -1),
    (9, 0),
    (9, 1),
    (3, 0),
    (11, 0),
    (11, 1),
    (5, 0),
    (13, -1),
    (13, 0),
    (7, 0),
    (7, 1),
)
"""The degree that adds each number of semitones above the root, and its alteration."""


# Reading


def chord_of_xml(harmony: Element) -> Chord | None:
    """The chord of a `<harmony>`; None if it cannot be read, as that of a numeral."""
    kind = (harmony.findtext("kind") or "").strip()
    if kind == _NONE:
        return NO_CHORD
    root = _pitch_class(harmony, "root")
    if root is None:
        return None
    intervals = _intervals(harmony, kind)
    bass = root
    if harmony.find("bass") is not None:
        written_bass = _pitch_class(harmony, "bass")
        if written_bass is None:
            return None
        bass = written_bass
    if not intervals:
        return None
    return Chord(root, intervals, bass)


def _pitch_class(harmony: Element, name: str) -> int | None:
    """The pitch class of a root or bass; None if there is none."""
    step = (harmony.findtext(f"{name}/{name}-step") or "").strip()
    alter = _whole_number(harmony.findtext(f"{name}/{name}-alter") or "0")
    if step not in NATURALS or alter is None:
        return None
    return (NATURALS[step] + alter) % 12


def _whole_number(text: str) -> int | None:
    """The whole number that a text is, such as `-1` or `1.0`; None of another one."""
    try:
        number = float(text)
        return int(number) if number == int(number) else None
    except (ValueError, OverflowError):
        return None


def _intervals(harmony: Element, kind: str) -> frozenset[int]:
    """The semitones above the root of a `<harmony>` of this kind; none if it cannot be read."""
    suffix = (_KINDS | _OTHER_KINDS).get(kind)
    degrees = harmony.findall("degree")
    if suffix is not None:
        return _with_degrees(_intervals_of_suffix(suffix), degrees)
    intervals = _intervals_of_text(harmony, kind)
    if not intervals and degrees and kind == _ROOT_ALONE:
        intervals = _with_degrees(frozenset([0]), degrees)
    return intervals


def _intervals_of_text(harmony: Element, kind: str) -> frozenset[int]:
    """The intervals of a chord whose kind is none of MusicXML, by its text or else by its kind."""
    element = harmony.find("kind")
    text = "" if element is None else element.get("text", "")
    for suffix in (text, kind):
        chord = chord_or_none(f"C{suffix}")
        if suffix and chord is not None:
            return chord.intervals
    return frozenset()


@cache
def _known_intervals() -> dict[str, frozenset[int]]:
    """The intervals of each kind of MusicXML."""
    return {kind: _intervals_of_suffix(suffix) for kind, suffix in _KINDS.items()}


def _intervals_of_suffix(suffix: str) -> frozenset[int]:
    return parse_chord(f"C{suffix}").intervals


def _with_degrees(intervals: frozenset[int], degrees: Sequence[Element]) -> frozenset[int]:
    """The intervals with these elements `<degree>`; none if one of them cannot be read.

    An added degree is counted from a dominant chord, and any other from the degree that the chord
    has.
    """
    changed = set(intervals)
    added: set[int] = set()
    for element in degrees:
        value = _whole_number(element.findtext("degree-value") or "")
        alter = _whole_number(element.findtext("degree-alter") or "0")
        kind = (element.findtext("degree-type") or "").strip()
        if value is None or not 1 <= value <= 13 or alter is None:
            return frozenset()
        degree = (value - 1) % 7 + 1
        usual = _USUAL[degree]
        own = _own_degree(intervals, degree)
        if kind == "add" or (kind == "alter" and own is None):
            added.add((usual + alter) % 12)
        elif kind == "alter" and own is not None:
            changed.discard(own)
            added.add((own + alter) % 12)
        elif kind == "subtract" and own is not None:
            changed.discard(own)
    return frozenset(changed | added)


def _own_degree(intervals: frozenset[int], degree: int) -> int | None:
    """The interval that a chord has as this degree, 1 to 7; None if it has none."""
    for interval in _OWN.get(degree, (_USUAL[degree],)):
        if interval in intervals:
            return interval
    return None


@cache
def _symbol_class() -> Any:
    """The class of chord symbols in scores of music21, which moves them with the instrument."""
    from music21 import harmony

    class Symbol(harmony.NoChord):  # one that never sounds
        chord: Chord | None = None

        def transpose(self, value: Any, *, inPlace: bool = False) -> Any:  # noqa: N803
            moved = super().transpose(value, inPlace=inPlace)
            changed: Any = self if inPlace else moved
            if self.chord is not None:
                changed.chord = self.chord.transposed(round(value.semitones))
            return moved

    return Symbol


def symbol_of_xml(harmony: Element) -> Any:
    """The chord symbol of music21 for a `<harmony>`; `chords_of_part` finds it in its part.

    music21 itself reads the degrees in another way than the standard.
    """
    return symbol_of_chord(chord_of_xml(harmony))


def symbol_of_chord(chord: Chord | None) -> Any:
    """The chord symbol of music21 that `chords_of_part` finds; of None for one not read."""
    symbol = _symbol_class()()
    symbol.chord = chord
    return symbol


def suffix_of_kind(kind: str) -> str:
    """The suffix of a kind of MusicXML, as `m7` of `minor-seventh`; any other text as it is."""
    return (_KINDS | _OTHER_KINDS).get(kind, kind)


def chords_of_part(flat: Any) -> list[tuple[Fraction, Chord | None]]:
    """The chord symbols of a flat part of music21, with offsets in quarters.

    Many programs write all symbols over a long note before that note, at one place: these share
    the note, on beats if it has enough of them. One that cannot be read is None.
    """
    symbols = flat.getElementsByClass(_symbol_class())
    if not symbols:
        return []
    lengths = _lengths_of_notes(flat)
    found: list[tuple[Fraction, Chord | None]] = []
    for offset, together in itertools.groupby(symbols, key=lambda symbol: symbol.offset):
        start = Fraction(offset)
        chords = [chord for chord, _ in itertools.groupby(symbol.chord for symbol in together)]
        shares = _shares(lengths.get(start, Fraction(0)), len(chords))
        for share, chord in zip(shares, chords, strict=True):
            found.append((start + share, chord))
    return found


def _lengths_of_notes(flat: Any) -> dict[Fraction, Fraction]:
    """The length of the shortest note or rest that starts at each offset of a part of music21."""
    lengths: dict[Fraction, Fraction] = {}
    for element in flat.notesAndRests:
        start = Fraction(element.offset)
        length = Fraction(element.duration.quarterLength)
        if length > 0:
            lengths[start] = min(length, lengths.get(start, length))
    return lengths


def _shares(length: Fraction, count: int) -> list[Fraction]:
    """Where so many chords start that share a note of this length in quarters.

    Where its quarters cannot be shared equally, the earlier chords have one more.
    """
    units = int(length) if length.denominator == 1 else 1
    return [length * share for share in shared_starts(count, max(units, 1), 2)]


# Writing


def add_chords(score: Element, chords: Sequence[ChordChange], sharps: int) -> None:
    """Add a `<harmony>` for each chord to the first part of a `<score-partwise>`.

    Args:
        sharps: those of the key signature that the chords are spelled under, or minus the flats.
    """
    part = score.find("part")
    assert part is not None
    has_staves = part.find("measure/attributes/staves") is not None
    left = sorted(chords, key=itemgetter(0))
    divisions = 1
    measure_start = Fraction(0)
    for measure in part.iter("measure"):
        divisions = int(measure.findtext("attributes/divisions") or divisions)
        places = list(_places(measure, divisions))
        measure_end = measure_start + _length(measure, divisions)
        own = [change for change in left if change.start < measure_end]
        left = left[len(own) :]
        for change in reversed(own):
            within = change.start - measure_start
            place, start = [place for place in places if place[1] <= within][-1]
            harmony = xml_of_chord(change.chord, sharps)
            if within > start:
                SubElement(harmony, "offset").text = f"{float((within - start) * divisions):.12g}"
            if has_staves:
                SubElement(harmony, "staff").text = "1"
            measure.insert(place, harmony)
        measure_start = measure_end


def _places(measure: Element, divisions: int) -> Iterator[tuple[int, Fraction]]:
    """The index of each note of the first voice of a measure, and its start in quarters."""
    for place, tag, start, _ in _events(measure, divisions):
        if tag == "backup":
            return
        yield place, start


def _length(measure: Element, divisions: int) -> Fraction:
    """The length of a measure in quarters."""
    return max((end for _, _, _, end in _events(measure, divisions)), default=Fraction(0))


def _events(measure: Element, divisions: int) -> Iterator[tuple[int, str, Fraction, Fraction]]:
    """What moves the time of a measure: its index, its tag, and where it starts and ends."""
    now = Fraction(0)
    for place, element in enumerate(measure):
        duration = element.findtext("duration")
        if duration is None or element.find("chord") is not None:
            continue
        length = Fraction(duration) / divisions
        end = now - length if element.tag == "backup" else now + length
        yield place, element.tag, now, end
        now = end


def xml_of_chord(chord: Chord, sharps: int = 0) -> Element:
    """The `<harmony>` of a chord; its text is the suffix of the chord's name."""
    harmony = Element("harmony", {"print-frame": "no"})
    _add_pitch(harmony, "root", chord.root_name(sharps))
    if chord.is_silent:
        harmony[0][0].set("text", "")
        SubElement(harmony, "kind", text=chord.name()).text = _NONE
        return harmony
    kind = _nearest_kind(chord.intervals)
    named = SubElement(harmony, "kind", text=chord.suffix)
    named.text = kind
    if chord.bass != chord.root:
        _add_pitch(harmony, "bass", chord.bass_name(sharps))
    for degree in _degrees(kind, chord.intervals):
        harmony.append(degree)
    return harmony


def _add_pitch(harmony: Element, name: str, written: str) -> None:
    """Add a `<root>` or `<bass>` that is written so, as `Bb`."""
    pitch = SubElement(harmony, name)
    SubElement(pitch, f"{name}-step").text = written[0]
    alter = written.count("#") - written[1:].count("b")
    if alter:
        SubElement(pitch, f"{name}-alter").text = str(alter)


def _nearest_kind(intervals: frozenset[int]) -> str:
    """The kind of MusicXML that a chord has with the fewest degrees left out and added."""
    known = _known_intervals()
    return min(known, key=lambda kind: num_changes(known[kind], intervals))


def _degrees(kind: str, intervals: frozenset[int]) -> Iterator[Element]:
    """The elements that make a chord with these intervals of one of this kind.

    The text of the kind has them too, so they are not printed.
    """
    known = _known_intervals()[kind]
    left_out = known - intervals
    added = intervals - known
    if 7 in left_out and len(added & {6, 8}) == 1:
        (fifth,) = added & {6, 8}
        yield _degree(5, fifth - 7, "alter")
        left_out -= {7}
        added -= {fifth}
    for interval in sorted(left_out):
        yield _degree(_value_of(interval, kind), 0, "subtract")
    for interval in sorted(added):
        value, alter = _ADDED[interval]
        yield _degree(value, alter, "add")


def _value_of(interval: int, kind: str) -> int:
    """The degree of an interval in a chord of this kind."""
    special = {
        ("suspended-second", 2): 2,
        ("suspended-fourth", 5): 4,
        ("diminished-seventh", 9): 7,
        ("major-sixth", 9): 6,
        ("minor-sixth", 9): 6,
    }
    usual = (1, 9, 9, 3, 3, 11, 5, 5, 5, 13, 7, 7)
    return special.get((kind, interval), usual[interval])


def _degree(value: int, alter: int, kind: str) -> Element:
    degree = Element("degree", {"print-object": "no"})
    SubElement(degree, "degree-value").text = str(value)
    SubElement(degree, "degree-alter").text = str(alter)
    SubElement(degree, "degree-type").text = kind
    return degree
