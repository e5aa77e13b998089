"""How the sequential direction of a flow across time is computed: by a loop over the steps or by Jacobi sweeps."""

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
    """The choice of method. Both methods give the same result up to round-off.

    - `loop` computes one step after another. With gradients, it records every step.
    - `sweeps` computes all steps at once, again and again, until no step moves by more than round-off. It takes at most
      as many sweeps as steps. With gradients, it records one call of the map, and its backward pass uses sweeps too.

    Fresh weights need about 4 sweeps. Trained weights need nearly one per step, so the loop is faster on a CPU.
    """

    method: str = "loop"
    most_sweeps: int = 0
    """The most sweeps that any call of `by_sweeps` has taken."""

    def in_loop(self, step: Callable[[int, Tensor], tuple[Tensor, Tensor]], x: Tensor) -> tuple[Tensor, Tensor]:
        """Call `step(t, y_{t-1}) -> y_t, ladj_t` for each t, with y_{-1} = 0: x and y `[N, T, D]`, ladj `[N, T]`."""
        values, ladjs, value = [], [], torch.zeros_like(x[:, 0])
        with looping(x):
            for t in range(x.shape[1]):
                value, ladj = step(t, value)
                values.append(value)
                ladjs.append(ladj)
        return torch.stack(values, 1), torch.stack(ladjs, 1)

    def by_sweeps(self, update: Update, start: Tensor, mask: Tensor, *, draws: bool) -> tuple[Tensor, Tensor]:
        """The y `[N, T, D]` with `y = update(y)[0]`, and its log-determinants `[N, T]`, by sweeps from `start`.

        Args:
            mask: bool `[N, T]`. Steps where it is False count as settled, whatever they hold.
            draws: whether `update` draws random numbers, as dropout does. Every sweep then draws the same ones.
        """
        replay = replaying(start.device, draws)

        def replayed(value: Tensor) -> tuple[Tensor, Tensor]:
            return replay(lambda: update(value))

        with torch.no_grad():
            solution = sweep(replayed, start, ignored=~mask)
        self.most_sweeps = max(self.most_sweeps, solution.sweeps)
        if not torch.is_grad_enabled():
            return solution.value, solution.log_abs_det_jacobian
        return fixed_point_with_gradient(replayed, solution.value, row_dims=2)
