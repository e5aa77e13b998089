"""Timing calls in turn, under a deadline."""

import time
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import TypeVar

MIN_ROUNDS = 2
"""A figure needs at least so many rounds; a call without time for them is left out."""

Call = Callable[[], float]
"""Does the work that is measured, and returns how many seconds it took."""

Key = TypeVar("Key", bound=Hashable)


def take_turns(
    calls: Mapping[Key, Call],
    foretold: Mapping[Key, float],
    rounds: int,
    deadline: float,
    *,
    share: float = 1.0,
    fixed: Collection[Key] = (),
) -> tuple[dict[Key, list[float]], dict[Key, float]]:
    """Call each once to warm it up, then time them in turn (A B C A B C) until there are enough rounds or no more time.

    A call that would not end before the deadline is left out, the slowest first. That is judged twice: by the seconds
    that are foretold, and again by the seconds of the warm-up.

    Args:
        calls: what to time.
        foretold: the seconds that each call is expected to take.
        rounds: how many rounds to make if there is time.
        deadline: in the time of `time.perf_counter`.
        share: the part of the time up to the deadline that is for these calls. When it is used up, no rounds beyond
            `MIN_ROUNDS` are made, because other calls need the rest.
        fixed: calls that the others are compared with. They are left out last, and then nothing is timed.

    Returns:
        The seconds of each call, round by round; and the expected seconds of each call that was left out.
    """
    began = time.perf_counter()
    expected = {key: foretold[key] for key in calls}
    left_out = _take_slowest(expected, fixed, (deadline - began) / (MIN_ROUNDS + 1))
    warm = {key: calls[key]() for key in expected}
    left_out |= _take_slowest(warm, fixed, (deadline - time.perf_counter()) / MIN_ROUNDS)
    seconds: dict[Key, list[float]] = {key: [] for key in warm}
    for done in range(rounds if warm else 0):
        end_of_round = time.perf_counter() + sum(series[-1] for series in seconds.values() if series)
        if done >= MIN_ROUNDS and end_of_round > began + share * (deadline - began):
            break
        for key, series in seconds.items():
            series.append(calls[key]())
    return seconds, left_out


def _take_slowest(seconds: dict[Key, float], fixed: Collection[Key], available: float) -> dict[Key, float]:
    """Remove the slowest calls until one of each fits in the available seconds, and return what was removed."""
    removed: dict[Key, float] = {}
    while seconds and sum(seconds.values()) > available:
        others = [key for key in seconds if key not in fixed]
        for key in [max(others, key=seconds.__getitem__)] if others else list(seconds):
            removed[key] = seconds.pop(key)
    return removed
