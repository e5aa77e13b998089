"""Solving a causal map step by step: in a loop, or by sweeps over windows of time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lnfgen.flows.fixed_point import Update, sweep, with_implicit_gradient

WINDOW = 32
"""Steps that are swept together. Information travels from step to step, so a whole long piece takes more sweeps than a
window of it; a short window wastes calls on few steps each."""

MAX_SWEEPS = 16
"""Sweeps over a window before the loop takes over what has not settled: by then the loop would have been as fast."""

Step = Callable[[Tensor, Tensor, Any, int, int], tuple[Tensor, Tensor, Any]]
"""`(values, previous, state, start, stop) -> (values, log-determinants, state)`: the map at steps start to stop, given
the last values `[N, stop - start, D]` of those steps, of which none at or after t decides step t; the value `[N, 1, D]`
before them; and the state of the network that runs over time, which it gives back for the step `stop`."""


@dataclass
class Report:
    """What solving took since the report was made."""

    windows: int = 0
    sweeps: int = 0  # over all windows
    most_sweeps: int = 0  # over any window
    looped_steps: int = 0  # steps that did not settle within the sweeps allowed, and were looped over

    def add(self, sweeps: int, looped_steps: int) -> None:
        self.windows += 1
        self.sweeps += sweeps
        self.most_sweeps = max(self.most_sweeps, sweeps)
        self.looped_steps += looped_steps


@dataclass
class Solver:
    """How a sequential direction is computed: `loop`, a step after the other, or `sweeps`.

    Sweeps take windows of `window` steps in turn (Gauss-Seidel) and every step of a window at once (Jacobi), until no
    step moves by more than round-off. What has not settled after `max_sweeps` is done by the loop, and counted in
    `report`, so a result is never short of the solution. Either way the same equations hold to round-off.
    """

    method: str = "sweeps"
    window: int = WINDOW
    max_sweeps: int = MAX_SWEEPS
    report: Report = field(default_factory=Report)

    def solve(self, step: Step, start: Tensor) -> tuple[Tensor, Tensor]:
        """The y `[N, T, D]` with `y = step(y)` and its log-determinants `[N, T]`, from a guess of it.

        With gradients, the loop records every step, and sweeps record one application of `step` to all T steps:
        their backward pass solves the adjoint system by sweeps in turn.
        """
        num_steps = start.shape[1]
        nothing = torch.zeros_like(start[:, :1])
        if self.method == "loop":
            return _loop(step, start, nothing, None, range(num_steps))[:2]
        with torch.no_grad():
            value, ladj = self._windows(step, start, nothing)
        if not torch.is_grad_enabled():
            return value, ladj
        return with_implicit_gradient(lambda y: step(y, nothing, None, 0, num_steps)[:2], value, row_dims=2)

    def solve_in_one(self, update: Update, start: Tensor) -> tuple[Tensor, Tensor]:
        """As `solve`, in one window that is swept until it has settled: for a map that cannot be cut, such as one with
        dropout, whose draws must be those of the whole at every sweep."""
        with torch.no_grad():
            solution = sweep(update, start, vector_steps=True, limit=start.shape[1])
        self.report.add(solution.sweeps, 0)
        if not torch.is_grad_enabled():
            return solution.value, solution.log_abs_det_jacobian
        return with_implicit_gradient(update, solution.value, row_dims=2)

    def _windows(self, step: Step, start: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        state: Any = None
        values, ladjs = [], []
        for begin in range(0, start.shape[1], self.window):
            guess = start[:, begin : begin + self.window]
            value, ladj, state = self._window(step, guess, previous, state, begin)
            values.append(value)
            ladjs.append(ladj)
            previous = value[:, -1:]
        return torch.cat(values, 1), torch.cat(ladjs, 1)

    def _window(
        self, step: Step, guess: Tensor, previous: Tensor, state: Any, begin: int
    ) -> tuple[Tensor, Tensor, Any]:
        size = guess.shape[1]
        after = None

        def update(value: Tensor) -> tuple[Tensor, Tensor]:
            nonlocal after
            moved, ladj, after = step(value, previous, state, begin, begin + size)
            return moved, ladj

        swept = sweep(update, guess, vector_steps=True, limit=min(self.max_sweeps, size))
        settled = int(swept.final.all(0).int().cumprod(0).sum())
        self.report.add(swept.sweeps, size - settled)
        if settled == size:
            return swept.value, swept.log_abs_det_jacobian, after
        if settled > 0:
            known = swept.value[:, :settled]
            state = step(known, previous, state, begin, begin + settled)[2]
            previous = known[:, -1:]
        value, ladj, state = _loop(step, swept.value, previous, state, range(settled, size), begin)
        # What is final in a row stays as it is, so that it does not depend on how other rows fare.
        value = torch.where(swept.final[:, settled:, None], swept.value[:, settled:], value)
        value = torch.cat([swept.value[:, :settled], value], 1)
        return value, torch.cat([swept.log_abs_det_jacobian[:, :settled], ladj], 1), state


def _loop(
    step: Step, guess: Tensor, previous: Tensor, state: Any, steps: range, offset: int = 0
) -> tuple[Tensor, Tensor, Any]:
    values, ladjs = [], []
    for t in steps:
        previous, ladj, state = step(guess[:, t : t + 1], previous, state, offset + t, offset + t + 1)
        values.append(previous)
        ladjs.append(ladj)
    return torch.cat(values, 1), torch.cat(ladjs, 1), state
