"""Shares and means are nan where there is nothing to count."""

import math

import numpy as np
import pytest

from lnfgen.music.averages import mean, share, share_of_repeated


def test_shares_and_means() -> None:
    assert share(1, 4) == 0.25
    assert math.isnan(share(1, 0))
    assert mean(np.array([1, 2])) == 1.5
    assert math.isnan(mean(np.zeros(0)))


def test_rows_that_came_before() -> None:
    rows = np.array([[1, 2], [0, 0], [1, 2], [2, 1], [0, 0]])
    assert share_of_repeated(rows) == pytest.approx(1 / 3), "rows of zeros do not count"
    assert math.isnan(share_of_repeated(rows[1:2]))
