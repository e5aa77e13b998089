"""Each fast step equals the plain step, for every model, backbone, transform and dtype."""

import dataclasses
import itertools
from contextlib import nullcontext

import pytest
import torch
from test_causal import directions, randomised
from torch import Tensor, nn
from toy_models import MODELS, OFTEN, OUTPUTS, SIZES, random_x, randomise, toy

from lnfgen.flows.features import FEATURE_FLOWS, FeatureStack, build_feature_flow
from lnfgen.models import build_prior
from lnfgen.models.output import NADEHead
from lnfgen.nn import stepper as door
from lnfgen.nn.backbones import BACKBONES
from lnfgen.nn.lstm import CausalLSTM
from lnfgen.nn.masking import shift
from lnfgen.nn.stepper import stepper
from lnfgen.stepping import MAKERS, find
from lnfgen.stepping.features import MaskedLayers
from lnfgen.transforms import TRANSFORMS

pytestmark = pytest.mark.contract

TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-11}
CELLS = [(time, features) for time in ("af", "iaf") for features in sorted(FEATURE_FLOWS)]


@pytest.fixture(autouse=True)
def open_door(monkeypatch):
    monkeypatch.setattr(door, "enabled", True)


@pytest.fixture
def shut(monkeypatch):
    """A function that runs another one without fast steps."""

    def run(function, *args):
        with monkeypatch.context() as patch:
            patch.setattr(door, "enabled", False)
            return function(*args)

    return run


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(*pair, marks=[] if pair in OFTEN or pair[0] == "symbols" else pytest.mark.slow)
        for pair in itertools.product(sorted(OUTPUTS), [*MODELS, "iaf-scf/scan", "af-af/scan"])
    ],
)
def test_samples_of_every_model_are_those_of_the_plain_program(name, kind, shut):
    observation, emission = OUTPUTS[kind]
    model = toy(name, observation, emission=emission)
    lengths = [3, 1, 5]

    def draw() -> list[Tensor]:
        generators = [torch.Generator().manual_seed(seed) for seed in range(len(lengths))]
        with torch.inference_mode():
            return model.sample_batch(lengths, generators, 0.9)

    found, expected = draw(), shut(draw)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(
    ("transform", "backbone"),
    [
        # A backbone and a transform do not know of one another, so most pairs can wait.
        pytest.param(*pair, marks=[] if pair[0] == "nlsq" or pair[1] == "lstm" else pytest.mark.slow)
        for pair in itertools.product(sorted(TRANSFORMS), sorted(BACKBONES))
    ],
)
@pytest.mark.parametrize(("time", "features"), CELLS)
@torch.no_grad()
def test_the_sequential_direction_of_every_flow(time, features, transform, backbone, dtype, shut):
    flow = randomised(0.4, time=time, features=features, transform=transform, backbone=backbone).to(dtype)
    generator = torch.Generator().manual_seed(1)
    x, positions = (torch.randn(3, 5, size, generator=generator).to(dtype) for size in (4, 2))
    sequential, _ = directions(flow, time)
    args = x, positions, torch.full((3,), 5)
    tolerance = TOLERANCES[dtype]
    torch.testing.assert_close(sequential(*args), shut(sequential, *args), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("layers", [1, 2, 3])
@torch.no_grad()
def test_steps_of_an_lstm_are_its_whole_pass(layers):
    torch.manual_seed(0)
    network = CausalLSTM(5, 6, layers, 0.3).double().eval()
    x, known = torch.randn(2, 7, 3, dtype=torch.float64), torch.randn(2, 7, 2, dtype=torch.float64)
    whole, _ = network(torch.cat([x, known], -1))
    step = find(network, known)
    torch.testing.assert_close(torch.stack([step(t, x[:, t]) for t in range(7)], 1), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("onsets", [False, True])
@torch.no_grad()
def test_steps_of_nade_draw_what_one_call_draws(onsets):
    frames, _ = OUTPUTS["nade-onsets" if onsets else "nade-frames"]
    head = NADEHead(frames, 5, 8, 0.3).double().eval()
    randomise(head)
    context, uniform = torch.randn(20, 9, 5, dtype=torch.float64), frames.uniform(20, 9, torch.Generator()).double()
    step = find(head, context[..., 3:], uniform, 0.8)
    steps = [step(t, context[:, t, :3]) for t in range(9)]
    assert torch.equal(torch.stack(steps, 1), head.sampler(0.8)(context, uniform))


def stack(features: str, transform: str, num_features: int, scale: float, dtype=torch.float64) -> FeatureStack:
    torch.manual_seed(0)
    flow = build_feature_flow(features, num_features, 4, 8, 3, TRANSFORMS[transform]())
    randomise(flow, scale)
    return flow.to(dtype).eval()


@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
@pytest.mark.parametrize("features", sorted(FEATURE_FLOWS))
@pytest.mark.parametrize("num_features", [5, 6])
@torch.no_grad()
def test_a_stack_of_feature_flows_in_both_directions(features, transform, num_features):
    flow = stack(features, transform, num_features, 0.5)
    for rows in (1, 6):
        x, context = torch.randn(rows, 1, num_features).double(), torch.randn(rows, 4).double()
        for direction in ("forward", "inverse"):
            step = find(flow, direction, x)
            assert (step is None) == (features == "none" or (features, direction) == ("af", "inverse"))
            if step is not None:
                expected = getattr(flow, direction)(x[:, 0], context)
                torch.testing.assert_close(step(0, context), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
@torch.no_grad()
def test_masked_layers_solved_together_map_back_where_weights_are_large(transform):
    """Weights larger than a trained model has: it takes more sweeps, and the result is still a solution."""
    flow = stack("af", transform, 6, 1.0)
    eps, context = torch.randn(200, 6).double(), torch.randn(200, 4).double()
    z, ladj = MaskedLayers(list(flow.layers)).forward(eps, context)
    back, back_ladj = flow.inverse(z, context)
    torch.testing.assert_close(back, eps, rtol=0, atol=1e-6)
    torch.testing.assert_close(back_ladj, -ladj, rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_row_solved_together_does_not_depend_on_other_rows_by_one_bit():
    layers = MaskedLayers(list(stack("af", "nlsq", 6, 0.7, torch.float32).layers))
    eps, context = torch.randn(5, 6), torch.randn(5, 4)
    z, ladj = layers.forward(eps, context)
    eps[1] *= 1e4
    changed, changed_ladj = layers.forward(eps, context)
    kept = torch.tensor([0, 2, 3, 4])
    assert torch.equal(z[kept], changed[kept])
    assert torch.equal(ladj[kept], changed_ladj[kept])


def test_gradients_dropout_and_autocast_are_left_to_the_plain_program():
    flow = build_feature_flow("scf", 4, 3, 5, 2, TRANSFORMS["nlsq"]())
    x = torch.randn(2, 3, 4)

    def plain(t: int, context: Tensor) -> tuple[Tensor, Tensor]:
        return flow(x[:, t], context)

    def answers_plain() -> bool:
        return stepper(plain, flow, "forward", x) is plain

    assert answers_plain()
    with torch.no_grad():
        assert answers_plain()
        flow.eval()
        assert not answers_plain()
        with torch.autocast("cpu", torch.bfloat16):
            assert answers_plain()
    assert answers_plain()
    with torch.no_grad():
        assert stepper(plain, nn.Linear(2, 2).eval()) is plain  # has no faster steps


@torch.no_grad()
def test_steps_leave_the_module_as_it_was():
    config = dataclasses.replace(SIZES, time="af", features="af")
    flow = build_prior(config).eval()
    before = {name: value.clone() for name, value in flow.state_dict().items()}
    x = torch.randn(2, 5, config.latent_size)
    flow(x, torch.randn(2, 5, config.position_size), torch.tensor([5, 3]))
    torch.testing.assert_close(flow.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["symbols", "onsets"])
@torch.no_grad()
def test_steps_of_the_baseline_read_the_step_before(kind):
    """The fast step reads a product of the embedding table, the plain LSTM does not."""
    observation, emission = OUTPUTS[kind]
    model = toy("lstm", observation, emission=emission).double()
    x = random_x(observation, 3, 6)
    positions = model.positions(torch.full((3,), 6), 6)
    whole, _ = model.lstm(torch.cat([shift(model.embed(x)), positions], -1))
    step = find(model, positions)
    steps = [step(t, x[:, t - 1] if t else None) for t in range(6)]
    torch.testing.assert_close(torch.stack(steps, 1), whole, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("fails", [False, True])
def test_a_loop_leaves_torch_s_settings_as_they_were(fails):
    before = torch.backends.mkldnn.enabled
    with pytest.raises(KeyboardInterrupt) if fails else nullcontext(), door.looping(torch.zeros(1)):
        assert not torch.backends.mkldnn.enabled
        if fails:
            raise KeyboardInterrupt
    assert torch.backends.mkldnn.enabled == before


def test_every_class_with_faster_steps_is_used_by_some_toy_model():
    classes = {
        type(part)
        for name in MODELS
        for observation, emission in OUTPUTS.values()
        if not (name.endswith("codes") and emission != "categorical")
        for part in toy(name, observation, emission=emission).modules()
    }
    assert set(MAKERS) <= classes
