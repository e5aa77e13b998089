"""A figure of two sets of music: shares inside, their intervals, and overlapped areas."""

import math

import numpy as np
import pytest

from lnfgen.music.figure_rows import FigureRow, spread


def _row(samples: np.ndarray, reference: np.ndarray, *, of_band: bool = False) -> FigureRow:
    of_songs = (np.arange(len(samples)), np.arange(len(reference)))
    return FigureRow("figure", samples, reference, of_songs, of_band)


def test_a_sample_without_a_value_is_outside_unless_its_part_may_be_silent() -> None:
    samples = np.array([1.0, 2.0, math.nan, 9.0])
    reference = np.linspace(0, 4, 41)
    assert _row(samples, reference).inside == 0.5
    assert _row(samples, reference, of_band=True).inside == pytest.approx(2 / 3)
    assert math.isnan(_row(samples, np.full(3, math.nan)).inside)


def test_an_interval_is_wider_where_windows_are_of_few_songs() -> None:
    rng = np.random.default_rng(1)
    reference = rng.normal(0, 1, 200)
    samples = np.repeat(rng.normal(0, 2, 20), 10)
    widths = []
    for songs in (np.arange(200), np.arange(200) // 10):
        row = FigureRow("figure", samples, reference, (songs, np.arange(200)))
        low, high = row.inside_interval()
        assert low <= row.inside <= high
        widths.append(high - low)
    assert widths[1] > 1.5 * widths[0]


def test_the_overlap_is_less_where_samples_are_elsewhere() -> None:
    rng = np.random.default_rng(1)
    reference = rng.normal(0, 1, 400)
    alike = _row(rng.normal(0, 1, 400), reference).overlap
    elsewhere = _row(rng.normal(3, 1, 400), reference).overlap
    assert alike > 0.9
    assert elsewhere < alike - 0.3
    assert math.isnan(_row(reference[:1], reference).overlap)


def test_the_spread_of_nothing_is_not_known() -> None:
    assert all(map(math.isnan, spread(np.full(3, math.nan))))
    assert spread(np.arange(101.0)) == (5, 50, 95)
