"""The only place that uses `lnfgen.stepping`, which has faster functions for the loops over time.

The program works without that package. Each loop writes its step as in the equation, and asks `stepper` for a faster
function with the same values. If the environment variable LNFGEN_STEPPING is `off`, every loop runs as it is written.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Step = Callable[[int, Any], Any]
"""`step(t, x)` computes a module's output at step t from the input x. It is called for t = 0, 1, 2, ... in order, so it
may keep a state."""

enabled = os.environ.get("LNFGEN_STEPPING", "on") != "off"


def stepper(plain: Step, module: nn.Module, *known: Any) -> Step:
    """A faster function with the same values up to round-off if there is one, otherwise `plain`.

    Args:
        plain: one step of the loop, written as in the equation.
        module: the module that the step calls. Its class decides whether there is a faster function.
        known: what is known of all steps before the loop begins; `lnfgen.stepping` lists it for each class.

    The faster functions support neither gradients nor dropout nor autocast, so with any of them `plain` is returned.
    """
    if _needs_plain(module):
        return plain
    from lnfgen import stepping

    return stepping.find(module, *known) or plain


@contextmanager
def looping(x: Tensor) -> Iterator[None]:
    """A context for a loop over time on x, in which calls on small tensors cost less. The values are the same.

    On a CPU it switches off oneDNN, which costs too much for each call: without it, GELU of one row of 100 takes 4
    microseconds in place of 25. It does nothing under autocast, because products in bfloat16 need oneDNN.
    """
    if not enabled or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        yield
        return
    settings: Any = torch.backends.mkldnn  # its types do not know that its settings can be assigned
    before, settings.enabled = settings.enabled, False
    try:
        yield
    finally:
        settings.enabled = before


def _needs_plain(module: nn.Module) -> bool:
    device_type = next(module.parameters()).device.type
    return not enabled or torch.is_grad_enabled() or module.training or torch.is_autocast_enabled(device_type)
