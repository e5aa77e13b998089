"""A figure of two sets of music: its values on both sides, and what these share.

The overlapped area is that of mgeval: L.-C. Yang and A. Lerch, "On the evaluation of generative
models in music", Neural Computing and Applications 32, 2020.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lnfgen.music.averages import mean
from lnfgen.music.two_sample import RESAMPLINGS, overlapped_area, times_drawn

_MOST_OVERLAPPING = 300  # windows of a side for an overlapped area, so that it takes no time


@dataclass(frozen=True)
class FigureRow:
    """A figure of both sides, with a value for each window; nan where a window has none."""

    label: str  # the name of the figure in a table
    samples: np.ndarray  # float [windows]
    reference: np.ndarray
    of_songs: tuple[np.ndarray, np.ndarray]  # int [windows]: the song of each window of both sides
    of_band: bool = False  # whose parts may be silent: then a sample without a value does not count

    @property
    def inside(self) -> float:
        """The share of the samples in the reference's 5 to 95 % range.

        One without a value is outside, if it counts.
        """
        return self._share_inside(self.samples, self.reference)

    def _share_inside(self, samples: np.ndarray, reference: np.ndarray) -> float:
        low, _, high = spread(reference)
        if self.of_band:
            samples = samples[~np.isnan(samples)]
        if math.isnan(low):
            return math.nan
        return mean((low <= samples) & (samples <= high))

    def inside_interval(self, seed: int = 0) -> tuple[float, float]:
        """The 5 and 95 % quantiles of `inside` if the songs of both sides are drawn anew."""
        rng = np.random.default_rng(seed)
        first_songs, second_songs = self.of_songs
        shares = []
        for _ in range(RESAMPLINGS):
            samples = np.repeat(self.samples, times_drawn(first_songs, rng))
            reference = np.repeat(self.reference, times_drawn(second_songs, rng))
            shares.append(self._share_inside(samples, reference))
        low, _, high = spread(np.array(shares))
        return low, high

    @property
    def overlap(self) -> float:
        """The overlapped area of mgeval (Yang and Lerch 2020, section 4.2), 0 to 1.

        It is the area under both of two densities: of the distances between two samples, and of
        those between a sample and a window of the reference. It is nan where a side has fewer than
        two values.
        """
        samples = _some(self.samples)
        reference = _some(self.reference)
        if min(len(samples), len(reference)) < 2:
            return math.nan
        within = np.abs(samples[:, None] - samples)[np.triu_indices(len(samples), 1)]
        between = np.abs(samples[:, None] - reference).ravel()
        return overlapped_area(within, between)

    def to_json(self) -> dict[str, Any]:
        """The label, the quantiles of both sides and what they share as plain JSON values."""
        return {
            "label": self.label,
            "samples": _quantiles(self.samples),
            "reference": _quantiles(self.reference),
            "inside": self.inside,
            "inside_interval": self.inside_interval(),
            "overlap": self.overlap,
        }


def _some(values: np.ndarray) -> np.ndarray:
    """Values that are known, of many some that are evenly apart."""
    known = values[~np.isnan(values)]
    return known[:: math.ceil(max(len(known), 1) / _MOST_OVERLAPPING)]


def _quantiles(values: np.ndarray) -> dict[str, float]:
    low, middle, high = spread(values)
    return {"q05": low, "median": middle, "q95": high}


@dataclass(frozen=True)
class EndRow:
    """A figure of the ends of pieces, and the share of the pieces of each side that have it.

    A share is nan where no piece has a value.
    """

    label: str
    samples: float
    reference: float


def spread(values: np.ndarray) -> tuple[float, float, float]:
    """The 5 % quantile, the median and the 95 % quantile, without nan; nan if nothing is left."""
    known = values[~np.isnan(values)]
    if not len(known):
        return math.nan, math.nan, math.nan
    low, middle, high = np.quantile(known, (0.05, 0.5, 0.95)).tolist()
    return low, middle, high
