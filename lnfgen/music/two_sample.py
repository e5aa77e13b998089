"""Classifier two-sample tests: how well a classifier tells the rows of two sets apart.

They are after D. Lopez-Paz and M. Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017. The
classifier is a logistic regression on standardised figures. It is scored on rows that it was not
fitted to, by the area under the ROC curve (AUC), which does not depend on the sizes of the sets.
"""

import math
from typing import NamedTuple

import numpy as np

_FOLDS = 5
# divisions into folds: the AUC is the mean over all folds, so that it hardly depends on one
# division
_REPEATS = 20
_MAX_UPDATES = 50
_TOLERANCE = 1e-8
_LONGEST_UPDATE = 4.0  # far from the solution a whole step of Newton's method may go too far

_PLACES = 512  # at which densities are compared

RESAMPLINGS = 200
"""How often pieces are drawn anew for an interval."""

INTERVAL = (0.05, 0.95)
"""The quantiles that are the ends of an interval."""


class _Fold(NamedTuple):
    """The pairs of rows that were held out of a fit, one row of each set."""

    first_rows: np.ndarray  # int [N]
    second_rows: np.ndarray  # int [M]
    wins: np.ndarray  # float [N, M]: 1 where the row of `first` has the higher score, 0.5 for a tie


class TwoSampleTest:
    """A cross-validated classifier between the rows of `first` and those of `second`."""

    def __init__(
        self,
        first: np.ndarray,
        second: np.ndarray,
        first_groups: np.ndarray,
        second_groups: np.ndarray,
        seed: int = 0,
    ) -> None:
        """Fit the classifier to the rows outside of each fold, and score those inside.

        Args:
            first, second: float [rows, figures]. A nan is replaced by the mean of its figure.
            first_groups, second_groups: the piece of each row, int [rows]. Its rows share a fold,
                because they are alike.
            seed: decides the folds.
        """
        self._first_groups = np.unique(first_groups, return_inverse=True)[1]
        self._second_groups = np.unique(second_groups, return_inverse=True)[1]
        self._folds: list[_Fold] = []
        rng = np.random.default_rng(seed)
        for _ in range(_REPEATS):
            first_folds = _folds(self._first_groups, rng)
            second_folds = _folds(self._second_groups, rng)
            for first_held, second_held in zip(first_folds, second_folds, strict=True):
                if _can_be_scored(first_held) and _can_be_scored(second_held):
                    self._folds.append(_scored(first, second, first_held, second_held))

    @property
    def auc(self) -> float:
        """The mean AUC of the folds.

        It is about 0.5 if the classifier cannot distinguish the two, and 1 if it always can; nan if
        one of them has fewer than two groups.
        """
        if not self._folds:
            return math.nan
        return float(np.mean([fold.wins.mean() for fold in self._folds]))

    def interval(self, seed: int = 0) -> tuple[float, float]:
        """The 5 and 95 % quantiles of the AUC if the pieces of both sides are drawn anew.

        Whole pieces are drawn with replacement, and the fitted classifiers stay: so this is the
        chance in which pieces are at hand, for a classifier that was fitted to these.
        """
        rng = np.random.default_rng(seed)
        aucs = []
        for _ in range(RESAMPLINGS):
            first_weights = times_drawn(self._first_groups, rng)
            second_weights = times_drawn(self._second_groups, rng)
            of_folds = []
            for fold in self._folds:
                rows = first_weights[fold.first_rows]
                columns = second_weights[fold.second_rows]
                num_pairs = rows.sum() * columns.sum()
                if num_pairs:
                    of_folds.append(rows @ fold.wins @ columns / num_pairs)
            if of_folds:
                aucs.append(np.mean(of_folds))
        if not aucs:
            return math.nan, math.nan
        low, high = np.quantile(aucs, INTERVAL).tolist()
        return low, high


