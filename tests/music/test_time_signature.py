"""Time signatures, their bars and their beats."""

from fractions import Fraction

import pytest

from lnfgen.music.time_signature import bar_and_beats, bar_length, is_time_signature


@pytest.mark.parametrize("signature", [(1, 1), (4, 4), (255, 128), (7, 16)])
def test_a_roll_may_have_those_of_midi(signature: tuple[int, int]) -> None:
    assert is_time_signature(signature)


@pytest.mark.parametrize("signature", [(0, 4), (256, 4), (4, 3), (4, 256), (4, 0), (-1, 4)])
def test_a_roll_may_have_no_others(signature: tuple[int, int]) -> None:
    assert not is_time_signature(signature)


def test_a_bar_need_not_be_a_whole_number_of_steps() -> None:
    assert bar_length((3, 4), 4) == 12
    assert bar_length((5, 8), 1) == Fraction(5, 2)


@pytest.mark.parametrize(
    ("signature", "expected"),
    [((4, 4), (16, 4, 2)), ((6, 8), (12, 2, 3)), ((3, 8), (6, 3, 2)), ((9, 16), (9, 3, 3))],
)
def test_the_beats_of_a_bar(signature: tuple[int, int], expected: tuple[float, int, int]) -> None:
    assert bar_and_beats(signature, 4) == expected
