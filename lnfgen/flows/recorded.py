"""Couplings in a recorded loop over steps, with their gradients computed for many steps at once.

In the sequential direction a step's value enters the next one's context, so autograd goes back through all layers of
one step after the other: hundreds of calls, each on a few rows. Of that, only the gradient at a step's context has to
wait for later steps, as earlier ones wait for it. Once the loop is done the inputs of all steps are known, so the
slopes that this takes come of one pass over many steps; gradients of the weights and of z come of another one, after
the backward pass has been through those steps.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lnfgen.flows.stacks import CouplingStack, Linearised
from lnfgen.nn.deferred import StandIn

TOGETHER = 1024
"""Rows, a step of a sequence each, whose gradients are taken together."""

Inverse = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""z `[..., D]` and context `[..., C]` -> eps `[..., D]` and log-determinants `[...]`."""


class RecordedInverse:
    """`(t, context) -> inverse(z[:, t], context)`, to be called for one step after the other.

    z `[N, T, D]`, context `[N, C]`. `stack` is the same map for N rows, without gradients; `parameters` are those of
    `inverse`. Gradients of gradients are refused. Limit: after a backward pass that asks for the contexts' gradients
    alone, one of the same graph has to come through the same steps at least: it overwrites what that one has kept.
    """

    def __init__(self, inverse: Inverse, stack: CouplingStack, parameters: Iterable[Tensor], z: Tensor) -> None:
        self._inverse, self._stack, self._z = inverse, stack, z
        self._parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self._length = max(1, TOGETHER // len(z))
        self._end = 0
        self._root: Tensor
        self._steps: _Steps

    def __call__(self, t: int, context: Tensor) -> tuple[Tensor, Tensor]:
        if t >= self._end:
            self._end = t + self._length
            z = self._z[:, t : self._end].transpose(0, 1)
            self._steps = _Steps(self._inverse, self._stack, self._parameters, z.detach().contiguous())
            self._root = StandIn.apply(self._steps.finish, z, *self._parameters)
        return _Step.apply(context, self._root, self._steps)


class _Steps:
    """Some steps in a row: z `[T, N, D]`, and what becomes known of them by and by."""

    def __init__(self, inverse: Inverse, stack: CouplingStack, parameters: list[Tensor], z: Tensor) -> None:
        self._inverse, self._stack, self._parameters, self._z = inverse, stack, parameters, z
        self._given = z.unbind()
        self._contexts: list[Tensor] = []
        self._linearised: Linearised | None = None
        self._gradients: dict[int, tuple[Tensor, Tensor]] = {}  # at what each step gave

    def take(self, context: Tensor) -> tuple[int, tuple[Tensor, Tensor]]:
        """Which step the next one is, and its eps and log-determinants."""
        step, given = len(self._contexts), self._given[len(self._contexts)]
        self._contexts.append(context.to(given.dtype))
        with torch.autocast(given.device.type, enabled=False):  # a flow's own arithmetic is in full
            return step, self._stack.inverse(given, self._contexts[-1])

    def pull(self, step: int, eps: Tensor, ladj: Tensor) -> Tensor:
        """The gradient at a step's context, of those at its outputs."""
        if self._linearised is None:
            self._linearised = self._stack.linearised(self._z[: len(self._contexts)], torch.stack(self._contexts))
        self._gradients[step] = eps, ladj
        return self._linearised.pull(step, eps, ladj)

    def finish(self) -> tuple[Tensor, ...]:
        """The gradients of z and of the parameters, after those of all steps that have one."""
        steps, gradients = list(self._gradients), zip(*self._gradients.values(), strict=True)
        self._gradients, self._linearised = {}, None
        z, contexts = self._z[steps].requires_grad_(), torch.stack([self._contexts[step] for step in steps])
        with torch.enable_grad():
            outputs = self._inverse(z, contexts)
        of_steps, *others = torch.autograd.grad(outputs, [z, *self._parameters], [*map(torch.stack, gradients)])
        of_z = torch.zeros_like(self._z)
        of_z[steps] = of_steps
        return of_z, *others


class _Step(torch.autograd.Function):
    """The inverse at the next step."""

    @staticmethod
    def forward(ctx: Any, context: Tensor, root: Tensor, steps: _Steps) -> tuple[Tensor, Tensor]:
        ctx.steps, ctx.dtype = steps, context.dtype
        ctx.step, found = steps.take(context.detach())
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, eps: Tensor, ladj: Tensor) -> tuple[Tensor | None, None, None]:
        return ctx.steps.pull(ctx.step, eps, ladj).to(ctx.dtype), None, None
