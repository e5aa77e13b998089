"""The one door from the plain program to `lnfgen.stepping`, which has faster steps for its loops over time.

The plain program is complete without that package. It writes each step of a loop as its equation says, and asks here
whether there is a faster function with the same values. Set the environment variable LNFGEN_STEPPING to `off`, and
every loop runs as it is written.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

Step = Callable[[int, Any], Any]
"""`step(t, x)`: what a module gives at step t for the input x. The steps t = 0, 1, 2, ... are called in turn, so it may
keep a state."""

is_open = os.environ.get("LNFGEN_STEPPING", "on") != "off"


def stepper(plain: Step, module: nn.Module, *known: Any) -> Step:
    """`plain`, or a faster function with the same values to round-off.

    Args:
        plain: a step of the loop as its equation says.
        module: what the step calls; its class decides whether there is a faster function.
        known: what is known of all steps before the loop begins, as that function takes it (see `lnfgen.stepping`).

    Faster steps have no gradients and no dropout. So where either is wanted, the answer is `plain`, and also under
    autocast, whose casts they do not make.
    """
    wanted = torch.is_grad_enabled() or module.training or torch.is_autocast_enabled(_device_type(module))
    if not is_open or wanted:
        return plain
    from lnfgen import stepping

    return stepping.find(module, *known) or plain


def looping(x: Tensor) -> AbstractContextManager[None]:
    """A context for a loop over time on x, in which calls on small tensors cost less; the values are the same.

    Not under autocast: bfloat16 is slow on a CPU without what this leaves out.
    """
    if not is_open or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return nullcontext()
    from lnfgen import stepping

    return stepping.without_onednn()


def _device_type(module: nn.Module) -> str:
    return next(module.parameters()).device.type
