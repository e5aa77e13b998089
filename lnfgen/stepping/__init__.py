"""Faster steps for the loops over time of trained models. The program is complete without this package.

Every module here writes an equation of `nn`, `flows` or `models` a second time, for one step after another: weights are
laid out once for all steps, what is known of all steps enters as one product, and a step makes few calls, because calls
are what small tensors cost. The tests hold each second writing equal to the first. `lnfgen.nn.stepper` is the only door
to this package. Nothing here has gradients or dropout.

Each maker takes a module and what is known of all steps, and gives `step(t, x)`:

| module | what is known | x | what `step` gives |
|---|---|---|---|
| `CausalLSTM` | inputs `[B, T, G]`, the last G of each step | the others, `[B, F - G]` | the output `[B, hidden]` |
| `AutoregressiveLSTM` | positions `[B, T, G]` | the step before, or None | the states `[B, hidden]` |
| `FeatureStack` | direction; eps or z `[N, T, D]` | context `[N, C]` | the other side `[N, D]`, its ladj `[N]` |
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
from lnfgen.stepping.onednn import without_onednn

__all__ = ["MAKERS", "find", "without_onednn"]

MAKERS: dict[type[nn.Module], Callable[..., Step | None]] = {
    CausalLSTM: lstm_stepper,
    AutoregressiveLSTM: baseline_stepper,
    FeatureStack: features_stepper,
    NADEHead: nade_stepper,
}


def find(module: nn.Module, *known: Any) -> Step | None:
    """A faster step of this module, or None where there is none."""
    maker = MAKERS.get(type(module))
    return None if maker is None else maker(module, *known)
