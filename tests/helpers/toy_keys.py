"""A model of six keys, and random pieces on them."""

import numpy as np
import pytest
from toy_models import toy

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.models.observation import Frames
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.pianoroll import PianoRoll

KEYS = 6
LOWEST = 60  # the MIDI number of the first
HAS_ONSETS = pytest.mark.parametrize("has_onsets", [True, False])


def small_music(
    has_onsets: bool, name: str = "lstm", emission: str = "autoregressive"
) -> tuple[SequenceModel, MusicEncoding]:
    """A toy of a model on six keys, and its encoding."""
    encoding = MusicEncoding(has_onsets, lowest_pitch=LOWEST, num_pitches=KEYS, steps_per_quarter=1)
    return toy(name, Frames(KEYS, has_onsets), emission=emission), encoding


def random_roll(has_onsets: bool, seed: int, steps: int = 9) -> PianoRoll:
    rng = np.random.default_rng(seed)
    sounding = rng.random((steps, KEYS)) < 0.5
    onsets = sounding & (rng.random((steps, KEYS)) < 0.4) if has_onsets else None
    return PianoRoll.of_one(sounding, onsets, steps_per_quarter=1, lowest_pitch=LOWEST)
