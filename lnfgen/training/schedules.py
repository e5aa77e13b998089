"""What changes in the course of a run: the KL weight, the learning rate, the averaged weights."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

MIN_KL_WEIGHT = 1e-3
"""The KL weight before it rises: "about 0", so that the posterior is not blown up without bound meanwhile."""

DECAYS_BEFORE_STOP = 3
"""Runs of `patience` validations without improvement that end training; each one also lowers the rate."""

WARMUP_STEPS = 100
"""Updates over which the learning rate rises from 0: AdamW's second moments are noise before."""


def kl_weight(step: int, total: int, start: float, full: float) -> float:
    """w at an update: about 0 up to the fraction `start` of the run, linear to 1 at the fraction `full`."""
    progress = step / total
    if progress >= full:
        return 1.0
    return max(MIN_KL_WEIGHT, (progress - start) / (full - start)) if progress > start else MIN_KL_WEIGHT


@dataclass
class Plateau:
    """Remembers the best validation cost, lowers the rate when it stalls, and says when to stop."""

    patience: int
    decay: float
    best: float = float("inf")
    stale: int = 0
    rate: float = 1.0  # factor on the learning rate

    def update(self, cost: float) -> bool:
        """Take a new cost; True if it is the lowest so far."""
        if cost < self.best:
            self.best, self.stale = cost, 0
            return True
        self.stale += 1
        if self.stale % self.patience == 0:
            self.rate *= self.decay
        return False

    @property
    def exhausted(self) -> bool:
        return self.stale >= DECAYS_BEFORE_STOP * self.patience


class WeightAverage:
    """An exponential average of a model's weights, for scoring and sampling: smoother than any one update's."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.weights = {name: value.detach().clone() for name, value in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the model's present weights; the first updates weigh more, so that the start is soon forgotten."""
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 9))
        parameters = dict(model.named_parameters())
        torch._foreach_lerp_(list(self.weights.values()), [parameters[name] for name in self.weights], 1 - decay)

    def state(self, model: nn.Module) -> dict[str, Tensor]:
        """The model's state with averaged weights: what a checkpoint holds."""
        return {**model.state_dict(), **self.weights}
