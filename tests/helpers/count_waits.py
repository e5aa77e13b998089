"""Prints what an update, a validation and a sample of toy models wait for on the device of `standin.py`, as JSON lines.

Each argument is a case: model, backbone, emission and transform, as `af-scf,lstm,nade,nlsq`. The tests run it as a
program of its own, because a device that torch has been told of stays in its process.
"""

import dataclasses
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest
import torch
from standin import NAME, Waits, standin
from toy_models import SIZES, random_x, randomise
from toy_training import TRAINING, Listener

from lnfgen.bench.calls import random_dataset
from lnfgen.config import NAMED_MODELS
from lnfgen.data.batches import Batch
from lnfgen.inference.filling import fill_batch
from lnfgen.inference.scoring import score
from lnfgen.models import Frames, LengthModel, Observation, SequenceModel, Symbols, build_model
from lnfgen.training import trainer

OUTPUTS: dict[str, Observation] = {
    "categorical": Symbols(4),
    "bernoulli": Frames(5, has_onsets=False),
    "nade": Frames(12, has_onsets=True),
    "past": Frames(3, has_onsets=True),
}
LENGTHS = [5, 2, 4]
SAMPLED = (3, 5)
"""Steps of the longest sequence that is sampled, first of one call and then of another one."""

FILLED = [("lstm", "lstm", "categorical", "nlsq"), ("af-scf", "lstm", "bernoulli", "nlsq")]
"""Cases that also fill sequences; the other models share the code for it."""


def model_of(name: str, backbone: str, emission: str, transform: str) -> SequenceModel:
    torch.manual_seed(0)
    choice = {"backbone": backbone, "emission": emission, "transform": transform, "note_noise": 0.1, "latent_size": 6}
    config = dataclasses.replace(SIZES, **(choice | NAMED_MODELS[name]))
    return randomise(build_model(config, OUTPUTS[emission], LengthModel.fit(torch.tensor(LENGTHS))), 0.3)


@contextmanager
def _pinned_here(batches: Iterable[Batch], device: torch.device) -> Iterator[Iterator[Batch]]:
    """`prefetched` without its thread, which the counter would not see."""
    yield (batch.pinned(device) for batch in batches)


def counted(waits: Waits, *case: str) -> dict[str, dict[str, int]]:
    """The waits by place, after a first call of each, which makes what is kept for later ones."""
    model = model_of(*case)
    config = dataclasses.replace(TRAINING, max_steps=1000, batch_size=3, num_samples=2)
    device, dataset = torch.device(NAME), random_dataset(model, LENGTHS)
    session = trainer.Trainer(model, dataset, config, device, Listener(), lambda _: None, lambda _: None)
    session.interval = 10**9
    found: dict[str, dict[str, int]] = {}

    def keep(what: str) -> None:
        found[what] = dict(waits.places)
        waits.places.clear()

    asked_to_stop = iter([False, True, False, True])
    session.run(asked_to_stop.__next__)
    waits.places.clear()
    session.run(asked_to_stop.__next__)
    keep("update")
    sequences = [session.train_split[i] for i in range(3)]
    score(session.model, sequences, session.unit, num_samples=2)
    waits.places.clear()
    score(session.model, sequences, session.unit, num_samples=2)
    keep("validation")
    generators = [torch.Generator().manual_seed(i) for i in range(2)]
    session.model.eval()
    for steps in (2, *SAMPLED):
        with torch.no_grad():  # in inference mode the same would be counted, at twice the cost of an operation
            session.model.sample_batch([steps, steps - 1], generators, 1.0)
        if steps == 2:  # not counted: it makes what is kept
            waits.places.clear()
            continue
        keep(f"sample {steps}")
    if case in FILLED:
        fill(session.model)
    return found


@torch.no_grad()
def fill(model: SequenceModel) -> None:
    """Fill a sequence. This waits for each step, so waits are not counted."""
    x = random_x(model.observation, 1, 3)
    bits = x if isinstance(model.observation, Symbols) else model.observation.bits(x, torch.bool)
    mask = torch.arange(3).view(1, 3, *[1] * (bits.dim() - 2)).expand(bits.shape) == 1
    known, generators = model.observation.known(x, mask), [torch.Generator().manual_seed(1)]
    fill_batch(model, known, 4, generators)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch, standin(patch) as waits:
        patch.setattr(trainer, "prefetched", _pinned_here)
        for argument in sys.argv[1:]:
            print(json.dumps({argument: counted(waits, *argument.split(","))}), flush=True)
    os._exit(0)  # torch's threads for a device in Python do not end by themselves
