"""One interface for what a step may recall of the steps before it.

The values of N sequences are `[N, T, F]`. For each step a recall has C copies. A copy is the sum of
the values of some earlier steps, each times its weight, and beside it the weight of no step: these
weights sum to 1, so it is `[F + 1]`. Step t recalls steps before t alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn


class Memory(ABC):
    """What a recall keeps of N sequences that are drawn step by step."""

    @abstractmethod
    def recalled(self) -> Tensor:
        """The copies of the coming step, `[N, C, F + 1]`."""

    @abstractmethod
    def append(self, values: Tensor) -> None:
        """Go on to the next step; the values of this one are `[N, F]`."""

    @abstractmethod
    def take(self, values: Tensor) -> Tensor:
        """Go on through n steps with these values `[N, n, F]`, and give their copies.

        Each step recalls those before it: `[N, n, C, F + 1]`.
        """

    @abstractmethod
    def reindex(self, rows: Tensor) -> None:
        """Go on with these rows `[N']`: row i becomes what row `rows[i]` was."""


class Recall(nn.Module, ABC):
    """A way to recall, for all steps at once, and step by step by a `Memory`."""

    num_copies: int

    def forward(self, values: Tensor) -> Tensor:
        """The copies of all steps: values `[N, T, F]` -> `[N, T, C, F + 1]`."""
        return self.copies_of(values)(0, values.shape[1])

    @abstractmethod
    def copies_of(self, values: Tensor) -> Callable[[int, int], Tensor]:
        """The function `copies(start, stop)` of some steps of values `[N, T, F]`.

        It gives the copies of the steps from `start` to before `stop`, `[N, stop - start, C, F +
        1]`. So those of a long sequence need not be in memory at once.
        """

    @abstractmethod
    def memory(self, silence: Tensor) -> Memory:
        """The memory before the first step, like this silence `[N, F]` in size, type and device."""


class PastValues:
    """The values of all steps so far of N sequences, in a buffer that grows by doubling."""

    FIRST_CAPACITY = 64

    def __init__(self, silence: Tensor) -> None:
        """Before the first step, with values like this silence `[N, F]`."""
        num_sequences, num_values = silence.shape
        self.num_steps = 0
        self._buffer = silence.new_zeros(num_sequences, self.FIRST_CAPACITY, num_values)

    def append(self, values: Tensor) -> None:
        """Add the values `[N, F]` of one step."""
        self.extend(values[:, None])

    def extend(self, values: Tensor) -> None:
        """Add the values `[N, n, F]` of n steps."""
        end = self.num_steps + values.shape[1]
        while end > self._buffer.shape[1]:
            self._buffer = torch.cat([self._buffer, torch.zeros_like(self._buffer)], 1)
        self._buffer[:, self.num_steps : end] = values
        self.num_steps = end

    def last(self, num_steps: int) -> Tensor:
        """The values of so many of the last steps, or of all if there are fewer: `[N, t, F]`."""
        return self._buffer[:, max(0, self.num_steps - num_steps) : self.num_steps]

    def reindex(self, rows: Tensor) -> None:
        self._buffer = self._buffer[rows]
