"""The sequential direction of a flow across time: step by step in a loop, or all steps at once by sweeps."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lnfgen.flows.fixed_point import Update, fixed_point_with_gradient, sweep
from lnfgen.nn.replay import replaying
from lnfgen.nn.stepper import looping

SOLVERS = ("loop", "sweeps")


@dataclass
class Solver:
    """How a sequential direction is computed. Both methods give the same result to round-off.

    - `loop`: one step after another. With gradients, it records every step.
    - `sweeps`: Jacobi sweeps over all steps at once, until no step moves by more than round-off. There are at most as
      many sweeps as steps, and then the result is exact. With gradients, it records one application of the map, whose
      backward pass solves the adjoint system by sweeps too.

    Fresh weights settle in about 4 sweeps. Trained weights take nearly one a step, so the loop is faster on a CPU.
    """

    method: str = "loop"
    most_sweeps: int = 0
    """The most sweeps that any call of `by_sweeps` has taken."""

    def in_loop(self, step: Callable[[int, Tensor], tuple[Tensor, Tensor]], x: Tensor) -> tuple[Tensor, Tensor]:
        """`step(t, y_{t-1}) -> y_t, ladj_t`, from y_{-1} = 0: y of the shape of x, `[N, T, D]`, and ladj `[N, T]`."""
        values, ladjs, value = [], [], torch.zeros_like(x[:, 0])
        with looping(x):
            for t in range(x.shape[1]):
                value, ladj = step(t, value)
                values.append(value)
                ladjs.append(ladj)
        return torch.stack(values, 1), torch.stack(ladjs, 1)

    def by_sweeps(self, update: Update, start: Tensor, mask: Tensor, *, draws: bool) -> tuple[Tensor, Tensor]:
        """The y `[N, T, D]` with `y = update(y)[0]`, and its log-determinants `[N, T]`, from a first guess of y.

        Args:
            mask: bool `[N, T]`. Steps where it is False count as settled, whatever they hold.
            draws: whether `update` draws random numbers, as dropout does. Every sweep then draws the same ones.
        """
        again = replaying(start.device, draws)

        def replayed(value: Tensor) -> tuple[Tensor, Tensor]:
            return again(lambda: update(value))

        with torch.no_grad():
            solution = sweep(replayed, start, limit=start.shape[1], ignored=~mask)
        self.most_sweeps = max(self.most_sweeps, solution.sweeps)
        if not torch.is_grad_enabled():
            return solution.value, solution.log_abs_det_jacobian
        return fixed_point_with_gradient(replayed, solution.value, row_dims=2)
