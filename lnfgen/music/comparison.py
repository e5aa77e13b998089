"""How far some music is from other music: figures of both side by side, and one number for all of them.

The pieces of both sides are cut into windows of equal length, because many figures depend on the length. For each
figure there are the median and the 5 and 95 % quantiles of both sides, and the share of the windows of the first side
that are inside the 5 to 95 % range of the second.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from lnfgen.conventions import Progress, no_progress
from lnfgen.errors import LnfgenError
from lnfgen.music.classifier import center_and_scale, standardised, two_sample_auc
from lnfgen.music.copies import longest_copies
from lnfgen.music.figures import Figure, music_figures, usual_voices
from lnfgen.music.pianoroll import PianoRoll

WINDOW_QUARTERS = 32
"""The length of a window in quarters, eight bars of 4/4. It is less where half of the pieces of a side are shorter."""

LONGEST_COPY = "longest_copy"
_MOST_DISTANT = 1000  # windows of a side among which distances are taken, so that large sets need no more memory


@dataclass(frozen=True)
class FigureRow:
    """A figure of both sides, with a value for each window; nan where a window has none.

    Attributes:
        label: what a table calls the figure.
    """

    label: str
    samples: np.ndarray
    reference: np.ndarray

    @property
    def inside(self) -> float:
        """The share of the samples in the reference's 5 to 95 % range. One without a value is outside."""
        low, _, high = spread(self.reference)
        return math.nan if math.isnan(low) else float(((low <= self.samples) & (self.samples <= high)).mean())


@dataclass(frozen=True)
class MusicComparison:
    """What `compare_pieces` finds.

    Attributes:
        figures: by name, those of `lnfgen.music.figures.music_figures` and the longest copy, in quarters.
        auc: how well a classifier tells samples from the reference by these figures: 0.5 is not at all, 1 is always.
            Well below 0.5, both sides hold the same pieces. The longest copy is among these figures only where copies
            are searched for in a corpus beside the reference.
        samples_variety, reference_variety: the mean distance between two windows of a side (the intra-set distance of
            mgeval), in figures that have a standard deviation of 1 over both sides together.
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
        """All of it as plain JSON values, null for nan."""
        rows = {name: _row_json(row) for name, row in self.figures.items()}
        return _plain({**vars(self), "most_copied": self.most_copied, "figures": rows})


class _Windows(NamedTuple):
    """Passages of equal length, and for each the index of the piece that it is from."""

    rolls: list[PianoRoll]
    owners: list[int]


def spread(values: np.ndarray) -> tuple[float, float, float]:
    """The 5 % quantile, the median and the 95 % quantile, without nan; nan if nothing is left."""
    known = values[~np.isnan(values)]
    low, middle, high = np.quantile(known, (0.05, 0.5, 0.95)).tolist() if len(known) else (math.nan,) * 3
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

    All pieces are first put on the grid of the first reference piece. Where a piece has no onsets, those of all others
    are left out, because repeated notes would then be one note on one side only.

    Args:
        corpus: where copies are searched for, such as the pieces that a model was trained on. By default this is the
            reference, and for each piece of the reference its other pieces.
        seed: decides the folds of the classifier.
        progress: told how many windows have their figures, and of how many.

    Raises:
        LnfgenError: if a side has no pieces.
    """
    for pieces, name in ((samples, "samples"), (reference, "reference")):
        if not pieces:
            raise LnfgenError(f"the {name} hold no pieces of music; expected at least one")
    grid = reference[0].steps_per_quarter
    samples, reference, searched = _made_alike([samples, reference, corpus or []], grid)
    num_steps = min(_window_steps(samples), _window_steps(reference))
    sides = [_windows(pieces, num_steps) for pieces in (samples, reference)]

    num_voices = usual_voices(sides[1].rolls)
    chosen = music_figures(num_voices)
    measured = _measured(sides, list(chosen.values()), progress)
    if corpus is None:
        copies = longest_copies(sides[0].rolls, reference), longest_copies(sides[1].rolls, reference, sides[1].owners)
    else:
        copies = longest_copies(sides[0].rolls, searched), longest_copies(sides[1].rolls, searched)
    first, second = (np.column_stack(side) for side in zip(measured, copies, strict=True))

    labels = {name: figure.label for name, figure in chosen.items()}
    labels[LONGEST_COPY] = f"longest copy of {'the reference' if corpus is None else 'train'}, quarters"
    # A sample that is a piece of the reference would be told apart by its copy alone, as no piece is its own copy.
    told = len(chosen) if corpus is None else len(labels)
    owners = [np.array(side.owners) for side in sides]
    center, scale = center_and_scale(np.concatenate([first, second]))
    return MusicComparison(
        figures={
            name: FigureRow(label, first[:, index], second[:, index])
            for index, (name, label) in enumerate(labels.items())
        },
        auc=two_sample_auc(first[:, :told], second[:, :told], owners[0], owners[1], seed),
        samples_variety=_mean_distance(standardised(first, center, scale)),
        reference_variety=_mean_distance(standardised(second, center, scale)),
        usual_voices=num_voices,
        window_quarters=num_steps / grid,
        samples_windows=len(first),
        reference_windows=len(second),
        samples_pieces=len(set(sides[0].owners)),
        reference_pieces=len(set(sides[1].owners)),
    )


