"""The contract of every registered transform."""

import pytest
import torch
from transform_cases import ULPS, extreme, non_finite, standard, ulps

from lnfgen.transforms import TRANSFORMS

pytestmark = pytest.mark.contract

CASES = 40_000


@pytest.fixture(params=sorted(TRANSFORMS))
def name(request):
    return request.param


def test_round_trip(name):
    transform = TRANSFORMS[name]()
    v, parameters = extreme(name, CASES, torch.float64)
    u, ladj = transform.forward(v, parameters)
    assert (ulps(name, v, u, parameters) <= ULPS).all()
    _, back = transform.inverse(u, parameters)
    torch.testing.assert_close(ladj + back, torch.zeros_like(ladj), rtol=0, atol=1e-12)


def test_round_trip_from_the_latent(name):
    """The other direction, at sizes where the error in z is bounded."""
    transform = TRANSFORMS[name]()
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(20_000, generator=generator, dtype=torch.float64)
    shape = (20_000, transform.num_parameters)
    parameters = torch.randn(shape, generator=generator, dtype=torch.float64)
    eps, ladj = transform.inverse(z, parameters)
    again, back = transform.forward(eps, parameters)
    torch.testing.assert_close(again, z, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(ladj + back, torch.zeros_like(ladj), rtol=0, atol=1e-9)


def test_monotone(name):
    transform = TRANSFORMS[name]()
    _, parameters = extreme(name, 500, torch.float64)
    u = torch.linspace(-20, 20, 801, dtype=torch.float64)
    parameters = parameters[:, None, :].expand(-1, 801, -1)
    eps, _ = transform.inverse(u.expand(500, -1), parameters)
    slack = 1e-12 * (1 + eps.abs().amax(1, keepdim=True))
    assert (eps.diff(dim=1) > -slack).all()


def test_zero_parameters_are_the_identity(name):
    transform = TRANSFORMS[name]()
    x = torch.randn(1000, dtype=torch.float64)
    zeros = torch.zeros(1000, transform.num_parameters, dtype=torch.float64)
    for method in (transform.forward, transform.inverse):
        y, ladj = method(x, zeros)
        torch.testing.assert_close(y, x, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(ladj, torch.zeros_like(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_log_determinant_is_that_of_autograd(name, direction):
    transform = TRANSFORMS[name]()
    x, parameters = extreme(name, CASES, torch.float64)
    x.requires_grad_()
    y, ladj = getattr(transform, direction)(x, parameters)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert (slope > 0).all()
    torch.testing.assert_close(ladj.detach(), slope.log(), rtol=1e-9, atol=1e-9)


def test_gradients_of_forward_are_those_that_inverse_implies(name):
    """Implicit function theorem: with v = f(u, p), du = (dv - f_p dp) / f_u."""
    transform = TRANSFORMS[name]()
    v, parameters = extreme(name, 20_000, torch.float64, seed=2)
    v = v.clamp(-100, 100)
    parameters = parameters.clamp(-6, 6)
    along_z = torch.randn_like(v)
    along_ladj = torch.randn_like(v)

    eps = v.clone().requires_grad_()
    raw = parameters.clone().requires_grad_()
    z, ladj = transform.forward(eps, raw)
    along = (along_z * z + along_ladj * ladj).sum()
    found_eps, found_parameters = torch.autograd.grad(along, [eps, raw])

    u = z.detach().requires_grad_()
    raw = parameters.clone().requires_grad_()
    value, back = transform.inverse(u, raw)
    slope, by_parameters = torch.autograd.grad(value.sum(), [u, raw], retain_graph=True)
    ladj_by_u, ladj_by_parameters = torch.autograd.grad(
        (-along_ladj * back).sum(), [u, raw], allow_unused=True, materialize_grads=True
    )
    expected_eps = (along_z + ladj_by_u) / slope
    torch.testing.assert_close(found_eps, expected_eps, rtol=1e-6, atol=1e-8)
    by_solution = expected_eps[:, None] * by_parameters
    expected_parameters = ladj_by_parameters - by_solution
    # It is judged beside the two terms whose difference it is.
    size = 1 + ladj_by_parameters.abs() + by_solution.abs()
    assert ((found_parameters - expected_parameters).abs() <= 1e-7 * size).all()


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_nothing_is_mutated_and_every_input_gets_a_gradient(name, direction):
    # A spline gives a gradient to the bins that x is in, so it takes values in all of them.
    torch.manual_seed(0)
    transform = TRANSFORMS[name]()
    x = torch.randn(4, 3, 5, dtype=torch.float64, requires_grad=True)
    shape = (4, 3, 5, transform.num_parameters)
    parameters = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    x_before = x.detach().clone()
    parameters_before = parameters.detach().clone()
    y, ladj = getattr(transform, direction)(x, parameters)
    assert y.shape == ladj.shape == x.shape
    (y.sin().sum() + ladj.sin().sum()).backward()
    assert torch.equal(x, x_before)
    assert torch.equal(parameters, parameters_before)
    assert (x.grad != 0).all()
    reached = parameters.grad != 0
    if name == "spline":  # it is local
        reached = reached.flatten(0, 2).any(0)
    assert reached.all()


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_float32_stays_finite(name, direction):
    for seed in range(2):  # 100,000 cases, in pieces that the processor's cache holds
        assert non_finite(name, direction, *standard(name, 50_000, seed=seed)) == 0


@pytest.mark.slow
def test_float32_stays_finite_in_a_hundred_million_cases(name):
    for seed in range(2000):
        assert non_finite(name, "forward", *standard(name, 50_000, seed=1000 + seed)) == 0


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_float32_stays_finite_at_extremes(name, direction):
    x, parameters = extreme(name, CASES, torch.float32, seed=4)
    assert non_finite(name, direction, x, parameters) == 0
    huge = 1e30 * torch.randn(1000, TRANSFORMS[name].num_parameters)
    y, ladj = getattr(TRANSFORMS[name](), direction)(torch.randn(1000), huge)
    assert torch.isfinite(y).all()
    assert torch.isfinite(ladj).all()


def test_float32_residual_is_round_off(name):
    v, parameters = standard(name, 50_000, seed=100)
    z, _ = TRANSFORMS[name]().forward(v, parameters)
    assert (ulps(name, v, z, parameters) <= ULPS).all()
