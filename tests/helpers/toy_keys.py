"""A model of six keys, and random pieces on them."""

import numpy as np
import pytest
from toy_models import toy

from lnfgen.data.encoding import Encoding
from lnfgen.models.observation import Frames
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.pianoroll import PianoRoll

KEYS, LOWEST = 6, 60
HAS_ONSETS = pytest.mark.parametrize("has_onsets", [True, False])


def small_music(
    has_onsets: bool, name: str = "lstm", emission: str = "past"
) -> tuple[SequenceModel, Encoding]:
    encoding = Encoding(
        "music", has_onsets, lowest_pitch=LOWEST, num_pitches=KEYS, steps_per_quarter=1
    )
    return toy(name, Frames(KEYS, has_onsets), emission=emission), encoding


def random_roll(has_onsets: bool, seed: int, steps: int = 9) -> PianoRoll:
    rng = np.random.default_rng(seed)
    sounding = rng.random((steps, KEYS)) < 0.5
    onsets = sounding & (rng.random((steps, KEYS)) < 0.4) if has_onsets else None
    return PianoRoll(sounding, onsets, steps_per_quarter=1, lowest_pitch=LOWEST)
