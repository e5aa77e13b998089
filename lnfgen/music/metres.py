"""Long metres in music21, which otherwise take seconds to hours and much memory.

A bar of any length has a metre in music21: where an ABC tune has no bar line for a while, or a note lasts long, the
parser finds one like 187/8. It then works out an accent for each part of a beat, in a time that grows as the third
power of the beats: 0.4 s for 255/8, 10 s for 500/8. Only beams and the choice between 3/4 and 6/8 need accents.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

LONGEST = 32
"""Beats of a metre that keeps its accents. They cost 50 ms then."""


@contextlib.contextmanager
def without_accents() -> Iterator[None]:
    """In this block, have music21 give metres of over `LONGEST` beats no accents; they are one undivided beat."""
    from music21 import meter

    load = meter.TimeSignature.load

    def load_quickly(self: Any, value: str, divisions: Any = None) -> None:
        if divisions is None and "/" in value:
            whole = meter.MeterSequence(value)  # of 2/4+99/8 it is 103/8
            if whole.numerator > LONGEST:
                divisions = [f"{whole.numerator}/{whole.denominator}"]
        load(self, value, divisions)

    meter.TimeSignature.load = load_quickly
    try:
        yield
    finally:
        meter.TimeSignature.load = load
