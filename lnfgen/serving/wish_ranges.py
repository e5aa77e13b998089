"""The range that most pieces of the training data have of each figure that one can wish for.

It is measured on some pieces of the train split, in a thread beside the server, and kept in the
cache. A model in the box has it in a file, because its dataset is on hardly any machine.
"""

import math
import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lnfgen.data.dataset import Dataset, open_dataset
from lnfgen.data.download import cache_folder
from lnfgen.errors import LnfgenError
from lnfgen.files import make_folder, read_object, write_json
from lnfgen.inference.wish_reading import numbers
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.runs.folder import RunFolder

Ranges = dict[str, tuple[float, float]]
"""The ends of the range of each figure, by its name."""

FILE = "ranges.json"  # in the folder of a model in the box
_QUANTILES = (0.05, 0.95)
_MOST_PIECES = 100  # that are measured, spread evenly over the split
_FEWEST_VALUES = 10  # of a figure that has a range
_DIGITS = 3


class WishRanges:
    """The ranges for a run, which are there some time after `start`, or never."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._ranges: Ranges = {}
        self._thread = threading.Thread(target=self._find, name="ranges", daemon=True)

    def start(self) -> None:
        """Begin to look for them."""
        self._thread.start()

    @property
    def are_ready(self) -> bool:
        """True once they are known as far as they ever will be."""
        return self._thread.ident is not None and not self._thread.is_alive()

    @property
    def found(self) -> Ranges:
        """Those that are known; none before they are ready, or without the dataset."""
        return self._ranges if self.are_ready else {}

    def _find(self) -> None:
        try:
            self._ranges = ranges_of(self._run)
        except LnfgenError:  # without its dataset a run has none
            return


def ranges_of(run: RunFolder) -> Ranges:
    """The ranges for a run: from a file, or measured on its dataset, whose place it knows.

    Raises:
        LnfgenError: if its dataset is not there, or has another content.
    """
    fingerprint: str = run.dataset["fingerprint"]
    kept = cache_folder() / "ranges" / f"{fingerprint}.json"
    for file in (run.path / FILE, kept):
        found = _read(file)
        if found:
            return found
    dataset = open_dataset(Path(run.dataset["path"]))
    if dataset.fingerprint != fingerprint:
        raise LnfgenError(f"{dataset.path} is not the dataset of {run.name}")
    ranges = measured_ranges(dataset)
    make_folder(kept.parent)
    write_ranges(kept, ranges)
    return ranges


def measured_ranges(dataset: Dataset) -> Ranges:
    """The ranges of a dataset of music, between the quantiles 5% and 95% of its pieces."""
    pieces = [piece for piece in dataset.pieces("train") if isinstance(piece, PianoRoll)]
    every = max(1, len(pieces) // _MOST_PIECES)
    some = pieces[::every][:_MOST_PIECES]
    ranges: Ranges = {}
    for name, figure in numbers("music", dataset.encoding.roles).items():
        values = [figure.value(piece) for piece in some]
        known = [value for value in values if not math.isnan(value)]
        if len(known) >= _FEWEST_VALUES:
            ranges[name] = _range_of(known)
    return ranges


def _range_of(values: Iterable[float]) -> tuple[float, float]:
    low, high = np.quantile(list(values), _QUANTILES).tolist()
    return float(f"{low:.{_DIGITS}g}"), float(f"{high:.{_DIGITS}g}")


def write_ranges(path: Path, ranges: Ranges) -> None:
    """Write ranges to a file, which `ranges_of` reads."""
    write_json(path, ranges, indent=1)


def _read(path: Path) -> Ranges:
    """The ranges in a file; none if it is missing or damaged."""
    ranges: Ranges = {}
    try:
        for name, (low, high) in read_object(path).items():
            ranges[name] = (float(low), float(high))
    except (OSError, ValueError, TypeError):
        return {}
    return ranges
