"""The contract of flows, for every registered feature flow, transform and flow across time."""

import copy
import itertools
import math
from functools import cache

import pytest
import torch
from torch import Tensor
from toy_flows import (
    BLOCK,
    NUM_CODES,
    SIZES,
    D,
    F,
    N,
    T,
    cells,
    full,
    inputs,
    jacobian_of,
    random_flow,
    temporal_flow,
)
from toy_models import randomise

from lnfgen import config
from lnfgen.config import FEATURES
from lnfgen.flows.codebook import CodeMixture
from lnfgen.flows.features import FEATURE_FLOWS
from lnfgen.nn.backbones import BACKBONES
from lnfgen.transforms import TRANSFORMS

pytestmark = pytest.mark.contract

GRID = [
    (cell.time, cell.features, transform)
    for cell, transform in itertools.product(cells(SIZES), sorted(TRANSFORMS))
    if cell.features != "codes"  # they are tested below
]
WITH_CODES = [cell.time for cell in cells(SIZES) if cell.features == "codes"]
# A flow knows a transform by its two directions alone, so most pairs of a flow with another
# transform can wait.
OFTEN = [
    point
    for point in GRID
    if point[2] == "nlsq" or point[0] == "coupling" or point[:2] == ("af", "af")
]
POINTS = [
    pytest.param(point, marks=[] if point in OFTEN else pytest.mark.slow, id="-".join(point))
    for point in GRID
]


def test_the_grid_is_what_is_registered():
    assert set(FEATURES) == {*FEATURE_FLOWS, "codes"}
    assert (set(config.BACKBONES), set(config.TRANSFORMS)) == (set(BACKBONES), set(TRANSFORMS))


@pytest.fixture(params=POINTS)
def point(request):
    return request.param


@pytest.fixture
def flow(point):
    return random_flow(*point)


@cache
def jacobian_at_inputs(point: tuple[str, str, str], direction: str) -> Tensor:
    """Of `random_flow` at `inputs(1)`, for the tests that look at different parts of it."""
    x, positions = inputs(1)
    return jacobian_of(getattr(random_flow(*point), direction), x, positions)


