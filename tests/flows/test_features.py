"""Feature flows: what each kind must keep, at full precision and under autocast."""

import math

import pytest
import torch
from torch import Tensor
from toy_models import randomise

from lnfgen.flows.features import (
    FEATURE_FLOWS,
    MaskedAutoregressive,
    SplitCoupling,
    build_feature_flow,
)
from lnfgen.transforms import TRANSFORMS

pytestmark = pytest.mark.contract

D = 3
F = 2
HIDDEN = 6


def inputs(count: int) -> tuple[Tensor, Tensor]:
    """x `[4 count, D]` and a context `[4 count, F]`."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(4 * count, D, generator=generator)
    return x, torch.randn(4 * count, F, generator=generator)


# Under autocast the conditioners run in bfloat16.

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
@pytest.mark.parametrize("features", sorted(FEATURE_FLOWS))
def test_autocast_keeps_log_determinants_and_gradients(features, transform, scale, device):
    """In the features' own dtype, and finite, however large the networks' weights."""
    flow = build_feature_flow(features, D, F, HIDDEN, 2, TRANSFORMS[transform]())
    flow = randomise(flow, scale=scale).to(device)
    x, context = (t.float().to(device).requires_grad_() for t in inputs(50))
    for method in (flow.forward, flow.inverse):
        with torch.autocast(device, torch.bfloat16):
            y, ladj = method(x, context)
        assert y.dtype == ladj.dtype == torch.float32
        wanted = [x, context, *flow.parameters()]
        scaled = y / (1 + y.detach().abs())
        gradients = torch.autograd.grad(scaled.sum() + ladj.sum(), wanted)
        for found in (y, ladj, *gradients):
            assert torch.isfinite(found).all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
@pytest.mark.parametrize("features", sorted(FEATURE_FLOWS))
@torch.no_grad()
def test_autocast_inverts_as_well_as_float32(features, transform, scale, device):
    """A layer's parameters are rounded, but they are the same in both directions.

    In a few rows a feature that MADE reads differs by round-off and bfloat16 rounds it to another
    value, so the test takes the 98 % quantile of the errors.
    """
    flow = build_feature_flow(features, D, F, HIDDEN, 1, TRANSFORMS[transform]())
    flow = randomise(flow, scale=scale).to(device)
    eps, context = (t.float().to(device) for t in inputs(250))

    def error(enabled: bool) -> float:
        with torch.autocast(device, torch.bfloat16, enabled=enabled):
            z, ladj = flow.forward(eps, context)
            again, back = flow.inverse(z, context)
        size = 1 + eps.abs().amax(-1)
        worst = torch.maximum((again - eps).abs().amax(-1) / size, (ladj + back).abs())
        return float(worst.flatten().quantile(0.98))

    assert error(True) <= 3 * error(False) + 1e-6


@pytest.mark.parametrize("num_features", [2, 3, 5])
def test_coupling_is_triangular(num_features):
    """The kept half passes unchanged; a moved feature depends on the kept half and itself alone."""
    coupling = randomise(SplitCoupling(num_features, F, HIDDEN, TRANSFORMS["nlsq"]())).double()
    kept = num_features // 2
    x = torch.randn(num_features, dtype=torch.float64)
    context = torch.randn(F, dtype=torch.float64)
    for method in (coupling.forward, coupling.inverse):
        jacobian = torch.autograd.functional.jacobian(
            lambda e, method=method: method(e, context)[0], x
        )
        assert torch.equal(jacobian[:kept], torch.eye(num_features, dtype=torch.float64)[:kept])
        moved = jacobian[kept:, kept:]
        assert torch.equal(moved, torch.diag(moved.diagonal()))
        assert (moved.diagonal() > 0).all()
        assert (jacobian[kept:, :kept] != 0).all()  # the gradient that the reference drops


def masked(
    num_features: int, transform: str, hidden: int = HIDDEN, scale: float = 0.6
) -> MaskedAutoregressive:
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
        jacobian = torch.autograd.functional.jacobian(
            lambda e, method=method: method(e, context)[0], x
        )
        expected = torch.ones(num_features, num_features, dtype=torch.bool).tril()
        assert torch.equal(jacobian != 0, expected)
        assert (jacobian.diagonal() > 0).all()


@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
@pytest.mark.parametrize(("num_features", "hidden"), [(1, 4), (4, 9), (6, 3)])
def test_masked_autoregressive_forward_is_a_loop_over_features(num_features, hidden, transform):
    """Values and every gradient are those of the definition, one pass of the network a feature."""
    flow = masked(num_features, transform, hidden)
    eps = torch.randn(7, num_features, dtype=torch.float64, requires_grad=True)
    context = torch.randn(7, F, dtype=torch.float64, requires_grad=True)

    def loop() -> tuple[Tensor, Tensor]:
        z = torch.zeros_like(eps)
        ladjs = []
        for i in range(num_features):
            moved, ladj = flow.transform.forward(eps[:, i], flow.conditioner(z, context)[:, i])
            z = torch.cat([z[:, :i], moved[:, None], z[:, i + 1 :]], -1)
            ladjs.append(ladj)
        return z, torch.stack(ladjs).sum(0)

    def gradients(z: Tensor, ladj: Tensor) -> tuple[Tensor, ...]:
        wanted = [eps, context, *flow.parameters()]
        return torch.autograd.grad(z.sin().sum() + ladj.cos().sum(), wanted)

    expected = loop()
    found = flow(eps, context)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradients(*found), gradients(*expected), rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        torch.testing.assert_close(flow(eps, context), expected, rtol=1e-12, atol=1e-12)


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
    axis = torch.linspace(-16, 16, 361, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        eps, ladj = flow.inverse(grid, torch.zeros(len(grid), F, dtype=torch.float64))
    log_p = ladj - 0.5 * (eps**2).sum(-1) - math.log(2 * math.pi)
    assert float(log_p.exp().sum() * (axis[1] - axis[0]) ** 2) == pytest.approx(1, abs=2e-3)
