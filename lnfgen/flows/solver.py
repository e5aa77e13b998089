"""How the sequential direction of a flow across time is computed: by a loop over the steps or by Jacobi sweeps."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lnfgen.flows.fixed_point import Update, solve_triangular

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

    def by_sweeps(self, update: Update, start: Tensor, mask: Tensor, *, draws: bool) -> tuple[Tensor, Tensor]:
        """The y `[N, T, D]` with `y = update(y)[0]`, and its log-determinants `[N, T]`, by sweeps from `start`.

        Args:
            mask: bool `[N, T]`. Steps where it is False count as settled, whatever they hold.
            draws: whether `update` draws random numbers, as dropout does. Every sweep then draws the same ones.
        """
        if draws:
            update = replaying(update, start.device)
        value, ladj, sweeps = solve_triangular(update, start, ignored=~mask)
        self.most_sweeps = max(self.most_sweeps, sweeps)
        return value, ladj


def replaying(update: Update, device: torch.device) -> Update:
    """The same function, but each call draws the same random numbers, so that all compute the same function of y.

    Before each call it sets torch's global generators to their present state, so after all they are as after one.
    """
    cpu_state = torch.get_rng_state()
    gpu_state = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def call(value: Tensor) -> tuple[Tensor, Tensor]:
        torch.set_rng_state(cpu_state)
        if gpu_state is not None:
            torch.cuda.set_rng_state(gpu_state, device)
        return update(value)

    return call