def test_round_trip(flow):
    """6,000 random features of many sizes. They are compared in eps, where the error is bounded."""
    x, positions = inputs(6000 // (T * D))
    sizes = torch.tensor([1.0, 1.0, 1e-9, 1e3], dtype=torch.float64)
    eps = x * sizes[torch.arange(len(x)) % 4, None, None]
    with torch.no_grad():
        z, ladj = flow.forward(eps, positions, full(positions))
        again, ladj_back = flow.inverse(z, positions, full(positions))
        assert z.shape == eps.shape
        assert ladj.shape == eps.shape[:-1]
        # Round-off of a layer's sum is relative to its terms, and a step steepens it by at most the
        # two layers' slopes.
        size = 1 + eps.abs().amax((1, 2), keepdim=True)
        assert ((again - eps).abs() <= 1e-8 * size).all()
        torch.testing.assert_close(ladj + ladj_back, torch.zeros_like(ladj), rtol=0, atol=1e-8)


def test_round_trip_from_the_latent(flow):
    z, positions = inputs(400, seed=2)
    with torch.no_grad():
        eps, ladj = flow.inverse(z, positions, full(positions))
        again, ladj_back = flow.forward(eps, positions, full(positions))
        # Where a layer is flat, its solution is ill-conditioned, and steps pass their errors on: as
        # far as a nudge of 1e-12 in eps moves z, nothing can be asked.
        nudged, nudged_ladj = flow.forward(
            eps * (1 + 1e-12 * torch.randn_like(eps)), positions, full(positions)
        )
        moved, moved_ladj = (nudged - again).abs(), (nudged_ladj - ladj_back).abs()
        assert ((again - z).abs() <= 1e-5 + moved.amax((1, 2), keepdim=True)).all()
        assert ((ladj + ladj_back).abs() <= 1e-5 + moved_ladj.amax(1, keepdim=True)).all()


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_log_determinant_is_that_of_the_jacobian(flow, point, direction):
    x, positions = inputs(1)
    method = getattr(flow, direction)
    jacobian = jacobian_at_inputs(point, direction)
    sign, expected = torch.linalg.slogdet(jacobian.reshape(T * D, T * D))
    ladj = method(x, positions, full(positions))[1]
    torch.testing.assert_close(ladj.sum(), expected, rtol=1e-9, atol=1e-9)
    assert abs(float(sign)) == 1
    # its Jacobian is triangular by layers; those of the others are so by steps
    if point[0] != "coupling":
        blocks = torch.stack([torch.linalg.slogdet(jacobian[t, :, t])[1] for t in range(T)])
        torch.testing.assert_close(ladj[0], blocks, rtol=1e-9, atol=1e-9)


def reads(time: str, t: int, s: int) -> bool:
    """Whether step t of a flow's output may depend on another step s of its input."""
    return {"none": False, "coupling": True, "blocks": s % BLOCK < t % BLOCK}.get(time, s < t)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_zeros_of_the_jacobian_across_time(point, direction):
    jacobian = jacobian_at_inputs(point, direction)
    for t, s in itertools.product(range(T), repeat=2):
        block = jacobian[t, :, s]
        if s != t and not reads(point[0], t, s):
            assert (block == 0).all(), f"step {t} depends on step {s}"
        else:
            assert (block != 0).any(), f"step {t} ignores step {s}"


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_gradients_reach_every_parameter_and_input_and_nothing_is_mutated(flow, point, direction):
    x, positions = inputs()
    x.requires_grad_()
    positions.requires_grad_()
    before = x.detach().clone(), positions.detach().clone(), copy.deepcopy(flow.state_dict())
    y, ladj = getattr(flow, direction)(x, positions, full(positions))
    (y.sin().sum() + ladj.sin().sum()).backward()
    assert torch.equal(x, before[0])
    assert torch.equal(positions, before[1])
    assert all(torch.equal(value, before[2][name]) for name, value in flow.state_dict().items())
    assert (x.grad != 0).all()
    assert (positions.grad != 0).all()
    for name, parameter in flow.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert (parameter.grad != 0).any(), name


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_gradients_agree_with_differences(flow, direction):
    """The whole chain of layers, steps and context, solved roots included."""
    x, positions = inputs()
    method = getattr(flow, direction)
    weights = torch.randn(N, T, D, dtype=torch.float64), torch.randn(N, T, dtype=torch.float64)

    def value(at: Tensor) -> Tensor:
        y, ladj = method(at, positions, full(positions))
        return (weights[0] * y).sum() + (weights[1] * ladj).sum()

    along = torch.randn_like(x)
    at = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value(at), at)
    step = 1e-6
    with torch.no_grad():
        difference = (value(x + step * along) - value(x - step * along)) / (2 * step)
    torch.testing.assert_close((gradient * along).sum(), difference, rtol=1e-5, atol=1e-5)


def test_fresh_weights_are_near_the_identity(point):
    torch.manual_seed(0)
    flow = temporal_flow(*point).double().eval()
    x, positions = inputs(50)
    with torch.no_grad():
        y, ladj = flow.inverse(x, positions, full(positions))
    assert float((y - x).abs().mean()) < 0.2
    assert float(ladj.abs().mean()) < 0.3


def test_zero_weights_are_the_identity(point):
    flow = temporal_flow(*point).double()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.zero_()
    x, positions = inputs()
    for method in (flow.forward, flow.inverse):
        y, ladj = method(x, positions, full(positions))
        torch.testing.assert_close(y, x, rtol=1e-12, atol=1e-12)  # an even number of reversals
        assert float(ladj.detach().abs().max()) < 1e-12


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_float32_stays_finite_under_extreme_parameters(point, direction):
    flow = randomise(temporal_flow(*point), scale=30.0)
    x, positions = inputs(200)
    x, positions = x.float().requires_grad_(), positions.float()
    y, ladj = getattr(flow, direction)(x, positions, full(positions))
    assert torch.isfinite(y).all()
    assert torch.isfinite(ladj).all()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@torch.no_grad()
