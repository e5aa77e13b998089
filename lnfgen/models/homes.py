"""The model of homes p(h): the keys in which the training pieces close."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lnfgen.nn.positions import NUM_HOMES

SMOOTHING = 0.5
"""What is added to the count of each home: a piece in a key that train lacks has a score too."""


class Homes(nn.Module):
    """`p(h)` is the share of the training pieces with home h, smoothed.

    The models of notes are given h: p(x | T, h). A sample draws h, among the homes of train, or has
    the one that is asked for.
    """

    counts: Tensor  # float64 [NUM_HOMES + 1]; the last one is of pieces without a home

    def __init__(self) -> None:
        """Before `fit` all homes are as frequent."""
        super().__init__()
        self.register_buffer("counts", torch.ones(NUM_HOMES + 1, dtype=torch.float64))

    def _apply(self, fn: Any, recurse: bool = True) -> "Homes":
        return self  # these few numbers stay on the CPU, as those of the length model

    @classmethod
    def fit(cls, homes: Tensor) -> "Homes":
        """Fit to the homes `[N]` of the training pieces."""
        fitted = cls()
        fitted.counts.copy_(torch.bincount(homes, minlength=NUM_HOMES + 1))
        return fitted

    def log_prob(self, homes: Tensor) -> Tensor:
        """log p(h) of homes `[...]`, float64 on the CPU."""
        smoothed = self.counts + SMOOTHING
        return (smoothed / smoothed.sum()).log()[homes.cpu()]

    def sample(self, generator: torch.Generator, among: Sequence[int] = ()) -> int:
        """Draw the home of a piece, with a CPU generator; pieces without one are left out.

        If homes are given to choose among, these are as frequent as in train. If train has none of
        them, all are equally likely.
        """
        counts = self.counts[:NUM_HOMES]
        if among:
            is_wanted = torch.zeros_like(counts)
            is_wanted[[*among]] = 1
            counts = counts * is_wanted
            if not counts.any():
                counts = is_wanted
        if not counts.any():
            return NUM_HOMES
        return int(torch.multinomial(counts, 1, generator=generator))
