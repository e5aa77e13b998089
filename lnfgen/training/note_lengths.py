"""How long notes of a band are held: those of a bar or more go on as often as in true music.

A model learns from true music. A chord that it has held for four bars by mistake is unlike all that
it has learned from, and so it holds it on. The shares of notes that go on are counted in samples
and in true music, for each part and each case of `lnfgen.models.held_notes`, and the scores of the
model are moved until they agree. That changes the
distribution as little as may be for these shares, as iterative scaling does (J. Darroch and D.
Ratcliff, Annals of Mathematical Statistics 43, 1972).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lnfgen.conventions import ONSET, SOUNDING
from lnfgen.models.held_notes import NUM_CASES, HeldNotes, case_of, steps_held

RATE = 0.3
"""The share of a difference in log-odds by which a score is moved at a time."""

FEW = 50
"""Where a case has been seen so few times, half of its difference counts, and of fewer less."""

FIRST_CASE = 5
"""The case of 16 steps or more, a bar of sixteenths. A sample does not stand still in shorter
notes, and to end them sooner fills all bars with onsets."""


class NoteLengths(NamedTuple):
    """How often notes in each case go on, and how often they were in it, `[R, NUM_CASES]` each.

    A note does not go on where its key is struck anew.
    """

    going_on: Tensor
    times: Tensor

    @classmethod
    def of(cls, sequences: Iterable[np.ndarray]) -> NoteLengths:
        """Those of music of R parts with onsets, each uint8 `[T, R, P]`."""
        counts = [cls._of_one(torch.from_numpy(x)) for x in sequences]
        going_on = torch.stack([each.going_on for each in counts]).sum(0)
        times = torch.stack([each.times for each in counts]).sum(0)
        return cls(going_on, times)

    @classmethod
    def _of_one(cls, x: Tensor) -> NoteLengths:
        num_parts = x.shape[1]
        silence = torch.zeros(1, *x.shape[1:], dtype=torch.long)
        case = case_of(steps_held(silence, x[None])[0, :-1])
        is_struck = x[1:] >= ONSET
        goes_on = ((x[1:] & SOUNDING) > 0) & ~is_struck
        part = torch.arange(num_parts)[:, None]
        place = (part * NUM_CASES + case).flatten()
        size = num_parts * NUM_CASES
        times = torch.bincount(place, minlength=size)
        going_on = torch.bincount(place, weights=goes_on.flatten().double(), minlength=size)
        shape = (num_parts, NUM_CASES)
        return cls(going_on.view(shape), times.double().view(shape))

    def log_odds(self) -> Tensor:
        """Those that a note goes on, `[R, NUM_CASES]`: finite where it always or never does."""
        return torch.log((self.going_on + 0.5) / (self.times - self.going_on + 0.5))

    def towards(self, wanted: NoteLengths) -> Tensor:
        """How far the scores of a model that drew these are to move at a time, `[R, NUM_CASES]`.

        Those of cases before `FIRST_CASE` stay.
        """
        seen = torch.minimum(self.times, wanted.times)
        moved = RATE * seen / (seen + FEW) * (wanted.log_odds() - self.log_odds())
        moved[:, :FIRST_CASE] = 0
        return moved


def held_notes(model: nn.Module) -> list[HeldNotes]:
    """The tables of a model that are moved; it has one if it makes songs of a band."""
    return [module for module in model.modules() if isinstance(module, HeldNotes)]
