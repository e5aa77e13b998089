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
from lnfgen.flows.features import FEATURE_FLOWS
from lnfgen.flows.temporal import TemporalFlow
from lnfgen.nn.backbones import BACKBONES
from lnfgen.transforms import TRANSFORMS

pytestmark = pytest.mark.contract

WITH_CODES = [cell.time for cell in cells(SIZES) if cell.features == "codes"]


def grid() -> list:
    """Each flow with each transform; codes have none, and are tested below.

    A flow knows a transform by its two directions alone, so most pairs can wait.
    """
    points = []
    for cell, transform in itertools.product(cells(SIZES), sorted(TRANSFORMS)):
        if cell.features == "codes":
            continue
        flow = (cell.time, cell.features)
        is_often = transform == "nlsq" or cell.time == "coupling" or flow == ("af", "af")
        marks = [] if is_often else pytest.mark.slow
        point = (*flow, transform)
        points.append(pytest.param(point, marks=marks, id="-".join(point)))
    return points


def test_the_grid_is_what_is_registered():
    assert set(FEATURES) == {*FEATURE_FLOWS, "codes"}
    assert (set(config.BACKBONES), set(config.TRANSFORMS)) == (set(BACKBONES), set(TRANSFORMS))


@pytest.fixture(params=grid())
def point(request: pytest.FixtureRequest) -> tuple[str, str, str]:
    """The ways through time and across the features, and the transform."""
    return request.param


@pytest.fixture
def flow(point: tuple[str, str, str]) -> TemporalFlow:
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
        nudge = 1 + 1e-12 * torch.randn_like(eps)
        nudged, nudged_ladj = flow.forward(eps * nudge, positions, full(positions))
        moved = (nudged - again).abs()
        moved_ladj = (nudged_ladj - ladj_back).abs()
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
    # Its Jacobian is triangular by layers; those of the others are so by steps.
    if point[0] != "coupling":
        blocks = torch.stack([torch.linalg.slogdet(jacobian[t, :, t])[1] for t in range(T)])
        torch.testing.assert_close(ladj[0], blocks, rtol=1e-9, atol=1e-9)


def reads(time: str, t: int, s: int) -> bool:
    """Whether step t of a flow's output may depend on another step s of its input."""
    if time == "none":
        return False
    if time == "coupling":
        return True
    if time == "blocks":
        return s % BLOCK < t % BLOCK
    return s < t


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
    x_before = x.detach().clone()
    positions_before = positions.detach().clone()
    weights_before = copy.deepcopy(flow.state_dict())
    y, ladj = getattr(flow, direction)(x, positions, full(positions))
    (y.sin().sum() + ladj.sin().sum()).backward()
    assert torch.equal(x, x_before)
    assert torch.equal(positions, positions_before)
    for name, value in flow.state_dict().items():
        assert torch.equal(value, weights_before[name]), name
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
    weights = torch.randn(N, T, D, dtype=torch.float64)
    ladj_weights = torch.randn(N, T, dtype=torch.float64)

    def value(at: Tensor) -> Tensor:
        y, ladj = method(at, positions, full(positions))
        return (weights * y).sum() + (ladj_weights * ladj).sum()

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
    x, positions = (each.float() for each in inputs(200))
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
    _, ladj = flow.forward(temperature * noise, positions, full(positions))
    log_p_noise = torch.distributions.Normal(0.0, 1.0).log_prob(noise).sum(-1)
    expected = log_p_noise - ladj - D * math.log(temperature)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def with_padding(x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """x and positions with two steps more, whose content is random."""
    padding = 1e3 * torch.randn(N, 2, D, dtype=torch.float64)
    positions_of_padding = torch.randn(N, 2, F, dtype=torch.float64)
    longer = torch.cat([x, padding], 1)
    return longer, torch.cat([positions, positions_of_padding], 1)


def test_padding_is_not_seen(flow):
    """Neither the content of the padding nor its length changes the real steps."""
    x, positions = inputs()
    for method in (flow.forward, flow.inverse):
        y, ladj = method(x, positions, full(positions))
        padded, padded_ladj = method(*with_padding(x, positions), full(positions))
        torch.testing.assert_close(padded[:, :T], y, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(padded_ladj[:, :T], ladj, rtol=1e-12, atol=1e-12)


# Codes, which have `draw` and `log_prob` alone.


@pytest.mark.parametrize("time", WITH_CODES)
@torch.no_grad()
def test_the_density_of_codes_integrates_to_1_and_their_draws_follow_it(time):
    """Of one step given the others: over a grid, and in cells of it."""
    flow = random_flow(time, "codes", latent_size=2)
    temperature = 0.7
    axis = torch.linspace(-8, 8, 161, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    count = len(points)
    x, positions = inputs(1, features=2)
    z = x.repeat(count, 1, 1)
    z[:, -1] = points  # no other step depends on the last one
    positions = positions.expand(count, -1, -1)
    log_p = flow.log_prob(z, positions, full(positions), temperature)
    others = log_p[:, :-1]
    torch.testing.assert_close(others, others[:1].expand(count, -1), rtol=1e-12, atol=1e-12)
    density = log_p[:, -1].exp().view(161, 161) * (axis[1] - axis[0]) ** 2
    assert float(density.sum()) == pytest.approx(1, abs=1e-3)
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(count, flow.noise_size, generator=generator, dtype=torch.float64)
    context = flow.contexts(z, positions, full(positions))[:, -1]
    drawn = flow.features.draw(noise, context, temperature)
    # 7 * 7 cells of 23 points a side
    cells_of = ((drawn + 8 + 0.05) / 0.1).floor().clamp(0, 160).long() // 23
    found = torch.bincount(cells_of @ torch.tensor([7, 1]), minlength=49).double() / count
    expected = density.view(7, 23, 7, 23).sum((1, 3)).flatten()
    error = (expected * (1 - expected) / count).sqrt()
    assert ((found - expected).abs() <= 4.5 * error + 2e-4).all()


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
        (gradient,) = torch.autograd.grad(log_p[:, t].sum(), z, retain_graph=True)
        is_read = gradient[:, s] != 0
        if s == t or reads(time, t, s):
            assert is_read.all()
        else:
            assert not is_read.any()
    log_p.sin().sum().backward()
    for name, value in [("z", z), ("positions", positions), *flow.named_parameters()]:
        assert torch.isfinite(value.grad).all(), name
        assert (value.grad != 0).any(), name
    step = 1e-6 * torch.randn_like(z)
    with torch.no_grad():
        up = flow.log_prob(z + step, positions, full(positions)).sin().sum()
        down = flow.log_prob(z - step, positions, full(positions)).sin().sum()
    torch.testing.assert_close((z.grad * step).sum(), (up - down) / 2, rtol=1e-5, atol=1e-11)


@pytest.mark.parametrize("time", WITH_CODES)
@torch.no_grad()
def test_codes_do_not_see_padding_and_stay_finite_in_float32(time):
    flow = random_flow(time, "codes")
    z, positions = inputs()
    expected = flow.log_prob(z, positions, full(positions))
    found = flow.log_prob(*with_padding(z, positions), full(positions))[:, :T]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)

    flow = randomise(temporal_flow(time, "codes"), scale=30.0)
    z = z.float()
    positions = positions.float()
    for size in (1.0, 1e6):
        assert torch.isfinite(flow.log_prob(size * z, positions, full(positions))).all()
    noise = torch.randn(N, T, flow.noise_size)
    assert torch.isfinite(flow.draw(positions, full(positions), noise)).all()
