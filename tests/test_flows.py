"""The contract of flows, for every registered feature flow, transform and flow across time."""

import copy
import dataclasses
import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from lnfgen.config import FEATURES, TIMES, ModelConfig
from lnfgen.flows.features import FEATURE_FLOWS, MaskedAutoregressive, SplitCoupling, build_feature_flow
from lnfgen.flows.temporal import TemporalFlow
from lnfgen.models import build_prior
from lnfgen.transforms import TRANSFORMS

pytestmark = pytest.mark.contract

N, T, D, F = 2, 4, 3, 2
HIDDEN = 6
SIZES = ModelConfig(
    num_flow_layers=2,
    conditioner_size=HIDDEN,
    latent_size=D,
    hidden_size=HIDDEN,
    num_layers=2,
    position_size=F,
    dropout=0.0,
    input_dropout=0.0,
)


def randomise(module: nn.Module, seed: int = 0, scale: float = 0.6) -> nn.Module:
    """Make all weights large, because weights near 0 would hide a missing path."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
    return module


def temporal_flow(time: str, features: str, transform: str, **changes: object) -> TemporalFlow:
    point = dataclasses.replace(SIZES, time=time, features=features, transform=transform, **changes)
    return build_prior(point)


GRID = [
    (time, features, transform)
    for time, features, transform in itertools.product(TIMES, FEATURES, sorted(TRANSFORMS))
    if time != "coupling" or features == "none"
]
# A flow knows a transform by its two directions alone, so most pairs of a flow with another transform can wait.
OFTEN = [point for point in GRID if point[2] == "nlsq" or point[0] == "coupling" or point[:2] == ("af", "af")]
POINTS = [pytest.param(point, marks=[] if point in OFTEN else pytest.mark.slow, id="-".join(point)) for point in GRID]


def test_the_grid_is_what_is_registered():
    assert set(FEATURES) == set(FEATURE_FLOWS)


@pytest.fixture(params=POINTS)
def point(request):
    return request.param


@pytest.fixture
def flow(point):
    torch.manual_seed(0)
    return randomise(temporal_flow(*point)).double().eval()


def inputs(count: int = N, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, T, D, generator=generator, dtype=torch.float64)
    return x, torch.randn(count, T, F, generator=generator, dtype=torch.float64)


def full(positions: Tensor) -> Tensor:
    return torch.full((len(positions),), positions.shape[1])


def test_round_trip(flow):
    """20,000 random features of many sizes. They are compared in eps, where the error is bounded."""
    x, positions = inputs(20_000 // (T * D))
    sizes = torch.tensor([1.0, 1.0, 1e-9, 1e3], dtype=torch.float64)
    eps = x * sizes[torch.arange(len(x)) % 4, None, None]
    with torch.no_grad():
        z, ladj = flow.forward(eps, positions, full(positions))
        again, ladj_back = flow.inverse(z, positions, full(positions))
        assert z.shape == eps.shape
        assert ladj.shape == eps.shape[:-1]
        # Round-off of a layer's sum is relative to its terms, and a step steepens it by at most the two layers' slopes.
        size = 1 + eps.abs().amax((1, 2), keepdim=True)
        assert ((again - eps).abs() <= 1e-8 * size).all()
        torch.testing.assert_close(ladj + ladj_back, torch.zeros_like(ladj), rtol=0, atol=1e-8)


def test_round_trip_from_the_latent(flow):
    z, positions = inputs(1000, seed=2)
    with torch.no_grad():
        eps, ladj = flow.inverse(z, positions, full(positions))
        again, ladj_back = flow.forward(eps, positions, full(positions))
        # Where a layer is flat, its solution is ill-conditioned, and steps pass their errors on: as far as a nudge of
        # 1e-12 in eps moves z, nothing can be asked.
        nudged, nudged_ladj = flow.forward(eps * (1 + 1e-12 * torch.randn_like(eps)), positions, full(positions))
        moved, moved_ladj = (nudged - again).abs(), (nudged_ladj - ladj_back).abs()
        assert ((again - z).abs() <= 1e-5 + moved.amax((1, 2), keepdim=True)).all()
        assert ((ladj + ladj_back).abs() <= 1e-5 + moved_ladj.amax(1, keepdim=True)).all()


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_log_determinant_is_that_of_the_jacobian(flow, direction):
    x, positions = inputs(1)
    method = getattr(flow, direction)
    jacobian = torch.autograd.functional.jacobian(
        lambda e: method(e.reshape(1, T, D), positions, full(positions))[0].flatten(), x.flatten()
    )
    sign, expected = torch.linalg.slogdet(jacobian)
    ladj = method(x, positions, full(positions))[1]
    torch.testing.assert_close(ladj.sum(), expected, rtol=1e-9, atol=1e-9)
    assert abs(float(sign)) == 1


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_zeros_of_the_jacobian_across_time(flow, point, direction):
    x, positions = inputs(1)
    method = getattr(flow, direction)
    jacobian = torch.autograd.functional.jacobian(lambda e: method(e, positions, full(positions))[0], x)[
        0, :, :, 0
    ]  # [T, D, T, D]
    for t, s in itertools.product(range(T), repeat=2):
        block = jacobian[t, :, s]
        if (s > t and point[0] != "coupling") or (point[0] == "none" and s != t):
            assert (block == 0).all(), f"step {t} depends on step {s}"
        else:
            assert (block != 0).any(), f"step {t} ignores step {s}"


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_the_steps_log_determinants_are_their_blocks(flow, point, direction):
    if point[0] == "coupling":
        pytest.skip("its Jacobian is triangular by layers, not by steps")
    x, positions = inputs(1)
    method = getattr(flow, direction)
    jacobian = torch.autograd.functional.jacobian(lambda e: method(e, positions, full(positions))[0], x)[0, :, :, 0]
    blocks = torch.stack([torch.linalg.slogdet(jacobian[t, :, t])[1] for t in range(T)])
    torch.testing.assert_close(method(x, positions, full(positions))[1][0], blocks, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_gradients_reach_every_parameter_and_input_and_nothing_is_mutated(flow, direction):
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


# Under autocast the conditioners run in bfloat16. ---------------------------------------------------------------------

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
@pytest.mark.parametrize("features", sorted(FEATURE_FLOWS))
def test_autocast_keeps_log_determinants_and_gradients(features, transform, scale, device):
    """In the features' own dtype, and finite, however large the networks' weights."""
    flow = randomise(build_feature_flow(features, D, F, HIDDEN, 2, TRANSFORMS[transform]()), scale=scale).to(device)
    x, context = (t.float().to(device).requires_grad_() for t in inputs(50))
    for method in (flow.forward, flow.inverse):
        with torch.autocast(device, torch.bfloat16):
            y, ladj = method(x, context)
        assert y.dtype == ladj.dtype == torch.float32
        wanted = [x, context, *flow.parameters()]
        gradients = torch.autograd.grad((y / (1 + y.detach().abs())).sum() + ladj.sum(), wanted)
        for found in (y, ladj, *gradients):
            assert torch.isfinite(found).all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
@pytest.mark.parametrize("features", sorted(FEATURE_FLOWS))
@torch.no_grad()
def test_autocast_inverts_as_well_as_float32(features, transform, scale, device):
    """A layer's parameters are rounded, but they are the same in both directions.

    In a few rows a feature that MADE reads differs by round-off and bfloat16 rounds it to another value, so the test
    takes the 98 % quantile of the errors.
    """
    flow = randomise(build_feature_flow(features, D, F, HIDDEN, 1, TRANSFORMS[transform]()), scale=scale).to(device)
    eps, context = (t.float().to(device) for t in inputs(250))

    def error(enabled: bool) -> float:
        with torch.autocast(device, torch.bfloat16, enabled=enabled):
            z, ladj = flow.forward(eps, context)
            again, back = flow.inverse(z, context)
        size = 1 + eps.abs().amax(-1)
        worst = torch.maximum((again - eps).abs().amax(-1) / size, (ladj + back).abs())
        return float(worst.flatten().quantile(0.98))

    assert error(True) <= 3 * error(False) + 1e-6


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
def test_coupling_is_triangular(num_features):
    """The kept half passes unchanged, and each moved feature depends on the kept half and itself alone."""
    coupling = randomise(SplitCoupling(num_features, F, HIDDEN, TRANSFORMS["nlsq"]())).double()
    kept = num_features // 2
    x = torch.randn(num_features, dtype=torch.float64)
    context = torch.randn(F, dtype=torch.float64)
    for method in (coupling.forward, coupling.inverse):
        jacobian = torch.autograd.functional.jacobian(lambda e, method=method: method(e, context)[0], x)
        assert torch.equal(jacobian[:kept], torch.eye(num_features, dtype=torch.float64)[:kept])
        moved = jacobian[kept:, kept:]
        assert torch.equal(moved, torch.diag(moved.diagonal()))
        assert (moved.diagonal() > 0).all()
        assert (jacobian[kept:, :kept] != 0).all()  # the gradient that the reference drops


@pytest.mark.parametrize("num_features", [2, 3, 5])
def test_coupling_over_time_moves_half_given_the_other_half_of_every_step(num_features):
    flow = (
        randomise(temporal_flow("coupling", "none", "nlsq", latent_size=num_features, num_flow_layers=1))
        .double()
        .eval()
    )
    layer, kept = flow.layers[0], num_features // 2
    x = torch.randn(1, T, num_features, dtype=torch.float64)
    _, positions = inputs(1)
    identity = torch.eye(T * num_features, dtype=torch.float64).reshape(T, num_features, T, num_features)
    for method in (layer.forward, layer.inverse):
        jacobian = torch.autograd.functional.jacobian(
            lambda e, method=method: method(e, positions, full(positions))[0][0], x
        )[:, :, 0]  # [T, D, T, D]
        assert torch.equal(jacobian[:, :kept], identity[:, :kept])
        moved = jacobian[:, kept:, :, kept:].reshape(T * (num_features - kept), -1)
        assert torch.equal(moved, torch.diag(moved.diagonal()))
        assert (moved.diagonal() > 0).all()
        assert (jacobian[:, kept:, :, :kept] != 0).all()


@pytest.mark.parametrize("num_features", [2, 4, 5])
def test_couplings_over_time_bring_all_features_of_all_steps_together(num_features):
    flow = (
        randomise(temporal_flow("coupling", "none", "affine", latent_size=num_features, num_flow_layers=4))
        .double()
        .eval()
    )
    x = torch.randn(1, T, num_features, dtype=torch.float64)
    _, positions = inputs(1)
    assert flow.solver is None  # nothing sequential
    for method in (flow.forward, flow.inverse):
        jacobian = torch.autograd.functional.jacobian(
            lambda e, method=method: method(e, positions, full(positions))[0][0], x
        )
        assert (jacobian != 0).all()


def masked(num_features: int, transform: str, hidden: int = HIDDEN, scale: float = 0.6) -> MaskedAutoregressive:
    flow = MaskedAutoregressive(num_features, F, hidden, TRANSFORMS[transform]())
    return randomise(flow, scale=scale).double()


@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
@pytest.mark.parametrize("num_features", [1, 2, 5])
def test_masked_autoregressive_is_triangular(num_features, transform):
    """Each feature depends on itself, increasing, and on every one before it; zeros are exact."""
    flow = masked(num_features, transform)
    x = torch.randn(num_features, dtype=torch.float64)
    context = torch.randn(F, dtype=torch.float64)
    for method in (flow.forward, flow.inverse):
        jacobian = torch.autograd.functional.jacobian(lambda e, method=method: method(e, context)[0], x)
        assert torch.equal(jacobian != 0, torch.ones(num_features, num_features, dtype=torch.bool).tril())
        assert (jacobian.diagonal() > 0).all()


@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
@pytest.mark.parametrize(("num_features", "hidden"), [(1, 4), (4, 9), (6, 3)])
def test_masked_autoregressive_forward_is_a_loop_over_features(num_features, hidden, transform):
    """Values and every gradient are those of the definition, one pass of the network a feature."""
    flow = masked(num_features, transform, hidden)
    eps = torch.randn(7, num_features, dtype=torch.float64, requires_grad=True)
    context = torch.randn(7, F, dtype=torch.float64, requires_grad=True)

    def loop() -> tuple[Tensor, Tensor]:
        z, ladjs = torch.zeros_like(eps), []
        for i in range(num_features):
            moved, ladj = flow.transform.forward(eps[:, i], flow.conditioner(z, context)[:, i])
            z = torch.cat([z[:, :i], moved[:, None], z[:, i + 1 :]], -1)
            ladjs.append(ladj)
        return z, torch.stack(ladjs).sum(0)

    def gradients(z: Tensor, ladj: Tensor) -> tuple[Tensor, ...]:
        wanted = [eps, context, *flow.parameters()]
        return torch.autograd.grad(z.sin().sum() + ladj.cos().sum(), wanted)

    expected, found = loop(), flow(eps, context)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradients(*found), gradients(*expected), rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        torch.testing.assert_close(flow(eps, context), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
def test_masked_autoregressive_maps_back_at_the_sizes_of_a_real_model(transform, dtype, tolerance):
    flow = masked(50, transform, hidden=100, scale=0.1).to(dtype)
    generator = torch.Generator().manual_seed(0)
    eps, context = (torch.randn(64, size, generator=generator).to(dtype) for size in (50, F))
    with torch.no_grad():
        z, ladj = flow(eps, context)
        again, ladj_back = flow.inverse(z, context)
    assert float((z - eps).abs().max()) > 1
    torch.testing.assert_close(again, eps, rtol=0, atol=tolerance)
    torch.testing.assert_close(ladj + ladj_back, torch.zeros_like(ladj), rtol=0, atol=tolerance)


def test_every_feature_moves_in_a_stack_of_two():
    flow = randomise(build_feature_flow("scf", 4, F, HIDDEN, 2, TRANSFORMS["affine"]())).double()
    x = torch.randn(4, dtype=torch.float64)
    z, _ = flow(x, torch.zeros(F, dtype=torch.float64))
    assert (z != x).all()


@pytest.mark.parametrize("features", sorted(FEATURE_FLOWS))
@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
def test_density_integrates_to_one(features, transform):
    """exp(log p(z)) sums to 1 over a grid. A wrong log-determinant would change the sum."""
    flow = build_feature_flow(features, 2, F, HIDDEN, 2, TRANSFORMS[transform]())
    flow = randomise(flow, scale=0.3).double()
    axis = torch.linspace(-16, 16, 461, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        eps, ladj = flow.inverse(grid, torch.zeros(len(grid), F, dtype=torch.float64))
    log_p = ladj - 0.5 * (eps**2).sum(-1) - math.log(2 * math.pi)
    assert float(log_p.exp().sum() * (axis[1] - axis[0]) ** 2) == pytest.approx(1, abs=2e-3)