def test_draws_have_the_density_that_log_prob_gives(flow, temperature):
    """The noise of a draw is found again from z, and its density with the Jacobian."""
    noise, positions = inputs(50)
    z = flow.draw(positions, full(positions), noise, temperature)
    found = flow.log_prob(z, positions, full(positions), temperature)
    ladj = flow.forward(temperature * noise, positions, full(positions))[1] + D * math.log(
        temperature
    )
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(noise).sum(-1) - ladj
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_padding_is_not_seen(flow):
    """Neither the content of the padding nor its length changes the real steps."""
    x, positions = inputs()
    for method in (flow.forward, flow.inverse):
        y, ladj = method(x, positions, full(positions))
        longer = torch.cat([x, 1e3 * torch.randn(N, 2, D, dtype=torch.float64)], 1)
        longer_positions = torch.cat([positions, torch.randn(N, 2, F, dtype=torch.float64)], 1)
        padded, padded_ladj = method(longer, longer_positions, full(positions))
        torch.testing.assert_close(padded[:, :T], y, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(padded_ladj[:, :T], ladj, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("num_features", [2, 3, 5])
def test_coupling_over_time_moves_half_given_the_other_half_of_every_step(num_features):
    flow = random_flow("coupling", "none", "nlsq", latent_size=num_features, num_flow_layers=1)
    layer, kept = flow.layers[0], num_features // 2
    x = torch.randn(1, T, num_features, dtype=torch.float64)
    _, positions = inputs(1)
    identity = torch.eye(T * num_features, dtype=torch.float64).reshape(
        T, num_features, T, num_features
    )
    for method in (layer.forward, layer.inverse):
        jacobian = jacobian_of(method, x, positions)
        assert torch.equal(jacobian[:, :kept], identity[:, :kept])
        moved = jacobian[:, kept:, :, kept:].reshape(T * (num_features - kept), -1)
        assert torch.equal(moved, torch.diag(moved.diagonal()))
        assert (moved.diagonal() > 0).all()
        assert (jacobian[:, kept:, :, :kept] != 0).all()


@pytest.mark.parametrize("num_features", [2, 4, 5])
def test_couplings_over_time_bring_all_features_of_all_steps_together(num_features):
    flow = random_flow("coupling", "none", "affine", latent_size=num_features, num_flow_layers=4)
    x = torch.randn(1, T, num_features, dtype=torch.float64)
    _, positions = inputs(1)
    for method in (flow.forward, flow.inverse):
        assert (jacobian_of(method, x, positions) != 0).all()


# Codes, which have `draw` and `log_prob` alone.
# -----------------------------------------------------------------------


@pytest.mark.parametrize("time", WITH_CODES)
@torch.no_grad()
def test_the_density_of_codes_integrates_to_1_and_their_draws_follow_it(time):
    """Of one step given the others: over a grid, and in cells of it."""
    flow = random_flow(time, "codes", latent_size=2)
    axis = torch.linspace(-8, 8, 161, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    x, positions = inputs(1, features=2)
    z, positions = x.repeat(len(grid), 1, 1), positions.expand(len(grid), -1, -1)
    z[:, -1] = grid  # no other step depends on the last one
    log_p = flow.log_prob(z, positions, full(positions), temperature := 0.7)
    torch.testing.assert_close(
        log_p[:, :-1], log_p[:1, :-1].expand(len(grid), -1), rtol=1e-12, atol=1e-12
    )
    density = log_p[:, -1].exp().view(161, 161) * (axis[1] - axis[0]) ** 2
    assert float(density.sum()) == pytest.approx(1, abs=1e-3)
    noise = torch.randn(
        len(grid), flow.noise_size, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    drawn = flow.features.draw(
        noise, flow.contexts(z, positions, full(positions))[:, -1], temperature
    )
    # 7 * 7 cells of 23 points a side
    cells_of = ((drawn + 8 + 0.05) / 0.1).floor().clamp(0, 160).long() // 23
    found = torch.bincount(cells_of @ torch.tensor([7, 1]), minlength=49).double() / len(drawn)
    expected = density.view(7, 23, 7, 23).sum((1, 3)).flatten()
    assert (
        (found - expected).abs() <= 4.5 * (expected * (1 - expected) / len(drawn)).sqrt() + 2e-4
    ).all()


@pytest.mark.parametrize("time", WITH_CODES)
@torch.no_grad()
def test_a_step_of_codes_is_drawn_from_the_contexts_that_score_it(time):
    flow = random_flow(time, "codes")
    _, positions = inputs(5)
    noise = torch.randn(5, T, flow.noise_size, dtype=torch.float64)
    z = flow.draw(positions, full(positions), noise, 0.7)
    again = flow.features.draw(noise, flow.contexts(z, positions, full(positions)), 0.7)
    torch.testing.assert_close(again, z, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("time", WITH_CODES)
def test_the_density_of_codes_has_gradients_and_depends_on_the_steps_that_it_may_read(time):
    flow = random_flow(time, "codes")
    z, positions = (x.requires_grad_() for x in inputs())
    log_p = flow.log_prob(z, positions, full(positions))
    for t, s in itertools.product(range(T), repeat=2):
        gradient = torch.autograd.grad(log_p[:, t].sum(), z, retain_graph=True)[0][:, s]
        assert (gradient != 0).all() if s == t or reads(time, t, s) else (gradient == 0).all()
    log_p.sin().sum().backward()
    for name, value in [("z", z), ("positions", positions), *flow.named_parameters()]:
        assert torch.isfinite(value.grad).all(), name
        assert (value.grad != 0).any(), name
    step = 1e-6 * torch.randn_like(z)
    with torch.no_grad():
        up, down = (
            flow.log_prob(z + sign * step, positions, full(positions)).sin().sum()
            for sign in (1, -1)
        )
    torch.testing.assert_close((z.grad * step).sum(), (up - down) / 2, rtol=1e-5, atol=1e-11)


@pytest.mark.parametrize("time", WITH_CODES)
@torch.no_grad()
def test_codes_do_not_see_padding_and_stay_finite_in_float32(time):
    flow = random_flow(time, "codes")
    z, positions = inputs()
    longer = torch.cat([z, 1e3 * torch.randn(N, 2, D, dtype=torch.float64)], 1)
    longer_positions = torch.cat([positions, torch.randn(N, 2, F, dtype=torch.float64)], 1)
    expected = flow.log_prob(z, positions, full(positions))
    found = flow.log_prob(longer, longer_positions, full(positions))[:, :T]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    flow, z, positions = (
        randomise(temporal_flow(time, "codes"), scale=30.0),
        z.float(),
        positions.float(),
    )
    for size in (1.0, 1e6):
        assert torch.isfinite(flow.log_prob(size * z, positions, full(positions))).all()
    noise = torch.randn(N, T, flow.noise_size)
    assert torch.isfinite(flow.draw(positions, full(positions), noise)).all()


@torch.no_grad()
def test_a_temperature_sharpens_the_choice_of_a_code_and_not_its_normal():
    mixture = randomise(CodeMixture(D, NUM_CODES, F, 4), 1.0).double()
    mixture.codebook.means.mul_(50)  # so that z tells its code
    context = torch.randn(1, F, dtype=torch.float64).expand(4000, -1)
    noise = torch.randn(
        4000, D + 1, generator=torch.Generator().manual_seed(3), dtype=torch.float64
    )
    for temperature in (0.3, 1.0, 2.0):
        z = mixture.draw(noise, context, temperature)
        code = mixture.codebook.log_prob(z).argmax(-1)
        expected = torch.softmax(mixture.conditioner(context[0]) / temperature, -1)
        found = torch.bincount(code, minlength=NUM_CODES) / 4000
        assert (
            (found - expected).abs() < 4 * (expected * (1 - expected) / 4000).sqrt() + 1e-3
        ).all()
        own = (z - mixture.codebook.means.t()[code]) * torch.exp(
            -mixture.codebook.log_scales.t()[code]
        )
        torch.testing.assert_close(own, noise[:, :-1], rtol=1e-6, atol=1e-6)
        density = torch.logsumexp(expected.log() + mixture.codebook.log_prob(z), -1)
        torch.testing.assert_close(mixture.log_prob(z, context, temperature), density)
    z = mixture.draw(noise, context, 0.0)
    assert torch.equal(
        z, mixture.codebook.means[:, mixture.conditioner(context[0]).argmax()].expand(4000, -1)
    )
