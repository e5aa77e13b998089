"""Faster functions for the loops over time of trained models. The program works without this package.

Each module here implements an equation of `nn`, `flows` or `models` again, for one step at a time. Weights are arranged
once for all steps, inputs that are known for all steps enter by one product, and a step makes few calls, because with
small tensors the number of calls decides the time. The tests
check that both implementations agree. Gradients and dropout are not supported. Only `lnfgen.nn.stepper` uses this
package.

Each function in `MAKERS` takes a module and what is known of all steps, and returns `step(t, x)`:

| module | what is known | x | what `step` returns |
|---|---|---|---|
| `CausalLSTM` | inputs `[B, T, G]`, the last G of each step | the others, `[B, F - G]` | the output `[B, hidden]` |
| `AutoregressiveLSTM` | positions `[B, T, G]` | x_{t-1}, or None at t = 0 | the states `[B, hidden]` |
| `FeatureStack` | direction; eps or z `[N, T, D]` | context `[N, C]` | the other of z and eps `[N, D]`, ladj `[N]` |
| `NADEHead` | positions `[B, T, G]`, uniform numbers, temperature | states `[B, H]` | the frame `[B, P]` |
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from lnfgen.flows.features import FeatureStack
from lnfgen.models.lstm import AutoregressiveLSTM
from lnfgen.models.output import NADEHead
from lnfgen.nn.lstm import CausalLSTM
from lnfgen.nn.stepper import Step
from lnfgen.stepping.features import features_stepper
from lnfgen.stepping.lstm import baseline_stepper, lstm_stepper
from lnfgen.stepping.nade import nade_stepper

__all__ = ["MAKERS", "find"]

MAKERS: dict[type[nn.Module], Callable[..., Step | None]] = {
    CausalLSTM: lstm_stepper,
    AutoregressiveLSTM: baseline_stepper,
    FeatureStack: features_stepper,
    NADEHead: nade_stepper,
}


def find(module: nn.Module, *known: Any) -> Step | None:
    """A faster function for the steps of this module, or None if there is none."""
    maker = MAKERS.get(type(module))
    return None if maker is None else maker(module, *known)
