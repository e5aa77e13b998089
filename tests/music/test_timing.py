"""Notes that are all late, and eighths that swing, are found; what a person plays freely is not."""

import random
from collections.abc import Iterable
from fractions import Fraction

import pytest

from lnfgen.music.timing import EVEN, PLAIN, Timing, find_timing

QUARTER = 480
# The places of notes in a bar of 4/4, in quarters
EIGHTHS = (0, 1, 1.5, 2, 2.5, 3, 3.5)
SIXTEENTHS = (0, 0.5, 0.75, 1, 2, 2.25, 2.5, 3, 3.5)
TRIPLETS = (0, 1, 4 / 3, 5 / 3, 2, 7 / 3, 8 / 3, 3)


def ticks(places: Iterable[float], timing: Timing = PLAIN, bars: int = 8) -> list[int]:
    """The ticks of notes at these places of each bar."""
    found = []
    for bar in range(bars):
        for place in places:
            written = Fraction(place).limit_denominator(12) + 4 * bar + 1
            found.append(round(timing.played(written) * QUARTER))
    return found


def found_in(starts: list[int]) -> Timing:
    return find_timing(starts, QUARTER, 4, may_swing=True)


@pytest.mark.parametrize("places", [EIGHTHS, SIXTEENTHS, TRIPLETS, (0, 1, 2, 3)])
@pytest.mark.parametrize("late", [0, 17, -17, 85])
def test_notes_that_are_all_late_are_found(places: tuple[float, ...], late: int) -> None:
    timing = Timing(Fraction(late, QUARTER))
    assert found_in(ticks(places, timing)) == timing


@pytest.mark.parametrize("late", [0, 17, 70])
@pytest.mark.parametrize("swing", [288, 320, 336])
def test_swing_is_found(late: int, swing: int) -> None:
    timing = Timing(Fraction(late, QUARTER), Fraction(swing, QUARTER))
    if swing != 320:
        # Only a swing of triplets shows together with lateness.
        timing = Timing(swing=Fraction(swing, QUARTER))
    assert found_in(ticks(EIGHTHS, timing)) == timing


@pytest.mark.parametrize(
    "places",
    [(0, 0.75, 1, 1.75, 2, 2.75), TRIPLETS, (0, 0.5, 0.75, 1, 1.5, 1.75, 2.5, 2.75)],
    ids=["dotted", "triplets", "sixteenths"],
)
def test_other_rhythms_do_not_swing(places: tuple[float, ...]) -> None:
    assert found_in(ticks(places)) == PLAIN


def test_music_that_is_played_freely_has_the_plain_timing() -> None:
    chance = random.Random(1)
    starts = [round(tick + chance.gauss(0, 40)) for tick in ticks(EIGHTHS, bars=20)]
    assert found_in(starts) == PLAIN
    assert found_in(ticks(EIGHTHS, Timing(Fraction(17, QUARTER)), bars=2)) == PLAIN, "few notes"


def test_what_is_played_is_written_where_it_was() -> None:
    for timing in (PLAIN, Timing(Fraction(1, 30)), Timing(Fraction(-1, 7), Fraction(2, 3))):
        for twelfth in range(12, 60):
            written = Fraction(twelfth, 12)
            assert timing.written(timing.played(written)) == written
    assert Timing(swing=Fraction(2, 3)).played(Fraction(3, 2)) == Fraction(5, 3)
    assert Timing(Fraction(-1, 2)).played(Fraction(0)) == 0, "no file begins before its start"
    assert PLAIN.swing == EVEN
