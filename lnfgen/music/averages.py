"""Shares and means that are nan where there is nothing to count."""

import math

import numpy as np


def share(part: float, whole: float) -> float:
    """The part divided by the whole; nan if the whole is 0."""
    return float(part / whole) if whole else math.nan


def mean(values: np.ndarray) -> float:
    """The mean of values [N]; nan if there are none."""
    return float(values.mean()) if len(values) else math.nan


def share_of_repeated(rows: np.ndarray) -> float:
    """The share of the rows [N, values] that equal an earlier row.

    A row of zeros does not count.
    """
    rows = rows[rows.any(axis=1)]
    return 1.0 - share(len(np.unique(rows, axis=0)), len(rows))
