"""Compares two sets of music: by figures of both sides, and by a classifier that tries to
distinguish the sides.

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

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lnfgen.conventions import Progress, no_progress
from lnfgen.errors import LnfgenError
from lnfgen.music.copies import longest_copies
from lnfgen.music.figures import music_figures, pitched_parts, usual_voices
from lnfgen.music.pianoroll import PianoRoll

# the length of a window, eight bars of 4/4; less where half of the pieces of a side are shorter
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
    samples: np.ndarray
    reference: np.ndarray
    of_band: bool = False  # whose parts may be silent: then a sample without a value does not count

    @property
    def inside(self) -> float:
        """The share of the samples in the reference's 5 to 95 % range. One without a value is
        outside, if it counts."""
        low, _, high = spread(self.reference)
        samples = self.samples[~(self.of_band & np.isnan(self.samples))]
        known = len(samples) and not math.isnan(low)
        return float(((low <= samples) & (samples <= high)).mean()) if known else math.nan

    def to_json(self) -> dict[str, Any]:
        """The label, the quantiles of both sides and the share inside as plain JSON values."""
        names = ("q05", "median", "q95")
        sides = {
            side: dict(zip(names, spread(getattr(self, side)), strict=True))
            for side in ("samples", "reference")
        }
        return {"label": self.label, **sides, "inside": self.inside}


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
    low, middle, high = (
        np.quantile(known, (0.05, 0.5, 0.95)).tolist() if len(known) else (math.nan,) * 3
    )
    return low, middle, high


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
    groups, grid, parts = (
        (samples, reference, corpus or []),
        reference[0].steps_per_quarter,
        reference[0].parts,
    )
    has_onsets = all(piece.onsets is not None for pieces in groups for piece in pieces)
    alike = [[piece.in_parts(parts).on_grid(grid) for piece in pieces] for pieces in groups]
    if not has_onsets:
        alike = [[replace(piece, onsets=None) for piece in pieces] for pieces in alike]
    samples, reference, searched = alike
    num_steps = min(window_steps(samples), window_steps(reference))
    windows = [
        [list(windows_of(piece, num_steps)) for piece in side] for side in (samples, reference)
    ]
    rolls = [[window for found in side for _, window in found] for side in windows]
    owners = [[number for number, found in enumerate(side) for _ in found] for side in windows]
    searched, own = (reference, owners[1]) if corpus is None else (searched, None)
    asked, searched = (
        [[pitched_parts(roll) for roll in side] for side in rolls],
        [*map(pitched_parts, searched)],
    )
    copies = longest_copies(asked[0], searched), longest_copies(asked[1], searched, own)
    num_voices = usual_voices(rolls[1])
    chosen = music_figures(num_voices, reference[0].roles)
    total, measured = len(rolls[0]) + len(rolls[1]), []
    for done, roll in enumerate([*rolls[0], *rolls[1]], start=1):
        measured.append([figure.value(roll) for figure in chosen.values()])
        progress("measuring", done, total)
    both = np.array(measured)
    first, second = np.split(both, [len(rolls[0])])
    figures = {
        name: FigureRow(figure.label, first[:, i], second[:, i], bool(parts))
        for i, (name, figure) in enumerate(chosen.items())
    }
    label = f"longest copy of {'the reference' if corpus is None else 'train'}, quarters"
    return MusicComparison(
        figures={
            **figures,
            LONGEST_COPY: FigureRow(label, np.array(copies[0]), np.array(copies[1])),
        },
        auc=two_sample_auc(first, second, np.array(owners[0]), np.array(owners[1]), seed),
        samples_variety=_mean_distance(standardised(first, both)),
        reference_variety=_mean_distance(standardised(second, both)),
        usual_voices=num_voices,
        window_quarters=num_steps / grid,
        samples_windows=len(first),
        reference_windows=len(second),
        samples_pieces=len(set(owners[0])),
        reference_pieces=len(set(owners[1])),
    )


def window_steps(pieces: Sequence[PianoRoll]) -> int:
    """The steps of a window that half of these pieces are long enough for, in whole quarters where
    that is possible."""
    grid = pieces[0].steps_per_quarter
    middle = sorted(piece.num_steps - piece.upbeat for piece in pieces)[(len(pieces) - 1) // 2]
    return min(WINDOW_QUARTERS * grid, middle // grid * grid or middle)


def windows_of(piece: PianoRoll, num_steps: int) -> Iterator[tuple[int, PianoRoll]]:
    """Windows of `num_steps`, one after the other, each from a bar line on, and the steps at which
    they begin.

    An upbeat and a short rest are dropped.
    """
    lines = list(piece.bars().values())
    start = piece.upbeat
    while start + num_steps <= piece.num_steps:
        yield start, piece.stretch(start, start + num_steps)
        start = next((line for line in lines if line >= start + num_steps), piece.num_steps)


def _mean_distance(rows: np.ndarray) -> float:
    """The mean Euclidean distance between two different rows; nan if there are not two."""
    rows = rows[:: math.ceil(len(rows) / _MOST_DISTANT)]
    squares = (rows**2).sum(axis=1)
    squared_distances = (squares[:, None] + squares - 2 * rows @ rows.T) * (1 - np.eye(len(rows)))
    total = np.sqrt(np.maximum(squared_distances, 0)).sum()
    return float(total / (len(rows) * (len(rows) - 1))) if len(rows) > 1 else math.nan


def standardised(x: np.ndarray, by: np.ndarray) -> np.ndarray:
    """`x` less the mean of each column of `by` over its standard deviation; 0 for nan, and where
    `by` is constant."""
    known = np.ma.masked_invalid(by)
    center, scale = known.mean(axis=0).filled(0.0), known.std(axis=0).filled(0.0)
    scale = np.where(scale > 1e-12 * (1 + np.abs(center)), scale, math.inf)
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
        first_groups, second_groups: the piece of each row. Its rows share a fold, because they are
            alike.
        seed: decides the folds.
    """
    rng = np.random.default_rng(seed)
    aucs = []
    for _ in range(_REPEATS):
        for held in zip(_folds(first_groups, rng), _folds(second_groups, rng), strict=True):
            if not all(0 < rows.sum() < len(rows) for rows in held):
                continue
            fitted = [side[~rows] for side, rows in zip((first, second), held, strict=True)]
            x = np.concatenate(fitted)
            weights = regression(standardised(x, x), np.repeat([1.0, 0.0], list(map(len, fitted))))
            scores = [
                standardised(side[rows], x) @ weights
                for side, rows in zip((first, second), held, strict=True)
            ]
            # The share of pairs in which the row of `first` has the higher score; a tie counts
            # half.
            differences = scores[0][:, None] - scores[1]
            aucs.append((differences > 0).mean() + 0.5 * (differences == 0).mean())
    return float(np.mean(aucs)) if aucs else math.nan


def _folds(groups: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """For each fold the rows that it holds out, bool [rows]."""
    distinct, index = np.unique(groups, return_inverse=True)
    places = rng.permutation(len(distinct)) % min(_FOLDS, max(len(distinct), 1))
    for fold in range(_FOLDS):
        yield places[index] == fold


def regression(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The weights of a logistic regression, by Newton's method. The intercept is found and left
    out.

    It minimises the sum of the log-losses plus half of the sum of the squared weights.
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
        weights -= update * min(1.0, _LONGEST_UPDATE / max(np.abs(update).max(), _TOLERANCE))
        if np.abs(update).max() < _TOLERANCE:
            break
    return weights[:-1]