def _made_alike(groups: Sequence[Sequence[PianoRoll]], grid: int) -> list[list[PianoRoll]]:
    """All pieces on one grid, and all with onsets or all without."""
    has_onsets = all(piece.onsets is not None for pieces in groups for piece in pieces)
    moved = [[piece.on_grid(grid) for piece in pieces] for pieces in groups]
    return moved if has_onsets else [[replace(piece, onsets=None) for piece in pieces] for pieces in moved]


def _window_steps(pieces: Sequence[PianoRoll]) -> int:
    """The steps of a window that half of these pieces are long enough for, in whole quarters where that is possible."""
    grid = pieces[0].steps_per_quarter
    middle = sorted(piece.num_steps - piece.upbeat for piece in pieces)[(len(pieces) - 1) // 2]
    return min(WINDOW_QUARTERS * grid, middle // grid * grid or middle)


def _windows(pieces: Sequence[PianoRoll], num_steps: int) -> _Windows:
    """The windows of all pieces."""
    found = [(window, index) for index, piece in enumerate(pieces) for window in _cut(piece, num_steps)]
    return _Windows([window for window, _ in found], [index for _, index in found])


def _cut(piece: PianoRoll, num_steps: int) -> Iterator[PianoRoll]:
    """Windows of so many steps, one after the other, each from a bar line on. What is left over is dropped, as is an
    upbeat.

    A note that sounds already where a window starts is struck there (`PianoRoll.stretch`).
    """
    lines = piece.bar_lines()
    start = piece.upbeat
    while start + num_steps <= piece.num_steps:
        yield piece.stretch(start, start + num_steps)
        following = bisect.bisect_left(lines, start + num_steps)
        start = lines[following] if following < len(lines) else piece.num_steps


def _measured(sides: Sequence[_Windows], figures: Sequence[Figure], progress: Progress) -> list[list[list[float]]]:
    """For each side and each of its windows, the figures."""
    total, done = sum(len(side.rolls) for side in sides), 0
    rows: list[list[list[float]]] = [[] for _ in sides]
    for side, measured in zip(sides, rows, strict=True):
        for roll in side.rolls:
            measured.append([figure.value(roll) for figure in figures])
            done += 1
            progress("measuring", done, total)
    return rows


def _mean_distance(rows: np.ndarray) -> float:
    """The mean Euclidean distance between two different rows; nan if there are not two."""
    rows = rows[:: math.ceil(len(rows) / _MOST_DISTANT)]
    squares = (rows**2).sum(axis=1)
    squared_distances = (squares[:, None] + squares - 2 * rows @ rows.T) * (1 - np.eye(len(rows)))
    total = np.sqrt(np.maximum(squared_distances, 0)).sum()
    return float(total / (len(rows) * (len(rows) - 1))) if len(rows) > 1 else math.nan


def _row_json(row: FigureRow) -> dict[str, Any]:
    names = ("q05", "median", "q95")
    sides = {side: dict(zip(names, spread(getattr(row, side)), strict=True)) for side in ("samples", "reference")}
    return {"label": row.label, **sides, "inside": row.inside}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
