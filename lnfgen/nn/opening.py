"""The start of a piece, as a recall: what goes back to it is like nothing that was just heard."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lnfgen.nn.recall import Memory, Recall

NOT_YET = 1 << 40  # the step at which a sequence begins of which nothing has sounded


class Opening(NamedTuple):
    """The frames that N sequences began with, and when."""

    values: Tensor  # of the first frame that sounds, [N, F]
    step: Tensor  # its step, [N]; NOT_YET where nothing has sounded

    @classmethod
    def of(cls, values: Tensor) -> "Opening":
        """From the values `[N, T, F]` of all frames; a frame without any sounds not."""
        sounds = (values > 0).any(-1)
        first = sounds.to(torch.uint8).argmax(1)
        step = torch.where(sounds.any(1), first, NOT_YET)
        rows = torch.arange(len(values), device=values.device)
        return cls(values[rows, first], step)

    def since(self, steps: Tensor) -> Tensor:
        """How many steps after the start each step `[T]` is, `[N, T]`; at least 0."""
        return (steps - self.step[:, None]).clamp(min=0)

    def recalled(self, steps: Tensor) -> Tensor:
        """The copy of the start at steps `[T]`, `[N, T, 1, F + 1]`: nothing up to the start."""
        known = (steps > self.step[:, None])[..., None].to(self.values)
        return torch.cat([self.values[:, None] * known, 1 - known], -1)[:, :, None]


class OpeningRecall(Recall):
    """Each step recalls the first frame that sounds."""

    num_copies = 1

    def copies_of(self, values: Tensor) -> Callable[[int, int], Tensor]:
        opening = Opening.of(values)

        def copies(start: int, stop: int) -> Tensor:
            return opening.recalled(torch.arange(start, stop, device=values.device))

        return copies

    def since(self, values: Tensor) -> Tensor:
        """How many steps after the start each step is: values `[N, T, F]` -> `[N, T]`."""
        steps = torch.arange(values.shape[1], device=values.device)
        return Opening.of(values).since(steps)

    def memory(self, silence: Tensor) -> "OpeningMemory":
        return OpeningMemory(silence)


class OpeningMemory(Memory):
    """The start of each sequence so far, and the number of steps."""

    def __init__(self, silence: Tensor) -> None:
        self._num_steps = 0
        self._opening = Opening.of(silence[:, None])

    def recalled(self) -> Tensor:
        return self._opening.recalled(self._steps(1))[:, 0]

    def since(self, steps: Tensor) -> Tensor:
        """How many steps after the start each step `[n]` is, `[N, n]`; at least 0."""
        return self._opening.since(steps)

    def append(self, values: Tensor) -> None:
        self._extend(values[:, None])

    def take(self, values: Tensor) -> Tensor:
        steps = self._steps(values.shape[1])
        self._extend(values)
        return self._opening.recalled(steps)

    def reindex(self, rows: Tensor) -> None:
        self._opening = Opening(self._opening.values[rows], self._opening.step[rows])

    def _extend(self, values: Tensor) -> None:
        """Go on through n steps with these values `[N, n, F]`."""
        before = self._opening
        found = Opening.of(values)
        begins = (before.step == NOT_YET) & (found.step != NOT_YET)
        first = torch.where(begins[:, None], found.values, before.values)
        step = torch.where(begins, self._num_steps + found.step, before.step)
        self._opening = Opening(first, step)
        self._num_steps += values.shape[1]

    def _steps(self, count: int) -> Tensor:
        """The numbers of so many coming steps, `[count]`."""
        start = self._num_steps
        return torch.arange(start, start + count, device=self._opening.step.device)
