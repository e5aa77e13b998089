"""The steps of a network in a loop over time, and the table that `lnfgen.stepping` fills."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lnfgen.device.drawing import without_onednn


class Steps(Protocol):
    """A network that is run one step after another, for t = 0, 1, 2, ... in order.

    It keeps its state.
    """

    def step(self, t: int, x: Tensor) -> Tensor:
        """The output `[N, hidden]` of step t, where x `[N, F]` is not known before the loop."""

    def reindex(self, rows: Tensor) -> None:
        """Go on with these rows `[N']` of the batch: row i becomes what row `rows[i]` was."""


class PlainSteps:
    """The steps of a causal network whose input is `cat([x, known[:, t]], -1)`, as `Steps`."""

    def __init__(self, network: nn.Module, known: Tensor) -> None:
        self._network = network
        self._known = known
        self._state: Any = None

    def step(self, t: int, x: Tensor) -> Tensor:
        inputs = torch.cat([x, self._known[:, t]], -1)
        output, self._state = self._network(inputs[:, None], self._state)
        return output[:, 0]

    def reindex(self, rows: Tensor) -> None:
        self._known = self._known[rows]
        self._state = reindexed(self._state, rows)


def reindexed(state: Any, rows: Tensor) -> Any:
    """These rows `[B']` of a network's state.

    The state has tensors `[..., B, features]` in lists and tuples, or is None.
    """
    if state is None:
        return None
    if isinstance(state, Tensor):
        return state.index_select(-2, rows)
    return type(state)(reindexed(part, rows) for part in state)


FASTER: dict[type[nn.Module], Callable[[Any, Tensor], Steps]] = {}
"""For a class of networks, the function that makes faster steps of it.

They are for loops without gradients, dropout and autocast.
"""


def steps_of(network: nn.Module, known: Tensor) -> Steps:
    """The steps of a causal network, whose last inputs, `known` `[N, T, G]`, are known before."""
    in_autocast = torch.is_autocast_enabled(known.device.type)
    if torch.is_grad_enabled() or network.training or in_autocast:
        return PlainSteps(network, known)
    steps = FASTER.get(type(network), PlainSteps)
    return steps(network, known)


def looping(x: Tensor) -> AbstractContextManager[None]:
    """A context for a loop over time on x, in which calls on small tensors cost less.

    The values are the same. On a CPU it switches off oneDNN, whose calls cost more than the
    arithmetic of a few rows. It does nothing under autocast, because products in bfloat16 need
    oneDNN.
    """
    in_autocast = torch.is_autocast_enabled("cpu")
    return without_onednn(x.device.type == "cpu" and not in_autocast)
