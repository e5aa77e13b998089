"""How many steps a pass of training should have on a device: what `PASS_STEPS_ELSEWHERE` should be.

An update whose samples need many steps is made in passes (see `lnfgen.training.objective`). Larger passes keep a GPU
busier and need more memory, so the smallest that is nearly as fast as the largest is the one to take.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from functools import partial

import torch

from lnfgen.bench.calls import fresh_model, random_dataset
from lnfgen.bench.machine import Memory, timed_on
from lnfgen.bench.plan import Variant
from lnfgen.bench.rows import Row
from lnfgen.data.batches import batch_of
from lnfgen.errors import is_out_of_memory
from lnfgen.models import SequenceModel
from lnfgen.training.objective import accumulate_gradients

SAMPLES, BATCH, LENGTH = 64, 15, 120
"""The batch of the paper's text models, with so many samples that one pass would have 115,200 steps."""

ROUNDS = 3


def measure_passes(
    preset: str,
    device: torch.device,
    *,
    samples: int = SAMPLES,
    batch: int = BATCH,
    length: int = LENGTH,
    variants: Sequence[Variant] = (Variant("af-scf", "lstm"), Variant("af-scf", "scan")),
) -> list[Row]:
    """A row for each number of passes of the same update: seconds (the median), rate and, on a GPU, peak memory.

    What does not fit in memory has no row.
    """
    return [
        {**variant._asdict(), **row}
        for variant in variants
        for row in _of_model(fresh_model(variant, preset, "text").to(device), samples, batch, length)
    ]


def _of_model(model: SequenceModel, samples: int, batch: int, length: int) -> Iterator[Row]:
    device = model.device
    split = random_dataset(model, [length] * batch).split("train")
    made = batch_of(split, list(range(batch))).to(device)
    noise = model.draw_noise(samples, batch, length, torch.Generator(device).manual_seed(0))

    def update(num_passes: int) -> None:
        model.zero_grad()
        accumulate_gradients(model, made, noise, 1.0, num_passes=num_passes)

    num_passes = samples
    while num_passes >= 1:
        memory, work = Memory(device), partial(update, num_passes)
        try:
            work()
            seconds = statistics.median(timed_on(device, work) for _ in range(ROUNDS))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return
        yield {
            "pass_steps": math.ceil(samples / num_passes) * batch * length,
            "passes": num_passes,
            "seconds": seconds,
            "steps_per_second": samples * batch * length / seconds,
            "megabytes": memory.megabytes,
        }
        num_passes //= 2
