"""With faster steps the program has the same results, for every model, backbone and dtype."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from toy_flows import inputs, random_flow
from toy_models import MODELS, OFTEN, OUTPUTS, sample_batch, toy

from lnfgen.flows.features import FEATURE_FLOWS
from lnfgen.nn import stepper
from lnfgen.nn.backbones import BACKBONES
from lnfgen.transforms import TRANSFORMS

pytestmark = pytest.mark.contract

TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-11}
CELLS = [(time, features) for time in ("af", "iaf") for features in sorted(FEATURE_FLOWS)]
ON_CONV_SCAN = ("af-codes/conv-scan", "blocks-codes/conv-scan")


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Callable:
    """A function that runs another one without faster steps."""

    def run(function: Callable, *args: object) -> object:
        with monkeypatch.context() as patch:
            patch.setattr(stepper, "FASTER", {})
            return function(*args)

    return run


def outputs_and_models() -> list:
    """Each output with each model that has it; codes are of symbols alone."""
    pairs = []
    for kind in sorted(OUTPUTS):
        for name in [*MODELS, "iaf-scf/scan", *ON_CONV_SCAN]:
            if "codes" in name and kind != "symbols":
                continue
            is_often = kind == "symbols" or (kind, name) in OFTEN
            pairs.append(pytest.param(kind, name, marks=[] if is_often else pytest.mark.slow))
    return pairs


@pytest.mark.parametrize(("kind", "name"), outputs_and_models())
def test_samples_of_every_model_are_those_of_the_plain_program(name, kind, plain):
    observation, emission = OUTPUTS[kind]
    model = toy(name, observation, emission=emission)
    lengths = [3, 1, 5]

    def draw() -> list[Tensor]:
        generators = [torch.Generator().manual_seed(seed) for seed in range(len(lengths))]
        with torch.inference_mode():
            return sample_batch(model, lengths, generators, 0.9)

    for found, expected in zip(draw(), plain(draw), strict=True):
        assert torch.equal(found, expected)


def transforms_and_backbones() -> list:
    """A backbone and a transform do not know of one another, so most pairs can wait."""
    pairs = []
    for transform, backbone in itertools.product(sorted(TRANSFORMS), sorted(BACKBONES)):
        is_often = transform == "nlsq" or backbone == "lstm"
        pairs.append(pytest.param(transform, backbone, marks=[] if is_often else pytest.mark.slow))
    return pairs


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(("transform", "backbone"), transforms_and_backbones())
@pytest.mark.parametrize(("time", "features"), CELLS)
@torch.no_grad()
def test_the_sequential_direction_of_every_flow(  # noqa: PLR0913  (each is parametrised)
    time, features, transform, backbone, dtype, plain
):
    flow = random_flow(time, features, transform, scale=0.4, backbone=backbone).to(dtype)
    x, positions = (part.to(dtype) for part in inputs(3, num_steps=5))
    sequential = flow.inverse if time == "iaf" else flow.forward
    args = (x, positions, torch.full((3,), 5))
    expected = plain(sequential, *args)
    tolerance = TOLERANCES[dtype]
    torch.testing.assert_close(sequential(*args), expected, rtol=tolerance, atol=tolerance)
