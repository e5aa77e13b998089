"""The classifier two-sample test."""

import math

import numpy as np
import pytest
from scipy import stats

from lnfgen.music.two_sample import (
    TwoSampleTest,
    overlapped_area,
    regression,
    standardised,
    times_drawn,
)


def test_the_classifier_knows_what_differs_and_only_that() -> None:
    rng = np.random.default_rng(0)
    groups = np.arange(120)

    def auc(shift: float) -> float:
        first = rng.normal(size=(120, 6))
        second = rng.normal(size=(120, 6))
        first[:, 2] += shift
        first[::9, 4] = math.nan  # a figure that some pieces have not
        first[:, 5] = second[:, 5] = 3.0  # and one that is the same for all
        return TwoSampleTest(first, second, groups, groups).auc

    assert 0.35 < auc(0) < 0.65
    # Two normal distributions whose means are d apart: AUC = Phi(d / sqrt 2).
    assert auc(1) == pytest.approx(0.5 * (1 + math.erf(1 / 2)), abs=0.08)
    assert auc(30) > 0.999


def test_rows_of_one_piece_share_a_fold() -> None:
    """Four rows of a piece are equal.

    A classifier that had seen some of them would know the others again.
    """
    rng = np.random.default_rng(1)
    owners = np.repeat(np.arange(30), 4)
    first = np.repeat(rng.normal(size=(30, 60)), 4, axis=0)
    second = np.repeat(rng.normal(size=(30, 60)), 4, axis=0)
    assert TwoSampleTest(first, second, owners, owners).auc < 0.7
    assert TwoSampleTest(first, second, np.arange(120), np.arange(120)).auc > 0.95


def test_equal_rows_cannot_be_distinguished_and_one_piece_alone_has_no_auc() -> None:
    nine = np.arange(9)
    same = TwoSampleTest(np.ones((9, 2)), np.ones((9, 2)), nine, nine)
    assert same.auc == 0.5
    assert same.interval() == (0.5, 0.5)
    alone = TwoSampleTest(np.ones((3, 2)), np.zeros((9, 2)), np.zeros(3), nine)
    assert math.isnan(alone.auc)
    assert math.isnan(alone.interval()[0])


def test_nothing_at_all_has_no_auc() -> None:
    nothing = np.zeros((0, 2))
    test = TwoSampleTest(nothing, nothing, np.zeros(0, int), np.zeros(0, int))
    assert math.isnan(test.auc)
    assert math.isnan(test.interval()[0])


def test_an_interval_is_narrower_with_more_pieces_and_wider_with_like_rows() -> None:
    rng = np.random.default_rng(2)

    def width(num_pieces: int, rows_of_piece: int) -> float:
        owners = np.repeat(np.arange(num_pieces), rows_of_piece)
        first = np.repeat(rng.normal(0.5, 1, (num_pieces, 2)), rows_of_piece, axis=0)
        second = np.repeat(rng.normal(0.0, 1, (num_pieces, 2)), rows_of_piece, axis=0)
        test = TwoSampleTest(first, second, owners, owners)
        low, high = test.interval()
        assert low < test.auc < high
        return high - low

    assert width(240, 1) < 0.7 * width(40, 1)
    # Six equal rows of a piece are no more than one.
    assert width(40, 6) > 1.3 * width(240, 1)


def test_standardised_columns_have_mean_0_and_deviation_1_and_nan_is_0() -> None:
    by = np.array([[1.0, 5, math.nan], [3.0, 5, 2], [5.0, 5, 4]])
    x = standardised(by, by)
    assert x.shape == (3, 3)
    assert x[:, 0] == pytest.approx([-math.sqrt(1.5), 0, math.sqrt(1.5)])
    assert x[:, 1].tolist() == [0, 0, 0], "a constant column"
    assert x[:, 2].tolist() == [0, -1, 1]


def test_a_regression_finds_what_the_gradient_says() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    y = (x @ [2.0, -1.0, 0.0] + rng.normal(size=200) > 0).astype(float)
    weights = regression(x, y)
    assert weights.shape == (3,)
    assert weights[0] > 1
    assert weights[1] < -0.5
    assert abs(weights[2]) < 0.6


def test_the_overlapped_area_is_that_of_kernel_densities() -> None:
    rng = np.random.default_rng(1)
    first = rng.normal(0, 1, 400)
    for second in (rng.normal(0, 1, 300), rng.normal(1.5, 0.5, 300), rng.exponential(2, 50)):
        places = np.linspace(-10, 20, 4000)
        densities = [stats.gaussian_kde(own)(places) for own in (first, second)]
        expected = np.minimum(*densities).sum() * (places[1] - places[0])
        assert overlapped_area(first, second) == pytest.approx(expected, abs=0.02)
        assert overlapped_area(second, first) == pytest.approx(overlapped_area(first, second))
    assert overlapped_area(first, first) == pytest.approx(1)


def test_sets_of_one_value_overlap_wholly_or_not_at_all() -> None:
    assert overlapped_area(np.ones(3), np.ones(5)) == 1
    assert overlapped_area(np.ones(3), np.zeros(5)) == 0
    assert overlapped_area(np.ones(3), np.arange(100.0)) < 0.1


def test_groups_are_drawn_whole_and_as_many_as_there_are() -> None:
    groups = np.array([7, 7, 7, 2, 2, 9])
    rng = np.random.default_rng(1)
    for _ in range(20):
        times = times_drawn(groups, rng)
        assert len(set(times[:3].tolist())) == len(set(times[3:5].tolist())) == 1
        assert times[0] + times[3] + times[5] == 3
    assert not len(times_drawn(np.zeros(0, int), rng))
