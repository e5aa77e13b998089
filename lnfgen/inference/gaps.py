"""Kinds of gaps that are hidden in true pieces, to see how well they are filled."""

from contextlib import suppress

import numpy as np

from lnfgen.data.encoding import Changes
from lnfgen.errors import LnfgenError
from lnfgen.formats.read_write import Piece
from lnfgen.inference.given import Given
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
        values: the piece in the model's encoding, `[T]`, or `[T, P]` with the keys of the piece. They may begin with
            silence ahead of an upbeat, which is not hidden.
    """
    ahead = len(values) - (len(piece) if isinstance(piece, str) else piece.num_steps)
    hidden = np.zeros(values.shape, dtype=np.bool_)
    free = hidden[ahead:]
    if gap == LOWER_VOICES:
        with suppress(LnfgenError):  # no note, or none that has a key below it
            free |= region(_roll(piece), ["below-melody"])
    elif gap == "middle":
        lines = [*_roll(piece).bar_lines(), len(free)]
        borders = lines if len(lines) > 4 else list(range(len(free) + 1))
        quarter = (len(borders) - 1) // 4
        free[borders[quarter] : borders[-1 - quarter]] = True
    elif gap == "second_half":
        free[len(free) // 2 :] = True
    elif gap == "random_cells":
        free |= rng.random(free.shape) < 0.5
    else:
        size = -(-len(free) // 4)
        start = int(rng.integers(len(free) - size + 1))
        free[start : start + size] = True
    return Given(values, hidden, piece, free, Changes(), ahead=ahead) if free.any() and not free.all() else None


def _roll(piece: Piece) -> PianoRoll:
    assert isinstance(piece, PianoRoll)
    return piece
