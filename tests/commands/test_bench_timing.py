"""Timing calls in turn: in what order, how often, and what is left out."""

import pytest

from lnfgen.bench import timing
from lnfgen.bench.timing import take_turns


class Clock:
    """Time that passes only in the calls, each of which takes the seconds given for it."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.now = 0.0
        self.said: list[str] = []
        self.calls = {name: lambda name=name: self.call(name, seconds[name]) for name in seconds}

    def call(self, name: str, seconds: float) -> float:
        self.said.append(name)
        self.now += seconds
        return seconds

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock({"a": 1.0, "b": 2.0, "c": 5.0})
    monkeypatch.setattr(timing, "time", clock)
    return clock


def test_calls_take_turns_after_a_warm_up(clock: Clock) -> None:
    seconds, left_out = take_turns(clock.calls, dict.fromkeys("abc", 0.0), 3, float("inf"))
    assert clock.said == ["a", "b", "c"] * 4
    assert seconds == {"a": [1.0] * 3, "b": [2.0] * 3, "c": [5.0] * 3}
    assert not left_out


def test_what_is_foretold_to_overrun_is_never_called(clock: Clock) -> None:
    _, left_out = take_turns(clock.calls, {"a": 1.0, "b": 100.0, "c": 5.0}, 3, deadline=90)
    assert "b" not in clock.said
    assert left_out == {"b": 100.0}


def test_what_turns_out_to_overrun_is_left_out_after_its_warm_up(clock: Clock) -> None:
    seconds, left_out = take_turns(clock.calls, dict.fromkeys("abc", 1.0), 3, deadline=20)
    assert left_out == {"c": 5.0}
    assert set(seconds) == {"a", "b"}
    assert clock.now <= 20


def test_what_others_are_compared_with_is_the_last_to_be_left_out(clock: Clock) -> None:
    foretold = {"a": 30.0, "b": 2.0, "c": 5.0}
    assert set(take_turns(clock.calls, foretold, 3, deadline=95, fixed="a")[0]) == {"a"}
    assert not take_turns(clock.calls, foretold, 3, deadline=95, fixed="ab")[0]
    assert not take_turns(clock.calls, dict.fromkeys("abc", 1.0), 3, deadline=clock.now)[0]


@pytest.mark.parametrize("deadline", [24, 40, 60, 1000])
def test_rounds_end_before_the_deadline(clock: Clock, deadline: float) -> None:
    seconds, _ = take_turns(clock.calls, dict.fromkeys("abc", 0.0), 9, deadline)
    assert {len(series) for series in seconds.values()} == {min(9, deadline // 8 - 1)}
    assert clock.now <= deadline


@pytest.mark.parametrize(("share", "rounds"), [(0.125, 5), (0.0, 2)])
def test_no_more_than_the_least_rounds_are_made_at_others_cost(clock: Clock, share: float, rounds: int) -> None:
    seconds, _ = take_turns(clock.calls, dict.fromkeys("abc", 0.0), 9, deadline=400, share=share)
    assert {len(series) for series in seconds.values()} == {rounds}
