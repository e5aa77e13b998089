"""How well a classifier tells two sets of figures apart: a classifier two-sample test in plain numpy.

Source of the idea: D. Lopez-Paz and M. Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017. The classifier is a
logistic regression on standardised figures. It is scored on rows that it was not fitted to, by the area under the ROC
curve (AUC), which does not depend on the sizes of the sets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

FOLDS = 5
REPEATS = 5
"""Divisions into folds; the AUC is the mean over all of their folds, so that it hardly depends on one division."""

PENALTY = 1.0
"""The regression minimises the sum of the log-losses plus half of this times the sum of the squared weights."""

_MAX_UPDATES = 50
_TOLERANCE = 1e-8
_LONGEST_UPDATE = 4.0


def two_sample_auc(
    first: np.ndarray, second: np.ndarray, first_groups: np.ndarray, second_groups: np.ndarray, seed: int = 0
) -> float:
    """The cross-validated AUC of telling the rows of `first` from those of `second`.

    It is about 0.5 where the two cannot be told apart, and 1 where they always can. The result is nan where one of them
    has fewer than two groups.

    Args:
        first, second: float [rows, figures]. A nan is replaced by the mean of its figure.
        first_groups, second_groups: a number for each row. Rows of one set and group share a fold, because rows from
            one piece are alike: otherwise the classifier could know the piece again.
        seed: decides the folds.
    """
    rng = np.random.default_rng(seed)
    aucs = []
    for _ in range(REPEATS):
        folds = zip(_folds(first_groups, rng), _folds(second_groups, rng), strict=True)
        for first_held, second_held in folds:
            if not 0 < first_held.sum() < len(first) or not 0 < second_held.sum() < len(second):
                continue
            x = np.concatenate([first[~first_held], second[~second_held]])
            y = np.repeat([1.0, 0.0], [(~first_held).sum(), (~second_held).sum()])
            center, scale = center_and_scale(x)
            weights = _fit(standardised(x, center, scale), y)
            scores = [standardised(part, center, scale) @ weights for part in (first[first_held], second[second_held])]
            aucs.append(area_under_curve(*scores))
    return float(np.mean(aucs)) if aucs else math.nan


def area_under_curve(positives: np.ndarray, negatives: np.ndarray) -> float:
    """The share of pairs in which the positive has the higher score; a tie counts half."""
    differences = positives[:, None] - negatives
    return float((differences > 0).mean() + 0.5 * (differences == 0).mean())


def _folds(groups: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """For each fold, which rows it holds out."""
    distinct, index = np.unique(groups, return_inverse=True)
    places = rng.permutation(len(distinct)) % min(FOLDS, max(len(distinct), 1))
    for fold in range(FOLDS):
        yield places[index] == fold


def center_and_scale(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the standard deviation of each column, without nan; infinite for a column that is constant."""
    known = ~np.isnan(x)
    count = np.maximum(known.sum(axis=0), 1)
    center = np.where(known, x, 0.0).sum(axis=0) / count
    scale = np.sqrt((np.where(known, x - center, 0.0) ** 2).sum(axis=0) / count)
    return center, np.where(scale > 1e-12 * (1 + np.abs(center)), scale, math.inf)


def standardised(x: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The columns with these means and deviations taken out. A nan, and a column that is constant, becomes 0."""
    return np.where(np.isnan(x), 0.0, (x - center) / scale)


def _fit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The weights of the columns of a logistic regression, by Newton's method. The intercept is found and left out."""
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    penalty = np.full(x.shape[1], PENALTY)
    penalty[-1] = 1e-6  # only so that the system has a solution
    weights = np.zeros(x.shape[1])
    for _ in range(_MAX_UPDATES):
        p = 0.5 * (1 + np.tanh(0.5 * (x @ weights)))  # the logistic function, without overflow
        gradient = x.T @ (p - y) + penalty * weights
        hessian = (x.T * (p * (1 - p))) @ x + np.diag(penalty)
        update = np.linalg.solve(hessian, gradient)
        # Far from the solution a whole step may go too far.
        weights -= update * min(1.0, _LONGEST_UPDATE / max(np.abs(update).max(), _TOLERANCE))
        if np.abs(update).max() < _TOLERANCE:
            break
    return weights[:-1]
