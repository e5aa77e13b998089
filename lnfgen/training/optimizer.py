"""The groups of parameters that the optimizer treats alike."""

from typing import Any

from torch import nn

from lnfgen.flows.codebook import Codebook
from lnfgen.nn.parameter_groups import RATES, parameter_groups

WEIGHT_DECAY = 0.05  # of matrices of weights, by AdamW


def optimizer_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The groups of parameters of the optimizer, by their learning rates and weight decays.

    The scheduled learning rate is multiplied by the `factor` of a group, from `RATES`.

    Only matrices decay, but not those that say where z lies: codes that are drawn to zero lie upon
    each other. What moves faster decays as slowly as the rest.
    """
    places: set[nn.Parameter] = set()
    for module in model.modules():
        if isinstance(module, Codebook):
            places.update(module.parameters())
    groups: list[dict[str, Any]] = []
    for name, parameters in parameter_groups(model).items():
        factor = RATES[name]
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for parameter in parameters:
            if parameter.dim() > 1 and parameter not in places:
                matrices.append(parameter)
            else:
                others.append(parameter)
        for members, decay in ((matrices, weight_decay / factor), (others, 0.0)):
            if members:
                group = {"params": members, "weight_decay": decay, "factor": factor, "name": name}
                groups.append(group)
    return groups
