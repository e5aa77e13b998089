"""Groups of parameters that an optimizer moves at rates of their own."""

from collections.abc import Iterable

from torch import nn

USUAL = "usual"
FAST = "fast"
"""With Adam all weights move alike. A score that stands alone, as that of a rule or of a distance,
has no others to add up with, so it has to move faster."""

SHARPNESS = "sharpness"
"""How sharply a part chooses among its keys (`lnfgen.models.turns.Turn`) and, in a band, what to
copy (`lnfgen.models.mixture.Gate`). Training leaves it as it is; calibration moves it."""

RATES = {USUAL: 1.0, FAST: 10.0, SHARPNESS: 1.0}
"""The factor of the learning rate of each group in training."""


def parameter_groups(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The parameters of a model by their group.

    A module names those of its own parameters that are in another group than `USUAL` in an
    attribute `rate_groups`: from the name of a parameter to that of its group.
    """
    found: dict[str, list[nn.Parameter]] = {name: [] for name in RATES}
    for module in model.modules():
        own = getattr(module, "rate_groups", {})
        for name, parameter in _own_parameters(module):
            found[own.get(name, USUAL)].append(parameter)
    return found


def _own_parameters(module: nn.Module) -> Iterable[tuple[str, nn.Parameter]]:
    """The parameters of a module without those of the modules in it."""
    return module.named_parameters(recurse=False)
