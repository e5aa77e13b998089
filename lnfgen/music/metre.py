"""The one tempo and the one time signature of a piano-roll, where a file has several one after the other.

A roll gets the one that lasts longest, and so not that of an upbeat or of a last chord.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, TypeVar

from lnfgen.music.pianoroll import PianoRoll, is_time_signature

DEFAULT_BPM = 120.0
"""The tempo of a file without one, as in MIDI."""

_Value = TypeVar("_Value")


def longest_tempo(changes: Sequence[tuple[Any, float]], end: Any) -> float:
    """The tempo that a piece has for the longest time, in seconds; see `_longest_lasting`."""
    return _longest_lasting(changes, end, DEFAULT_BPM, lambda bpm: bpm)


def longest_signature(changes: Sequence[tuple[Any, tuple[int, int]]], end: Any) -> tuple[int, int]:
    """The time signature that a piece has for the longest time, in quarters; see `_longest_lasting`.

    Those that a roll cannot have do not count.
    """
    usable = [(position, signature) for position, signature in changes if is_time_signature(signature)]
    return _longest_lasting(usable, end, (4, 4), lambda _: 1.0)


def num_changes(values: Sequence[tuple[Any, Any]], end: Any) -> int:
    """The number of changes of a value before the end of a piece. The first value is no change.

    Args:
        values: (position, value), in any order. Of several at one position, the last counts.
    """
    at = dict(sorted(values, key=itemgetter(0)))
    lasting = [value for position, value in at.items() if position < end]
    return sum(one != other for one, other in itertools.pairwise(lasting))


def lost_changes(rolls: Sequence[PianoRoll], *, of_tempo: bool = True) -> str:
    """A few words on the changes that the files of these rolls lost, as a roll has one tempo and time signature.

    They are empty if nothing was lost. Without `of_tempo`, changes of tempo do not count.
    """
    counts = {
        "tempo": sum(roll.tempo_changes for roll in rolls) if of_tempo else 0,
        "time signature": sum(roll.metre_changes for roll in rolls),
    }
    lost = ", ".join(f"{count:,} of {value}" for value, count in counts.items() if count)
    return f"a piano-roll has one tempo and time signature; left out changes: {lost}" if lost else ""


def _longest_lasting(
    changes: Sequence[tuple[Any, _Value]], end: Any, before: _Value, speed: Callable[[_Value], float]
) -> _Value:
    """The value that lasts longest. Of several that are given at one position, the last counts.

    Args:
        changes: (position, value) of each change. Before the first one the value is `before`.
        end: the position where the piece ends. Positions are in any unit of musical time.
        speed: the time for which a value lasts is the musical time divided by its speed.

    Where two last equally long, the one that comes first counts.
    """
    changes = [(0, before), *sorted(changes, key=itemgetter(0))]
    lasting: dict[_Value, float] = {}
    for (position, value), (until, _) in itertools.pairwise([*changes, (max(end, changes[-1][0]), before)]):
        if until > position:
            lasting[value] = lasting.get(value, 0.0) + float(until - position) / speed(value)
    return max(lasting, key=lambda value: lasting[value]) if lasting else changes[-1][1]
