"""What is measured: which models, on what data, with which batches, and in how much time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lnfgen.bench.rows import Row
from lnfgen.config import NAMED_MODELS, PRECISIONS
from lnfgen.models import Frames, Observation, Symbols
from lnfgen.nn.backbones import BACKBONES


class Variant(NamedTuple):
    """A named model on a backbone; for a trained model, the name of its run."""

    model: str
    backbone: str


BASELINE = Variant("lstm", "lstm")
"""The model whose speed is 1."""


def variants_on(backbones: Iterable[str]) -> list[Variant]:
    """The baseline, and every model with a latent on each of these backbones."""
    names = [name for name in NAMED_MODELS if name != BASELINE.model]
    return [BASELINE, *(Variant(name, backbone) for name in names for backbone in backbones)]


VARIANTS = variants_on(BACKBONES)
"""Every named model on every backbone that it can have."""

STRUCK = "music with onsets"
"""A person's own music and the chorales, whose usual output is `past`."""

OBSERVATIONS: dict[str, Observation] = {
    "music": Frames(88, has_onsets=False),
    "text": Symbols(50),
    STRUCK: Frames(49, has_onsets=True),
}
"""The kinds of data, in the order in which they are measured; keys as in the four published sets and in `chorales`."""


def kind_of(observation: Observation) -> str:
    """The kind of data, of `OBSERVATIONS`, that a model of these observations is measured with."""
    if isinstance(observation, Symbols):
        return "text"
    return STRUCK if observation.has_onsets else "music"


EQUAL, RAGGED = "equal", "ragged"
"""The lengths of a batch: all the same, or from half the longest to the longest, as in batches of real data."""

SAMPLING: list[Row] = [
    {"kind": kind, "length": length, "batch": batch}
    for kind, length in (("music", 60), ("text", 16), ("text", 60), ("text", 288), ("text", 1024), (STRUCK, 60))
    for batch in (1, 16)
]
"""Cases of sampling: so many sequences are drawn at once, each of that length."""

TRAINING: list[Row] = [
    {"kind": kind, "length": length, "batch": batch, "lengths": lengths, "samples": samples, "precision": precision}
    for kind, length, batch, samples, precisions in (
        ("music", 60, 5, 1, PRECISIONS),
        ("text", 120, 15, 10, PRECISIONS),
        (STRUCK, 60, 8, 1, PRECISIONS[:1]),
    )
    for precision in precisions
    for lengths in (EQUAL, RAGGED)
]
"""Cases of training updates: `length` is that of the longest sequence, and each has so many samples of z."""


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    preset: str = "paper"
    sampling: Sequence[Row] = tuple(SAMPLING)
    training: Sequence[Row] = tuple(TRAINING)
    rounds: int = 5
    budget: float = 1500.0  # seconds; what would overrun it is left out
    variants: Sequence[Variant] = tuple(VARIANTS)  # the baseline among them


def quick_plan(preset: str = "paper") -> Plan:
    """Every model, on music and with equal lengths alone, within a minute on two CPU cores."""
    sampling = [{"kind": "music", "length": length, "batch": 1} for length in (16, 60)]
    return Plan(preset, sampling, TRAINING[:1], rounds=3, budget=45.0)


def batch_lengths(lengths: str, batch: int, longest: int) -> list[int]:
    """The length of each sequence of a batch, `EQUAL` or `RAGGED`, the same ones at every call.

    Ragged lengths are spread evenly: the range from `longest / 2` to `longest` is divided into as many equal parts as
    there are sequences, and one length is drawn in each. So their mean is near 3/4 of `longest` in small batches too.
    """
    if lengths == EQUAL:
        return [longest] * batch
    rng = np.random.default_rng(0)
    shortest = -(-longest // 2)
    places = (rng.permutation(batch) + rng.random(batch)) / batch
    return (shortest + np.floor(places * (longest - shortest + 1)).astype(int)).tolist()
