"""Kinds of gaps that are hidden in true pieces, to see how well they are filled."""

from collections.abc import Callable

import numpy as np

from lnfgen.data.encoding import Changes
from lnfgen.errors import LnfgenError
from lnfgen.formats import Piece
from lnfgen.given import Given
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.regions import region

LOWER_VOICES = "lower_voices"

GAPS = {
    "music": {
        LOWER_VOICES: "all below the top line",
        "middle": "the middle half of the bars, or of the steps where there are under four bars",
        "second_half": "the second half of the steps",
        "random_cells": "a random half of the cells, one key at one step each",
    },
    "text": {
        "gap": "a quarter of the characters, in a row at a random place",
        "second_half": "the second half of the characters",
    },
}
"""What is hidden: by the kind of the data, the name of the gap and what it means."""


def with_gap(piece: Piece, values: np.ndarray, gap: str, rng: np.random.Generator) -> Given | None:
    """The piece without what this kind of gap hides; None if that is nothing or all.

    Args:
        values: the piece in the model's encoding, `[T]`, or `[T, P]` with the keys of the piece.
    """
    free = np.zeros(values.shape, dtype=np.bool_)
    _HIDE[gap](piece, free, rng)
    return Given(values, free, piece, free, Changes()) if free.any() and not free.all() else None


def _lower_voices(piece: Piece, free: np.ndarray, rng: np.random.Generator) -> None:
    try:
        free |= region(_roll(piece), ["below-melody"])
    except LnfgenError:  # no note, or none that has a key below it
        return


def _middle(piece: Piece, free: np.ndarray, rng: np.random.Generator) -> None:
    lines = [*_roll(piece).bar_lines(), len(free)]
    borders = lines if len(lines) > 4 else list(range(len(free) + 1))
    quarter = (len(borders) - 1) // 4
    free[borders[quarter] : borders[-1 - quarter]] = True


def _second_half(piece: Piece, free: np.ndarray, rng: np.random.Generator) -> None:
    free[len(free) // 2 :] = True


def _random_cells(piece: Piece, free: np.ndarray, rng: np.random.Generator) -> None:
    free |= rng.random(free.shape) < 0.5


def _gap(piece: Piece, free: np.ndarray, rng: np.random.Generator) -> None:
    size = -(-len(free) // 4)
    start = int(rng.integers(len(free) - size + 1))
    free[start : start + size] = True


def _roll(piece: Piece) -> PianoRoll:
    assert isinstance(piece, PianoRoll)
    return piece


_HIDE: dict[str, Callable[[Piece, np.ndarray, np.random.Generator], None]] = {
    LOWER_VOICES: _lower_voices,
    "middle": _middle,
    "second_half": _second_half,
    "random_cells": _random_cells,
    "gap": _gap,
}
