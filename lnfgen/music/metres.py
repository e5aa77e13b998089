"""Two faults of music21 with metres, mended while it parses a score."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

LONGEST = 32
"""The most beats of a metre that keeps its accents. They take 50 ms then."""


@contextlib.contextmanager
def without_accents() -> Iterator[None]:
    """In this block, have music21 take a metre of over `LONGEST` beats for one undivided beat without accents.

    Any bar has a metre in music21: where an ABC tune has no bar line for a while, or a note lasts long, the parser
    finds one like 187/8. It then works out an accent for every part of a beat, in a time that grows as the third power
    of the beats: 0.4 s for 255/8, 10 s for 500/8. Only beams, and the choice between 3/4 and 6/8, need beats and
    accents.
    """
    from music21 import meter

    time_signature: Any = meter.TimeSignature
    load = time_signature.load

    def load_quickly(self: Any, value: str, divisions: Any = None) -> None:
        if divisions is None and "/" in value:
            whole = meter.MeterSequence(value)  # of 2/4+99/8 it is 103/8
            if whole.numerator > LONGEST:
                divisions = [f"{whole.numerator}/{whole.denominator}"]
        load(self, value, divisions)

    time_signature.load = load_quickly
    try:
        yield
    finally:
        time_signature.load = load


@contextlib.contextmanager
def rests_as_long_as_written() -> Iterator[None]:
    """In this block, have music21 stretch a whole rest to its bar only where nothing else is in the bar.

    Where one staff of a bar is empty, music21 takes the first rest of any staff for the one that fills the bar. In 5/4
    or 6/4 a whole rest after a note then gets the length of the bar, and all that follows comes too late.
    """
    from music21.musicxml import xmlToM21

    parser: Any = xmlToM21.MeasureParser
    parse = parser.parse

    def parse_strictly(self: Any) -> None:
        parse(self)
        self.fullMeasureRest &= self.restAndNoteCount == {"rest": 1, "note": 0}

    parser.parse = parse_strictly
    try:
        yield
    finally:
        parser.parse = parse
