"""Groups of parameters: each parameter is in exactly one, by what its own module says."""

import pytest
from torch import nn
from toy_models import OUTPUTS, toy

from lnfgen.models.observation import Frames
from lnfgen.nn.parameter_groups import FAST, RATES, SHARPNESS, USUAL, parameter_groups

CASES = [("lstm", "symbols"), ("af-codes", "symbols"), ("blocks-codes", "symbols")]
CASES += [
    ("af-scf", "frames"),
    ("af-scf/scan", "autoregressive-onsets"),
    ("af-scf/scan", "autoregressive-band"),
]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_each_parameter_is_in_exactly_one_group(name, kind):
    observation, emission = OUTPUTS[kind]
    model = toy(name, observation, emission=emission)
    groups = parameter_groups(model)
    assert list(groups) == list(RATES)
    found: list[int] = []
    for parameters in groups.values():
        found += [id(parameter) for parameter in parameters]
    assert sorted(found) == sorted(id(parameter) for parameter in model.parameters())


def names_of(group: str, model: nn.Module) -> set[str]:
    """The last names of the parameters in a group."""
    members = {id(parameter) for parameter in parameter_groups(model)[group]}
    names: set[str] = set()
    for name, parameter in model.named_parameters():
        if id(parameter) in members:
            names.add(name.rpartition(".")[2])
    return names


def test_scores_that_stand_alone_are_fast_and_choices_have_a_sharpness():
    alone = toy("lstm", Frames(3, True), emission="autoregressive")
    assert names_of(FAST, alone) == {"rules", "by_distance"}
    assert names_of(SHARPNESS, alone) == {"sharpness"}
    band = toy("lstm", Frames(3, True, parts=2), emission="autoregressive")
    biases = {"key_bias", "none_of_part"}
    assert names_of(FAST, band) == {"rules", "by_distance", "by_period"} | biases
    assert names_of(SHARPNESS, band) == {"sharpness"}
    for model in (alone, band):
        of_choices = parameter_groups(model)[SHARPNESS]
        assert not any(parameter.requires_grad for parameter in of_choices), "training leaves it"


def test_a_group_is_that_of_the_module_itself_and_not_of_the_modules_in_it():
    outer = nn.Sequential(nn.Linear(2, 2))
    outer.rate_groups = {"weight": FAST}
    assert not parameter_groups(outer)[FAST]
    outer[0].rate_groups = {"weight": FAST}
    assert parameter_groups(outer)[FAST] == [outer[0].weight]
    assert parameter_groups(outer)[USUAL] == [outer[0].bias]
