"""Compares two sets of music by figures, and by a classifier that tries to distinguish them.

The pieces of both sides are cut into windows of equal length, because many figures depend on the
length. Each figure has its median and its 5 and 95 % quantiles on both sides, and the share of the
windows of the first side that are inside the 5 to 95 % range of the second. What came in the piece
ahead of a window counts as no repetition.

The classifier two-sample test is after D. Lopez-Paz and M. Oquab, "Revisiting Classifier Two-Sample
Tests", ICLR 2017. The classifier is a logistic regression on standardised figures. It is scored on
rows that it was not fitted to, by the area under the ROC curve (AUC), which does not depend on the
sizes of the sets. The longest copy is not among its figures, because a piece of train is a copy of
itself.
"""

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lnfgen.conventions import Progress, no_progress
from lnfgen.errors import LnfgenError
from lnfgen.music.averages import mean
from lnfgen.music.copies import longest_copies
from lnfgen.music.figures import Figure, music_figures, usual_voices
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import PianoRoll, pitched_parts

# The length of a window, eight bars of 4/4; less where half of the pieces of a side are shorter
WINDOW_QUARTERS = 32
LONGEST_COPY = "longest_copy"
# windows of a side among which distances are taken, so that large sets need no more memory
_MOST_DISTANT = 1000
_FOLDS = 5
# divisions into folds: the AUC is the mean over all folds, so that it hardly depends on one
# division
_REPEATS = 5
_MAX_UPDATES = 50
_TOLERANCE = 1e-8
_LONGEST_UPDATE = 4.0  # far from the solution a whole step of Newton's method may go too far


@dataclass(frozen=True)
class FigureRow:
    """A figure of both sides, with a value for each window; nan where a window has none."""

    label: str  # the name of the figure in a table
    samples: np.ndarray  # float [windows]
    reference: np.ndarray
    of_band: bool = False  # whose parts may be silent: then a sample without a value does not count

    @property
    def inside(self) -> float:
        """The share of the samples in the reference's 5 to 95 % range.

        One without a value is outside, if it counts.
        """
        low, _, high = spread(self.reference)
        samples = self.samples
        if self.of_band:
            samples = samples[~np.isnan(samples)]
        if math.isnan(low):
            return math.nan
        return mean((low <= samples) & (samples <= high))

    def to_json(self) -> dict[str, Any]:
        """The label, the quantiles of both sides and the share inside as plain JSON values."""
        return {
            "label": self.label,
            "samples": _quantiles(self.samples),
            "reference": _quantiles(self.reference),
            "inside": self.inside,
        }


def _quantiles(values: np.ndarray) -> dict[str, float]:
    low, middle, high = spread(values)
    return {"q05": low, "median": middle, "q95": high}


@dataclass(frozen=True)
class MusicComparison:
    """The result of `compare_pieces`.

    Attributes:
        figures: by name, those of `lnfgen.music.figures.music_figures` and the longest copy, in
            quarters.
        auc: how well a classifier distinguishes samples from the reference by these figures: 0.5 is
            not at all, 1 is always. Well below 0.5, both sides hold the same pieces.
        samples_variety, reference_variety: the mean distance between two windows of a side (the
            intra-set distance of mgeval), in these figures, which have a standard deviation of 1
            over both sides together.
        usual_voices: how many keys sound at most steps of the reference.
        window_quarters: the length of a window.
        samples_windows, reference_windows: how many windows there are of each side.
        samples_pieces, reference_pieces: from how many pieces these are. Shorter pieces have none.
    """

    figures: dict[str, FigureRow]
    auc: float
    samples_variety: float
    reference_variety: float
    usual_voices: int
    window_quarters: float
    samples_windows: int
    reference_windows: int
    samples_pieces: int
    reference_pieces: int

    @property
    def most_copied(self) -> float:
        """The longest copy in any sample, in quarters."""
        return float(self.figures[LONGEST_COPY].samples.max())

    def to_json(self) -> dict[str, Any]:
        """All figures and numbers as plain JSON values, null for nan."""
        rows = {name: row.to_json() for name, row in self.figures.items()}
        text = json.dumps({**vars(self), "most_copied": self.most_copied, "figures": rows})
        plain: dict[str, Any] = json.loads(text, parse_constant=lambda nan: None)
        return plain