def times_drawn(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How often each row is there, int [rows], if as many groups are drawn with replacement.

    Args:
        groups: int [rows], the number of the group of each row.
    """
    names, own = np.unique(groups, return_inverse=True)
    if not len(names):
        return np.zeros(0, int)
    drawn = rng.integers(len(names), size=len(names))
    counts = np.bincount(drawn, minlength=len(names))
    times: np.ndarray = counts[own]
    return times


def overlapped_area(first: np.ndarray, second: np.ndarray) -> float:
    """The area under the densities of both of two sets of numbers, float [N] and [M]: 0 to 1.

    The densities are those of Gaussian kernels, whose widths follow Scott's rule (D. W. Scott,
    "Multivariate Density Estimation", 1992). Sets of one value each have an area of 1 if it is the
    same value, and of 0 otherwise.
    """
    low = min(first.min(), second.min())
    high = max(first.max(), second.max())
    widths = [own.std() * len(own) ** -0.2 for own in (first, second)]
    if max(widths) == 0:
        return float(low == high)
    least = max(widths) / 100
    widths = [max(width, least) for width in widths]
    margin = 4 * max(widths)
    places = np.linspace(low - margin, high + margin, _PLACES)
    densities = []
    for own, width in zip((first, second), widths, strict=True):
        # Numbers are counted in bins as wide as a step between two places.
        counts, _ = np.histogram(own, _PLACES, (places[0], places[-1]))
        reach = np.arange(-_PLACES + 1, _PLACES) * (places[1] - places[0])
        kernel = np.exp(-0.5 * (reach / width) ** 2)
        density = np.convolve(counts, kernel, mode="valid")
        densities.append(density / density.sum())
    return float(np.minimum(*densities).sum())


def _folds(groups: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """For each fold the rows that it holds out, bool [rows], whose groups are 0, 1 and so on."""
    num_groups = int(groups.max(initial=-1)) + 1
    places = rng.permutation(num_groups) % min(_FOLDS, max(num_groups, 1))
    return [places[groups] == fold for fold in range(_FOLDS)]


def _can_be_scored(held: np.ndarray) -> bool:
    """True if some rows are held out, and some are not."""
    return bool(held.any() and not held.all())


def _scored(
    first: np.ndarray, second: np.ndarray, first_held: np.ndarray, second_held: np.ndarray
) -> _Fold:
    """The rows that are held out, scored by the classifier that is fitted to all others."""
    first_fitted = first[~first_held]
    second_fitted = second[~second_held]
    fitted = np.concatenate([first_fitted, second_fitted])
    is_first = np.repeat([1.0, 0.0], [len(first_fitted), len(second_fitted)])
    weights = regression(standardised(fitted, fitted), is_first)
    first_scores = standardised(first[first_held], fitted) @ weights
    second_scores = standardised(second[second_held], fitted) @ weights
    differences = first_scores[:, None] - second_scores
    wins = (differences > 0) + 0.5 * (differences == 0)
    return _Fold(np.flatnonzero(first_held), np.flatnonzero(second_held), wins)


def standardised(x: np.ndarray, by: np.ndarray) -> np.ndarray:
    """`x` less the mean of each column of `by` over its standard deviation, float [N, figures].

    It is 0 for nan, and where `by` is constant.

    Args:
        x: float [N, figures].
        by: float [M, figures]; its nan are left out.
    """
    known = np.ma.masked_invalid(by)
    center = known.mean(axis=0).filled(0.0)
    scale = known.std(axis=0).filled(0.0)
    is_constant = scale <= 1e-12 * (1 + np.abs(center))
    scale = np.where(is_constant, math.inf, scale)
    return np.where(np.isnan(x), 0.0, (x - center) / scale)


def regression(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The weights of a logistic regression, float [figures], by Newton's method.

    The intercept is found and left out. The weights minimise the sum of the log-losses plus half of
    the sum of the squared weights.

    Args:
        x: float [N, figures], without nan.
        y: float [N], 1 for one class and 0 for the other.
    """
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    penalty = np.ones(x.shape[1])
    penalty[-1] = 1e-6  # only so that the system has a solution
    weights = np.zeros(x.shape[1])
    for _ in range(_MAX_UPDATES):
        p = 0.5 * (1 + np.tanh(0.5 * (x @ weights)))  # the logistic function, without overflow
        gradient = x.T @ (p - y) + penalty * weights
        hessian = (x.T * (p * (1 - p))) @ x + np.diag(penalty)
        update = np.linalg.solve(hessian, gradient)
        size = np.abs(update).max()
        weights -= update * min(1.0, _LONGEST_UPDATE / max(size, _TOLERANCE))
        if size < _TOLERANCE:
            break
    return weights[:-1]
