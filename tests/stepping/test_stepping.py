"""Each fast step equals the plain step, for every model, backbone, transform and dtype."""

import itertools

import pytest
import torch
from torch import Tensor
from toy_flows import inputs, random_flow
from toy_models import MODELS, OFTEN, OUTPUTS, randomise, sample_batch, toy

from lnfgen.flows.features import FEATURE_FLOWS
from lnfgen.nn import stepper
from lnfgen.nn.backbones import BACKBONES
from lnfgen.nn.causal_lstm import CausalLSTM
from lnfgen.nn.scans import CausalConvScan, CausalScan
from lnfgen.nn.stepper import PlainSteps, steps_of
from lnfgen.stepping.recurrent import ConvScanSteps, LSTMSteps
from lnfgen.transforms import TRANSFORMS

pytestmark = pytest.mark.contract

TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-11}
CELLS = [(time, features) for time in ("af", "iaf") for features in sorted(FEATURE_FLOWS)]
ON_CONV_SCAN = ("af-codes/conv-scan", "blocks-codes/conv-scan")
STEPS = {CausalLSTM: LSTMSteps, CausalConvScan: ConvScanSteps}


@pytest.fixture
def plain(monkeypatch):
    """A function that runs another one without fast steps."""

    def run(function, *args):
        with monkeypatch.context() as patch:
            patch.setattr(stepper, "FASTER", {})
            return function(*args)

    return run


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(*pair, marks=[] if pair in OFTEN or pair[0] == "symbols" else pytest.mark.slow)
        for pair in itertools.product(sorted(OUTPUTS), [*MODELS, "iaf-scf/scan", *ON_CONV_SCAN])
        if "codes" not in pair[1] or pair[0] == "symbols"
    ],
)
def test_samples_of_every_model_are_those_of_the_plain_program(name, kind, plain):
    observation, emission = OUTPUTS[kind]
    model = toy(name, observation, emission=emission)
    lengths = [3, 1, 5]

    def draw() -> list[Tensor]:
        generators = [torch.Generator().manual_seed(seed) for seed in range(len(lengths))]
        with torch.inference_mode():
            return sample_batch(model, lengths, generators, 0.9)

    assert all(torch.equal(one, other) for one, other in zip(draw(), plain(draw), strict=True))


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(
    ("transform", "backbone"),
    [
        # A backbone and a transform do not know of one another, so most pairs can wait.
        pytest.param(
            *pair, marks=[] if pair[0] == "nlsq" or pair[1] == "lstm" else pytest.mark.slow
        )
        for pair in itertools.product(sorted(TRANSFORMS), sorted(BACKBONES))
    ],
)
@pytest.mark.parametrize(("time", "features"), CELLS)
@torch.no_grad()
def test_the_sequential_direction_of_every_flow(time, features, transform, backbone, dtype, plain):
    flow = random_flow(time, features, transform, scale=0.4, backbone=backbone).to(dtype)
    x, positions = (part.to(dtype) for part in inputs(3, num_steps=5))
    sequential = flow.inverse if time == "iaf" else flow.forward
    args = x, positions, torch.full((3,), 5)
    tolerance = TOLERANCES[dtype]
    torch.testing.assert_close(
        sequential(*args), plain(sequential, *args), rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("network", STEPS)
@torch.no_grad()
def test_steps_of_a_network_are_its_whole_pass_also_with_other_rows(network, layers):
    made = randomise(network(5, 6, layers, 0.3)).double().eval()
    x, known = torch.randn(3, 9, 3).double(), torch.randn(2, 9, 2).double()
    found, expected = steps_of(made, known), PlainSteps(made, known)
    assert isinstance(found, STEPS[network])
    for t in range(9):
        if t in (3, 6):
            rows = torch.tensor([1, 0, 1] if t == 3 else [2, 0])
            found.keep(rows)
            expected.keep(rows)
        here = x[: 3 if 3 <= t < 6 else 2, t]
        torch.testing.assert_close(
            found.step(t, here), expected.step(t, here), rtol=1e-12, atol=1e-12
        )
    whole, _ = made(torch.cat([x[:2], known], -1))
    again = steps_of(made, known)
    torch.testing.assert_close(torch.stack([again.step(t, x[:2, t]) for t in range(9)], 1), whole)


def test_gradients_dropout_autocast_and_other_modules_are_left_to_the_plain_program():
    network, known = CausalConvScan(5, 6, 2, 0.3), torch.randn(2, 3, 2)
    assert isinstance(steps_of(network.eval(), known), PlainSteps), "gradients are on"
    network.train()
    with torch.no_grad():
        assert isinstance(steps_of(network, known), PlainSteps), "it is in training mode"
        network.eval()
        assert isinstance(steps_of(network, known), ConvScanSteps)
        with torch.autocast("cpu", torch.bfloat16):
            assert isinstance(steps_of(network, known), PlainSteps)
        assert isinstance(steps_of(CausalScan(5, 6, 2, 0.3).eval(), known), PlainSteps)


def test_a_loop_leaves_torch_s_settings_as_they_were():
    before = torch.backends.mkldnn.enabled

    def fails() -> None:
        with stepper.looping(torch.zeros(1)):
            assert not torch.backends.mkldnn.enabled
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert torch.backends.mkldnn.enabled == before