def spread(values: np.ndarray) -> tuple[float, float, float]:
    """The 5 % quantile, the median and the 95 % quantile, without nan; nan if nothing is left."""
    known = values[~np.isnan(values)]
    if not len(known):
        return math.nan, math.nan, math.nan
    low, middle, high = np.quantile(known, (0.05, 0.5, 0.95)).tolist()
    return low, middle, high


@dataclass(frozen=True)
class _Side:
    """The windows of one side, N of them."""

    windows: list[PianoRoll]
    owners: list[int]  # of each window, the number of its piece


def compare_pieces(
    samples: Sequence[PianoRoll],
    reference: Sequence[PianoRoll],
    corpus: Sequence[PianoRoll] | None = None,
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> MusicComparison:
    """Compare pieces with those of a reference.

    All pieces are first put on the grid of the first reference piece, in its parts. Where a piece
    has no onsets, those of all others are left out, because repeated notes would then be one note
    on one side only.

    Args:
        corpus: where copies are searched for, such as the pieces that a model was trained on. By
            default this is the reference, and for each piece of the reference its other pieces.
        seed: decides the folds of the classifier.
        progress: called with the number of windows whose figures are known, and with the number of
            all windows.

    Raises:
        LnfgenError: if the seed is negative.
    """
    if seed < 0:
        raise LnfgenError(f"a seed of {seed}; expected a whole number from 0 on")
    grid = reference[0].steps_per_quarter
    parts = reference[0].parts
    samples, reference, searched = _alike([samples, reference, corpus or []], grid, parts)
    num_steps = min(window_steps(samples), window_steps(reference))
    first = _windows_of_side(samples, num_steps)
    second = _windows_of_side(reference, num_steps)
    if corpus is None:
        searched = reference
        owners = second.owners
        searched_name = "the reference"
    else:
        owners = None
        searched_name = "train"
    searched = [pitched_parts(piece) for piece in searched]
    num_voices = usual_voices(second.windows)
    chosen = music_figures(num_voices, reference[0].roles)
    values = _measured([*first.windows, *second.windows], list(chosen.values()), progress)
    first_values, second_values = np.split(values, [len(first.windows)])
    rows = _rows(chosen, first_values, second_values, of_band=bool(parts))
    rows[LONGEST_COPY] = FigureRow(
        f"longest copy of {searched_name}, quarters",
        _copies_of(first, searched),
        _copies_of(second, searched, owners),
    )
    first_owners = np.array(first.owners)
    second_owners = np.array(second.owners)
    return MusicComparison(
        figures=rows,
        auc=two_sample_auc(first_values, second_values, first_owners, second_owners, seed),
        samples_variety=_mean_distance(standardised(first_values, values)),
        reference_variety=_mean_distance(standardised(second_values, values)),
        usual_voices=num_voices,
        window_quarters=num_steps / grid,
        samples_windows=len(first_values),
        reference_windows=len(second_values),
        samples_pieces=len(set(first.owners)),
        reference_pieces=len(set(second.owners)),
    )


def _alike(
    groups: Sequence[Sequence[PianoRoll]], grid: int, parts: Sequence[Part]
) -> list[list[PianoRoll]]:
    """The pieces of each group on one grid and in these parts.

    They have onsets if all pieces of all groups have them.
    """
    every_piece = itertools.chain.from_iterable(groups)
    has_onsets = all(piece.onsets is not None for piece in every_piece)
    result = []
    for pieces in groups:
        alike = [piece.in_parts(parts).on_grid(grid) for piece in pieces]
        if not has_onsets:
            alike = [replace(piece, onsets=None) for piece in alike]
        result.append(alike)
    return result


def _windows_of_side(pieces: Sequence[PianoRoll], num_steps: int) -> _Side:
    side = _Side([], [])
    for number, piece in enumerate(pieces):
        for _, window in windows_of(piece, num_steps):
            side.windows.append(window)
            side.owners.append(number)
    return side


def _measured(
    windows: Sequence[PianoRoll], figures: Sequence[Figure], progress: Progress
) -> np.ndarray:
    """The values of figures, float [windows, figures]."""
    values = np.zeros((len(windows), len(figures)))
    for row, window in enumerate(windows):
        values[row] = [figure.value(window) for figure in figures]
        progress("measuring", row + 1, len(windows))
    return values


def _rows(
    figures: Mapping[str, Figure], samples: np.ndarray, reference: np.ndarray, of_band: bool
) -> dict[str, FigureRow]:
    """The figures with their values of both sides, float [windows, figures], by name."""
    rows = {}
    for column, (name, figure) in enumerate(figures.items()):
        rows[name] = FigureRow(figure.label, samples[:, column], reference[:, column], of_band)
    return rows


def _copies_of(
    side: _Side, searched: Sequence[PianoRoll], owners: Sequence[int] | None = None
) -> np.ndarray:
    """float [windows]: the longest copy of each window, in quarters."""
    pitched = [pitched_parts(window) for window in side.windows]
    return np.array(longest_copies(pitched, searched, owners))


def window_steps(pieces: Sequence[PianoRoll]) -> int:
    """The steps of a window that half of these pieces are long enough for.

    They are whole quarters where that is possible.
    """
    grid = pieces[0].steps_per_quarter
    lengths = sorted(piece.num_steps - piece.upbeat for piece in pieces)
    middle = lengths[(len(lengths) - 1) // 2]
    in_quarters = middle // grid * grid
    return min(WINDOW_QUARTERS * grid, in_quarters or middle)


def windows_of(piece: PianoRoll, num_steps: int) -> Iterator[tuple[int, PianoRoll]]:
    """Windows of `num_steps`, one after the other, each from a bar line on.

    Each comes with the step at which it begins. An upbeat and a short rest are dropped.
    """
    lines = list(piece.bars().values())
    start = piece.upbeat
    while start + num_steps <= piece.num_steps:
        yield start, piece.stretch(start, start + num_steps)
        start = next((line for line in lines if line >= start + num_steps), piece.num_steps)


def _mean_distance(rows: np.ndarray) -> float:
    """The mean Euclidean distance between two different rows; nan if there are not two."""
    rows = rows[:: math.ceil(len(rows) / _MOST_DISTANT)]
    count = len(rows)
    if count < 2:
        return math.nan
    squares = (rows**2).sum(axis=1)
    products = rows @ rows.T
    squared_distances = (squares[:, None] + squares - 2 * products) * (1 - np.eye(count))
    total = np.sqrt(np.maximum(squared_distances, 0)).sum()
    return float(total / (count * (count - 1)))


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


def two_sample_auc(
    first: np.ndarray,
    second: np.ndarray,
    first_groups: np.ndarray,
    second_groups: np.ndarray,
    seed: int = 0,
) -> float:
    """The cross-validated AUC of a classifier between the rows of `first` and those of `second`.

    It is about 0.5 if the classifier cannot distinguish the two, and 1 if it always can; nan if one
    of them has fewer than two groups.

    Args:
        first, second: float [rows, figures]. A nan is replaced by the mean of its figure.
        first_groups, second_groups: the piece of each row, int [rows]. Its rows share a fold,
            because they are alike.
        seed: decides the folds.
    """
    rng = np.random.default_rng(seed)
    aucs = []
    for _ in range(_REPEATS):
        first_folds = _folds(first_groups, rng)
        second_folds = _folds(second_groups, rng)
        for first_held, second_held in zip(first_folds, second_folds, strict=True):
            if _can_be_scored(first_held) and _can_be_scored(second_held):
                aucs.append(_auc_of_fold(first, second, first_held, second_held))
    return float(np.mean(aucs)) if aucs else math.nan


def _folds(groups: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """For each fold the rows that it holds out, bool [rows]."""
    distinct, index = np.unique(groups, return_inverse=True)
    places = rng.permutation(len(distinct)) % min(_FOLDS, max(len(distinct), 1))
    return [places[index] == fold for fold in range(_FOLDS)]


def _can_be_scored(held: np.ndarray) -> bool:
    """True if some rows are held out, and some are not."""
    return bool(held.any() and not held.all())


def _auc_of_fold(
    first: np.ndarray, second: np.ndarray, first_held: np.ndarray, second_held: np.ndarray
) -> float:
    """The AUC on the rows that are held out, of the classifier that is fitted to all others."""
    first_fitted = first[~first_held]
    second_fitted = second[~second_held]
    fitted = np.concatenate([first_fitted, second_fitted])
    is_first = np.repeat([1.0, 0.0], [len(first_fitted), len(second_fitted)])
    weights = regression(standardised(fitted, fitted), is_first)
    first_scores = standardised(first[first_held], fitted) @ weights
    second_scores = standardised(second[second_held], fitted) @ weights
    # The share of pairs in which the row of `first` has the higher score; a tie counts half.
    differences = first_scores[:, None] - second_scores
    return float((differences > 0).mean() + 0.5 * (differences == 0).mean())


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
