"""Timing calls in turn, under a deadline."""

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

MIN_ROUNDS = 2
"""A figure needs at least so many rounds; a call without time for them is left out."""

Call = Callable[[], float]
"""Does the work that is measured, and returns how many seconds it took."""

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Turns(Generic[Key]):
    """What timing calls in turn gave."""

    seconds: dict[Key, list[float]]  # of each call, round by round
    left_out: dict[Key, float]  # calls that had no time, with the seconds that one is expected to take


def take_turns(
    calls: Mapping[Key, Call],
    foretold: Mapping[Key, float],
    rounds: int,
    deadline: float,
    *,
    share: float = 1.0,
    fixed: int = 1,
) -> Turns[Key]:
    """Call each once to warm it up, then time them in turn (A B C A B C) until there are enough rounds or no more time.

    A call that would not end before the deadline is left out, the slowest first. That is judged twice: by the seconds
    that are foretold, and again by the seconds of the warm-up.

    Args:
        calls: what to time. The first `fixed` of them are what the others are compared with: they are left out last,
            and if they alone take too long, nothing is timed.
        foretold: the seconds that each call is expected to take.
        rounds: how many rounds to make if there is time.
        deadline: in the time of `time.perf_counter`.
        share: the part of the time up to the deadline that is for these calls. When it is used up, no rounds beyond
            `MIN_ROUNDS` are made, because other calls need the rest.
    """
    compared = list(calls)[:fixed]
    began = time.perf_counter()
    left_out: dict[Key, float] = {}

    def drop_until_fitting(seconds: dict[Key, float], times: int) -> None:
        while times * sum(seconds.values()) > deadline - time.perf_counter():
            others = [key for key in seconds if key not in compared]
            for key in [max(others, key=seconds.__getitem__)] if others else list(seconds):
                left_out[key] = seconds.pop(key)
            if not seconds:
                break

    expected = {key: foretold[key] for key in calls}
    drop_until_fitting(expected, MIN_ROUNDS + 1)
    warm = {key: calls[key]() for key in expected}
    drop_until_fitting(warm, MIN_ROUNDS)
    times: dict[Key, list[float]] = {key: [] for key in warm}
    for done in range(rounds if warm else 0):
        then = time.perf_counter() + sum(series[-1] for series in times.values() if series)
        if done >= MIN_ROUNDS and then > began + share * (deadline - began):
            break
        for key, series in times.items():
            series.append(calls[key]())
    return Turns(times, left_out)


def timed(work: Callable[[], object]) -> float:
    """The seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
