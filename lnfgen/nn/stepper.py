"""The steps of a network in a loop over time, and the table of faster ones, which `lnfgen.stepping`
fills."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lnfgen.device import without_onednn


class Steps(Protocol):
    """A network that is run one step after another, for t = 0, 1, 2, ... in order. It keeps its
    state."""

    def step(self, t: int, x: Tensor) -> Tensor:
        """The output `[N, hidden]` of step t from what is not known before the loop."""

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows `[N']` of the batch: row i becomes what row `rows[i]` was."""


class PlainSteps:
    """The steps of a causal network whose input is `cat([x, known[:, t]], -1)`, as `Steps`."""

    def __init__(self, network: nn.Module, known: Tensor) -> None:
        self._network, self._known = network, known
        self._state: Any = None

    def step(self, t: int, x: Tensor) -> Tensor:
        output, self._state = self._network(
            torch.cat([x, self._known[:, t]], -1)[:, None], self._state
        )
        return output[:, 0]

    def keep(self, rows: Tensor) -> None:
        self._known, self._state = self._known[rows], kept(self._state, rows)


def kept(state: Any, rows: Tensor) -> Any:
    """These rows of a network's state: of tensors `[..., B, features]` in lists and tuples, or
    None."""
    if isinstance(state, Tensor):
        return state.index_select(-2, rows)
    return None if state is None else type(state)(kept(part, rows) for part in state)


FASTER: dict[type[nn.Module], Callable[[Any, Tensor], Steps]] = {}
"""For a class of networks, the function that makes faster steps of it, without gradients, dropout
and autocast."""


def steps_of(network: nn.Module, known: Tensor) -> Steps:
    """The steps of a causal network, the last inputs of which are known for all steps: `known` `[N,
    T, G]`."""
    is_plain = (
        torch.is_grad_enabled() or network.training or torch.is_autocast_enabled(known.device.type)
    )
    return (PlainSteps if is_plain else FASTER.get(type(network), PlainSteps))(network, known)


def looping(x: Tensor) -> AbstractContextManager[None]:
    """A context for a loop over time on x, in which calls on small tensors cost less. The values
    are the same.

    On a CPU it switches off oneDNN, whose calls cost more than the arithmetic of a few rows. It
    does nothing under autocast, because products in bfloat16 need oneDNN.
    """
    return without_onednn(x.device.type == "cpu" and not torch.is_autocast_enabled("cpu"))
