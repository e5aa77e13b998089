"""What changes in the course of a run: the KL weight, the learning rate, the averaged weights."""

import copy
from dataclasses import dataclass, replace

import torch
from torch import nn

from lnfgen.config import DECAYS_BEFORE_STOP, TrainingConfig

# The weight before it rises. It is not 0: without a bound the posterior would drift away.
MIN_KL_WEIGHT = 1e-3
PLATEAU_DECAY = 0.3  # the learning rate is multiplied by this when validation no longer improves
# Updates in which the learning rate rises from 0, because the second moments of AdamW are mostly
# noise at first.
WARMUP_STEPS = 100


def annealed_kl_weight(step: int, total: int, start: float, full: float) -> float:
    """The KL weight at an update.

    It is about 0 up to the fraction `start` of the run, then rises linearly to 1 at `full`.
    """
    progress = step / total
    if progress >= full:
        return 1.0
    if progress <= start:
        return MIN_KL_WEIGHT
    return max(MIN_KL_WEIGHT, (progress - start) / (full - start))


def cooled_share(step: int, total: int, start: float) -> float:
    """The share of the learning rate at an update.

    It is 1 up to the fraction `start` of the run, then falls linearly to 0.

    Source: the warmup-stable-decay schedule (Hu et al. 2024, arXiv 2404.06395).
    """
    if start >= 1:
        return 1.0
    return min(1.0, (total - step) / (total * (1 - start)))


def lengthened(
    config: TrainingConfig, num_sequences: int, max_steps: int | None, epochs: int | None
) -> TrainingConfig:
    """The settings of a run that is given another length.

    The length is `max_steps` or `epochs`, or whichever of both ends first.

    The KL weight rises at the same updates as before, so where it is 1 it stays 1. If the new end
    comes before that, it rises up to the new end; before it begins to rise, it does not rise at
    all.
    """
    longer = replace(config, max_steps=max_steps, epochs=epochs)
    scale = config.total_steps(num_sequences) / longer.total_steps(num_sequences)
    start = min(1.0, config.kl_warmup_start * scale)
    end = min(1.0, config.kl_warmup_end * scale)
    return replace(longer, kl_warmup_start=start, kl_warmup_end=end)


@dataclass
class Plateau:
    """Remembers the lowest validation cost.

    It lowers the learning rate when the cost stalls, and says when to stop.
    """

    patience: int
    best: float = float("inf")
    stale: int = 0  # validations since the lowest cost
    rate: float = 1.0  # factor on the learning rate

    def update(self, cost: float) -> bool:
        """Take a new cost, and say whether it is the lowest so far."""
        if cost < self.best:
            self.best = cost
            self.stale = 0
            return True
        self.stale += 1
        if self.stale % self.patience == 0:
            self.rate *= PLATEAU_DECAY
        return False

    @property
    def exhausted(self) -> bool:
        """True if the rate has been lowered so often without a lower cost that training ends."""
        return self.stale >= DECAYS_BEFORE_STOP * self.patience


class AveragedModel:
    """A copy of the model with an exponential moving average of its weights.

    Scores and samples are made with it.

    The n-th update has the decay n / (n + 9), at most `decay`, so that the fresh weights are soon
    forgotten. torch's class of this name keeps n in a tensor, and waits for the device to read it.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(model).requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the present weights into the average.

        Buffers are constants, so they stay as they are.
        """
        self.updates += 1
        weight = 1 - min(self.decay, self.updates / (self.updates + 9))
        for average, parameter in zip(self.module.parameters(), model.parameters(), strict=True):
            average.lerp_(parameter, weight)
