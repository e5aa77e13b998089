"""Solving a causal map over time: in a loop, or by sweeps over windows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lnfgen.flows.fixed_point import sweep, with_implicit_gradient
from lnfgen.nn.deferred import deferring
from lnfgen.nn.replay import replaying

SOLVERS = ("auto", "sweeps", "loop")

FIRST_WINDOW = 16
"""Steps swept together at first. Information travels from step to step, so longer windows take more sweeps, shorter
ones more calls: a window doubles where three quarters as many sweeps as steps are enough, and halves where more are
needed."""

CALL_ROWS = {"cpu": 4}
"""A sweep's calls cost about as much as the arithmetic of this many rows (a step of a sequence each) of it, beyond what
the loop's cost. It decides when sweeps are no longer worth their while. Measured on two CPU cores at hidden 500 and 200
for windows of 4 to 96: 0 to 21 for one sequence, 3 to 86 for 16. So one sequence alone is tried on a CPU, which with
fresh weights, that settle in 4 sweeps, halves the time of the loop, and with trained ones costs it 3 %."""

CALL_ROWS_ELSEWHERE = 4096
"""The same on a GPU: a guess, not measured. Calls cost more there, and rows next to nothing."""

State = Any
Step = Callable[[Tensor, Tensor, State, int, int], tuple[Tensor, Tensor, State]]
"""`(values, previous, state, start, stop) -> (values, log-determinants, state)`: the map at steps start to stop, given
guesses `[N, stop - start, D]` of the values there, of which those before t alone decide step t; the value `[N, 1, D]`
before them; and the state of the network that runs over time (a list of tuples of tensors, None at the start), which it
gives back for the step `stop`."""

Window = Callable[[Tensor], tuple[Tensor, Tensor, State]]
"""A `Step` but for the values that are guessed."""

Steps = Callable[[State], Callable[[int, Tensor], tuple[Tensor, Tensor]]]
"""From the network's state at a step to `(t, previous) -> (value, log-determinants)`, to be called for that step and
those after it in turn: previous and value `[N, D]`, log-determinants `[N]`."""

FEWEST_SWEEPS = 4
"""What a window takes with fresh weights, and more once trained: where fewer are worth their while, none is tried."""

HOPELESS = 0.1
"""Share of the largest value that a second sweep may move a value by in a window that will settle soon: fresh weights
move it by a hundredth, trained ones by as much as it is."""


@dataclass
class Report:
    """What solving has taken since the report was made."""

    windows: int = 0  # swept over
    sweeps: int = 0  # over all windows
    most_sweeps: int = 0  # over any window
    unsettled: int = 0  # windows left to the loop because they had not settled when it became the cheaper way
    looped_steps: int = 0


@dataclass
class Solver:
    """How a sequential direction is computed; either way the same equations hold to round-off.

    - `loop`: a step after the other.
    - `sweeps`: windows of time in turn (Gauss-Seidel), every step of a window at once (Jacobi), until none moves by
      more than round-off: at most as many sweeps as steps, which is exact.
    - `auto`: sweeps, as long as they are cheaper. A window that has not settled by when the loop would have been done,
      or is far from it after two sweeps, is left to the loop, and so are those after it. `report` counts them: nothing
      short of a solution is returned.

    With gradients, each window records one application of the map, whose backward pass solves the adjoint system by
    sweeps in turn, and the loop records every step: memory does not depend on sweeps.
    """

    method: str = "auto"
    report: Report = field(default_factory=Report)

    def solve(self, step: Step, start: Tensor, mask: Tensor, steps: Steps, *, draws: bool) -> tuple[Tensor, Tensor]:
        """The y `[N, T, D]` with `y = step(y)` and its log-determinants `[N, T]`, from a guess of it.

        `steps` is the same map as the loop takes it, as fast as can be.
        `draws` says whether `step` does, as dropout: every sweep over a window then draws the same.
        Where mask, bool `[N, T]`, is False, nothing is solved for, and nothing there changes what is elsewhere.
        """
        num_rows, num_steps = start.shape[:2]
        previous, state = torch.zeros_like(start[:, :1]), None
        window, begin, looping = FIRST_WINDOW, 0, self.method == "loop"
        values, ladjs = [], []
        while begin < num_steps:
            end = min(begin + window, num_steps)
            allowed = end - begin
            if self.method == "auto":
                allowed = min(allowed, _worthwhile(num_rows, end - begin, start.device))
                looping = looping or (allowed < FEWEST_SWEEPS and allowed < end - begin)
            swept = None
            if not looping:
                at = _at(step, previous, state, begin, end)
                swept = self._sweep(at, start[:, begin:end], mask[:, begin:end], allowed, draws)
                looping = swept is None
            if swept is None:
                end = num_steps
                value, ladj = self._loop(steps(state), previous, begin, end)
            else:
                (value, ladj, state), sweeps = swept
                window = 2 * window if 4 * sweeps <= 3 * window else max(2, window // 2)
            values.append(value)
            ladjs.append(ladj)
            previous, begin = value[:, -1:], end
        return torch.cat(values, 1), torch.cat(ladjs, 1)

    def _sweep(
        self, window: Window, guess: Tensor, mask: Tensor, allowed: int, draws: bool
    ) -> tuple[tuple[Tensor, Tensor, State], int] | None:
        """A window's solution, with the state after it and the sweeps taken; None if it has not settled."""
        after: State = None
        again = replaying(guess.device, draws)  # a window's map is one map

        def update(value: Tensor) -> tuple[Tensor, Tensor]:
            nonlocal after
            moved, ladj, after = again(lambda: window(value))
            return moved, ladj

        with torch.no_grad():
            hopeless = HOPELESS if self.method == "auto" else None
            swept = sweep(update, guess, limit=allowed, ignored=~mask, hopeless=hopeless)
        self.report.windows += 1
        self.report.sweeps += swept.sweeps
        self.report.most_sweeps = max(self.report.most_sweeps, swept.sweeps)
        if not bool(swept.final.all()):
            self.report.unsettled += 1
            again(lambda: None)  # the draws are the loop's now
            return None
        if not torch.is_grad_enabled():
            return (swept.value, swept.log_abs_det_jacobian, after), swept.sweeps

        def whole(value: Tensor) -> tuple[Tensor, ...]:
            moved, ladj = update(value)
            return moved, ladj, *(part for layer in after for part in layer)

        value, ladj, *parts = with_implicit_gradient(whole, swept.value, row_dims=2)
        following = iter(parts)
        state = [tuple(next(following) for _ in layer) for layer in after]
        return (value, ladj, state), swept.sweeps

    def _loop(
        self, step: Callable[[int, Tensor], tuple[Tensor, Tensor]], previous: Tensor, begin: int, end: int
    ) -> tuple[Tensor, Tensor]:
        values, ladjs, value = [], [], previous[:, 0]
        with deferring():  # of what is recorded, if anything is
            for t in range(begin, end):
                value, ladj = step(t, value)
                values.append(value)
                ladjs.append(ladj)
        self.report.looped_steps += end - begin
        return torch.stack(values, 1), torch.stack(ladjs, 1)


def _at(step: Step, previous: Tensor, state: State, begin: int, end: int) -> Window:
    return lambda value: step(value, previous, state, begin, end)


def _worthwhile(num_rows: int, num_steps: int, device: torch.device) -> int:
    """How many sweeps over a window cost about as much as the loop over it."""
    call = CALL_ROWS.get(device.type, CALL_ROWS_ELSEWHERE)
    return round(num_steps * (call + num_rows) / (call + num_rows * num_steps))
