"""Toys in three time signatures: an encoding, what train has, and models that know them."""

from collections.abc import Iterator

import torch
from toy_models import toy

from lnfgen.conventions import TimeSignature
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.models.observation import Frames
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.models.time_signatures import TimeSignatures
from lnfgen.music.pianoroll import PianoRoll

ENCODING = MusicEncoding(steps_per_quarter=4, num_pitches=3, lowest_pitch=60)
SIGNATURES: list[TimeSignature] = [(4, 4), (6, 8), (4, 4), (3, 4), (4, 4), (3, 4)]
LENGTHS = torch.tensor([32, 24, 48, 36, 64, 12])


def toy_metres() -> TimeSignatures:
    """The time signatures of train, as a model knows them."""
    bar_shapes = torch.from_numpy(ENCODING.bar_shapes(SIGNATURES))
    return TimeSignatures.fit(SIGNATURES, bar_shapes, LENGTHS)


def told(name: str, emission: str = "bernoulli") -> SequenceModel:
    return toy(name, Frames(3, has_onsets=True), toy_metres(), emission=emission)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def drawn(pieces: Iterator[object]) -> list[PianoRoll]:
    return [piece for piece in pieces if isinstance(piece, PianoRoll)]
