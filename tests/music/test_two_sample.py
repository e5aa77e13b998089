"""The classifier two-sample test."""

import math

import numpy as np
import pytest

from lnfgen.music.two_sample import TwoSampleTest, regression, standardised


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
