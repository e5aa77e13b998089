"""Words that name parts of a piece."""

from dataclasses import replace

import numpy as np
import pytest
from toy_music import WALTZ

from lnfgen.errors import LnfgenError
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.regions import region


def test_words_mean_the_bars_of_the_file() -> None:
    def steps(roll: PianoRoll, word: str) -> list[int]:
        return np.flatnonzero(region(roll, [word]).all(axis=1)).tolist()

    assert steps(WALTZ, "bars:0") == [0, 1, 2, 3]
    assert steps(WALTZ, "bars:1-2") == list(range(4, 28))
    assert steps(WALTZ, "bars:3-") == steps(WALTZ, "bars:3-9") == list(range(28, 34))
    assert steps(WALTZ, "bars:0-1") == steps(WALTZ, "steps:1-16")
    for roll, word, said in (
        (replace(WALTZ, upbeat=0), "bars:0", "bars:0: bars are counted from 1 on"),
        (WALTZ, "bars:-1", "bars:-1: bars are counted from 0 on"),
        (WALTZ, "steps:0", "steps:0: steps are counted from 1 on"),
        (WALTZ, "bars:4", "bars:4 means nothing in a piece of 3 bars"),
    ):
        with pytest.raises(LnfgenError, match=said):
            region(roll, [word])
