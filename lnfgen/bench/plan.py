"""What is measured: which models, on what data, with which batches, and in how much time."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from lnfgen.config import NAMED_MODELS
from lnfgen.models import Frames, Observation, Symbols
from lnfgen.nn.backbones import BACKBONES


class Variant(NamedTuple):
    """A named model on a backbone; for a trained model, the name of its run."""

    model: str
    backbone: str


BASELINE = Variant("lstm", "lstm")
"""The model whose speed is 1."""

VARIANTS = [BASELINE] + [
    Variant(name, backbone) for name in NAMED_MODELS if name != BASELINE.model for backbone in BACKBONES
]
"""Every named model on every backbone that it can have."""

EQUAL, RAGGED = "equal", "ragged"
"""The lengths of a batch: all the same, or from half the longest to the longest, as in batches of real data."""

LENGTHS_SEED = 0
"""The seed of ragged lengths, so that every model and every measurement has the same ones."""


class Update(NamedTuple):
    """What one update of training is computed from."""

    batch: int  # sequences
    length: int  # steps of each, or of the longest
    samples: int  # samples of z for each


OBSERVATIONS: dict[str, Observation] = {"music": Frames(88, has_onsets=False), "text": Symbols(50)}
UPDATES = {"music": Update(5, 60, 1), "text": Update(15, 120, 10)}


@dataclass(frozen=True)
class Plan:
    """What to measure. Kinds of data are taken in the order in which they are named."""

    preset: str = "paper"
    sample_lengths: dict[str, tuple[int, ...]] = field(
        default_factory=lambda: {"music": (60,), "text": (16, 60, 288, 1024)}
    )
    sample_batches: tuple[int, ...] = (1, 16)  # sequences drawn at once
    updates: dict[str, Update] = field(default_factory=lambda: UPDATES)
    update_lengths: tuple[str, ...] = (EQUAL, RAGGED)
    precisions: tuple[str, ...] = ("float32", "bfloat16")  # of the networks, in training
    rounds: int = 5
    budget: float = 900.0  # seconds; what would overrun it is left out


def quick_plan(preset: str = "paper") -> Plan:
    """Every model, on music and with equal lengths alone, within a minute on two CPU cores."""
    return Plan(
        preset,
        sample_lengths={"music": (16, 60)},
        sample_batches=(1,),
        updates={"music": UPDATES["music"]},
        update_lengths=(EQUAL,),
        precisions=("float32",),
        rounds=3,
        budget=45.0,
    )


def batch_lengths(lengths: str, batch: int, longest: int) -> list[int]:
    """The length of each sequence of a batch: equal, or ragged, where the seed of all batches is the same.

    Ragged lengths are spread evenly: the range from `longest / 2` to `longest` is divided into as many equal parts as
    there are sequences, and one length is drawn in each. So their mean is near 3/4 of `longest` in small batches too.
    """
    if lengths == EQUAL:
        return [longest] * batch
    rng = np.random.default_rng(LENGTHS_SEED)
    shortest = -(-longest // 2)
    places = (rng.permutation(batch) + rng.random(batch)) / batch
    return (shortest + np.floor(places * (longest - shortest + 1)).astype(int)).tolist()
