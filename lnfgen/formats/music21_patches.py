"""Two faults of music21 with metres and bars, mended while it parses a score."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

LONGEST = 32
"""The most beats of a metre that keeps its accents. They take 50 ms then."""


@contextlib.contextmanager
def mended_metres() -> Iterator[None]:
    """In this block, music21 reads long metres in no time, and whole rests as long as they are written.

    Any bar has a metre in music21: where an ABC tune has no bar line for a while, or a note lasts long, the parser
    finds one like 187/8. It then works out an accent for every part of a beat, in a time that grows as the third power
    of the beats: 0.4 s for 255/8, 10 s for 500/8. Only beams, and the choice between 3/4 and 6/8, need beats and
    accents. So a metre of over `LONGEST` beats is taken for one undivided beat without accents.

    Where one staff of a bar is empty, music21 takes the first rest of any staff for the one that fills the bar. In 5/4
    or 6/4 a whole rest after a note then gets the length of the bar, and all that follows comes too late. So a rest is
    stretched to its bar only where nothing else is in the bar.
    """
    from music21 import meter
    from music21.musicxml import xmlToM21

    time_signature: Any = meter.TimeSignature
    parser: Any = xmlToM21.MeasureParser
    load, parse = time_signature.load, parser.parse

    def load_quickly(self: Any, value: str, divisions: Any = None) -> None:
        if divisions is None and "/" in value:
            whole = meter.MeterSequence(value)  # of 2/4+99/8 it is 103/8
            if whole.numerator > LONGEST:
                divisions = [f"{whole.numerator}/{whole.denominator}"]
        load(self, value, divisions)

    def parse_strictly(self: Any) -> None:
        parse(self)
        self.fullMeasureRest &= self.restAndNoteCount == {"rest": 1, "note": 0}

    time_signature.load, parser.parse = load_quickly, parse_strictly
    try:
        yield
    finally:
        time_signature.load, parser.parse = load, parse
