"""Chord symbols in humdrum: the spines `**mxhm`, which music21 leaves out.

A spine is a column, whose first line has its type. Each spine of notes, `**kern`, has no gaps, so
that a note starts where the one before it ends; a chord starts with the notes of its line.

Source: www.humdrum.org/guide/ch05, and what musicxml2hum and others write: `B- major-seventh/D`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any

from lnfgen.formats.harmony import suffix_of_kind, symbol_of_chord
from lnfgen.music.chord import NO_CHORD, Chord, chord_or_none

_CHORDS = "**mxhm"
_WITH_LENGTHS = ("**kern", "**recip")
_NULL = "."
_LENGTH = re.compile(r"(\d+)(?:%(\d+))?(\.*)")
_GRACE = "q"
_WHOLE = 4  # quarters of a whole note
_SYMBOL = re.compile(r"([A-G])([#b-]*)[ :]*(.*?)(?:/([A-G])([#b-]*))?")
_NO_CHORD = ("none", "N", "NC", "N.C.")

PlacedChord = tuple[Fraction, Chord | None]
"""Where a chord starts, in quarters, and the chord; None if it cannot be read."""


@dataclass(frozen=True)
class _Spine:
    kind: str
    end: Fraction  # of its last note, in quarters


def add_chords_of_humdrum(text: str, scores: Sequence[Any]) -> None:
    """Add the chord symbols of a humdrum file to the scores that music21 made of its pieces."""
    if _CHORDS not in text:
        return
    pieces = chords_of_humdrum(text)
    if len(pieces) != len(scores):  # music21 leaves pieces without notes out
        return
    for chords, score in zip(pieces, scores, strict=True):
        part = next(iter(score.parts), score)
        for start, chord in chords:
            _insert(part, start, chord)


def _insert(part: Any, start: Fraction, chord: Chord | None) -> None:
    """Insert a symbol into the bar of a part of music21 that it starts in."""
    from music21 import stream

    place = part
    offset = start
    for bar in part.getElementsByClass(stream.Measure):
        bar_start = Fraction(bar.offset)
        if bar_start <= start:
            place = bar
            offset = start - bar_start
    place.insert(offset, symbol_of_chord(chord))


def chords_of_humdrum(text: str) -> list[list[PlacedChord]]:
    """The chords of each piece in a humdrum file, in order.

    Where no note starts with a chord, its place is that of the line before.
    """
    pieces: list[list[PlacedChord]] = []
    spines: list[_Spine] = []
    time = Fraction(0)
    for line in text.splitlines():
        tokens = line.split("\t")
        if not line or line.startswith(("!", "=")):
            continue
        if line.startswith("**") and not spines:
            pieces.append([])
            time = Fraction(0)
            spines = [_Spine(token, time) for token in tokens]
        elif len(tokens) != len(spines):
            raise ValueError(f"a line of {len(tokens)} spines; expected {len(spines)}")
        elif line.startswith("*"):
            spines = _changed(spines, tokens, time)
        else:
            time = _time_of_line(spines, tokens, time)
            pieces[-1] += _chords_of_line(spines, tokens, time)
            spines = _after_line(spines, tokens)
    return pieces


def _changed(spines: Sequence[_Spine], tokens: Sequence[str], time: Fraction) -> list[_Spine]:
    """The spines after a line that may split, join, exchange, add or end some."""
    changed: list[_Spine] = []
    waits: _Spine | None = None  # the first one of two that are exchanged
    for token, together in groupby(zip(tokens, spines, strict=True), key=lambda pair: pair[0]):
        group = [spine for _, spine in together]
        if token == "*v":
            changed.append(_Spine(group[0].kind, max(spine.end for spine in group)))
            continue
        for spine in group:
            if token == "*^":
                changed += [spine, spine]
            elif token == "*+":
                changed += [spine, _Spine("", time)]
            elif token == "*x" and waits is None:
                waits = spine
            elif token == "*x" and waits is not None:
                changed += [spine, waits]
                waits = None
            elif token.startswith("**"):
                changed.append(_Spine(token, spine.end))
            elif token != "*-":
                changed.append(spine)
    return changed


def _time_of_line(spines: Sequence[_Spine], tokens: Sequence[str], before: Fraction) -> Fraction:
    """Where a line starts: where the last notes of the spines end that have new ones."""
    starts = [before]
    for spine, token in zip(spines, tokens, strict=True):
        if spine.kind in _WITH_LENGTHS and token != _NULL:
            starts.append(spine.end)
    return max(starts)


def _chords_of_line(
    spines: Sequence[_Spine], tokens: Sequence[str], time: Fraction
) -> list[PlacedChord]:
    chords: list[PlacedChord] = []
    for spine, token in zip(spines, tokens, strict=True):
        if spine.kind == _CHORDS and token != _NULL:
            chords.append((time, chord_of_token(token)))
    return chords


def _after_line(spines: Sequence[_Spine], tokens: Sequence[str]) -> list[_Spine]:
    after: list[_Spine] = []
    for spine, token in zip(spines, tokens, strict=True):
        end = spine.end
        if spine.kind in _WITH_LENGTHS and token != _NULL:
            end += _length_of(token)
        after.append(_Spine(spine.kind, end))
    return after


def _length_of(token: str) -> Fraction:
    """The length of a note, chord or rest in quarters; 0 for a grace note.

    `4` is a quarter, `4.` has a dot, `0` is twice a whole note, and `3%2` is two thirds of one.
    """
    match = _LENGTH.search(token)
    if match is None or _GRACE in token.lower():
        return Fraction(0)
    number, over, dots = match.groups()
    if int(number):
        length = Fraction(_WHOLE * int(over or 1), int(number))
    else:
        length = Fraction(_WHOLE << len(number))
    return length * (2 - Fraction(1, 1 << len(dots)))


def chord_of_token(token: str) -> Chord | None:
    """The chord of a token, as `B- major-seventh/D` or `Bb:maj7/D`; None if it cannot be read."""
    token = token.strip()
    if token in _NO_CHORD:
        return NO_CHORD
    match = _SYMBOL.fullmatch(token)
    if match is None:
        return None
    letter, accidental, kind, bass, bass_accidental = match.groups()
    symbol = _name(letter, accidental) + suffix_of_kind(kind.strip())
    if bass:
        symbol += f"/{_name(bass, bass_accidental)}"
    return chord_or_none(symbol)


def _name(letter: str, accidental: str) -> str:
    return letter + accidental.replace("-", "b")
