"""The contract of elementwise transforms, over whatever is registered; and NLSq where its closed form fails."""

import math

import pytest
import torch
from torch import Tensor

from lnfgen.transforms import TRANSFORMS
from lnfgen.transforms.bounds import LOG_SCALE_BOUND, bounded
from lnfgen.transforms.nlsq import _constrain

pytestmark = pytest.mark.contract

CASES = 100_000
ULPS = 64


@pytest.fixture(params=sorted(TRANSFORMS))
def name(request):
    return request.param


def cases(name: str, count: int, dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points and raw parameters of every size: standard, tiny, huge, and saturated in either direction."""
    generator = torch.Generator().manual_seed(seed)
    num = TRANSFORMS[name].num_parameters

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    scales = torch.tensor([1.0, 1.0, 1e-6, 5.0, 1e3], dtype=torch.float64)
    parameters = normal(count, num) * scales[torch.randint(5, (count, num), generator=generator)]
    parameters[::7] = parameters[::7].sign() * 1e3
    sizes = torch.tensor([1.0, 1.0, 1e-12, 30.0, 1e6], dtype=torch.float64)
    points = normal(count) * sizes[torch.randint(5, (count,), generator=generator)]
    points[::11] = 0
    return points.clamp(-1e6, 1e6).to(dtype), parameters.clamp(-1e3, 1e3).to(dtype)


def summed_terms(name: str, u: Tensor, parameters: Tensor) -> Tensor:
    """The sizes of what the closed formula adds up, whose round-off no solution can do without."""
    if name == "affine":
        a, raw_b = parameters.unbind(-1)
        return a.abs() + (bounded(raw_b, LOG_SCALE_BOUND).exp() * u).abs()
    if name == "nlsq":
        p = _constrain(parameters)
        return p.a.abs() + (p.b * u).abs() + (p.c / (1 + (p.d * u + p.g) ** 2)).abs()
    return 1 + u.abs()


def test_round_trip(name):
    transform = TRANSFORMS[name]()
    v, parameters = cases(name, CASES, torch.float64)
    u, ladj = transform.forward(v, parameters)
    again, back = transform.inverse(u, parameters)
    allowed = ULPS * torch.finfo(torch.float64).eps * (summed_terms(name, u, parameters) + v.abs())
    assert ((again - v).abs() <= allowed).all()
    torch.testing.assert_close(ladj + back, torch.zeros_like(ladj), rtol=0, atol=1e-12)


def test_round_trip_from_the_latent(name):
    """The other way about, at sizes where the error in u itself is bounded."""
    transform = TRANSFORMS[name]()
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(20_000, generator=generator, dtype=torch.float64)
    parameters = torch.randn(20_000, transform.num_parameters, generator=generator, dtype=torch.float64)
    eps, ladj = transform.inverse(z, parameters)
    again, back = transform.forward(eps, parameters)
    torch.testing.assert_close(again, z, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(ladj + back, torch.zeros_like(ladj), rtol=0, atol=1e-9)


def test_monotone(name):
    transform = TRANSFORMS[name]()
    _, parameters = cases(name, 500, torch.float64)
    u = torch.linspace(-20, 20, 801, dtype=torch.float64)
    eps, _ = transform.inverse(u.expand(500, -1), parameters[:, None, :].expand(-1, 801, -1))
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
    x, parameters = cases(name, CASES, torch.float64)
    x.requires_grad_()
    y, ladj = getattr(transform, direction)(x, parameters)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert (slope > 0).all()
    torch.testing.assert_close(ladj.detach(), slope.log(), rtol=1e-9, atol=1e-9)


def test_gradients_of_forward_are_those_that_inverse_implies(name):
    """Implicit function theorem: with v = f(u, p), du = (dv - f_p dp) / f_u."""
    transform = TRANSFORMS[name]()
    v, parameters = cases(name, 20_000, torch.float64, seed=2)
    v, parameters = v.clamp(-100, 100), parameters.clamp(-6, 6)
    along_z, along_ladj = torch.randn_like(v), torch.randn_like(v)

    eps, raw = v.clone().requires_grad_(), parameters.clone().requires_grad_()
    z, ladj = transform.forward(eps, raw)
    found = torch.autograd.grad((along_z * z + along_ladj * ladj).sum(), [eps, raw])

    u, raw = z.detach().requires_grad_(), parameters.clone().requires_grad_()
    value, back = transform.inverse(u, raw)
    slope, by_parameters = torch.autograd.grad(value.sum(), [u, raw], retain_graph=True)
    ladj_by_u, ladj_by_parameters = torch.autograd.grad(
        (-along_ladj * back).sum(), [u, raw], allow_unused=True, materialize_grads=True
    )
    total = along_z + ladj_by_u
    expected_parameters = ladj_by_parameters - (total / slope)[:, None] * by_parameters
    torch.testing.assert_close(found[0], total / slope, rtol=1e-6, atol=1e-8)
    # Judged beside the two terms whose difference it is.
    size = 1 + ladj_by_parameters.abs() + ((total / slope)[:, None] * by_parameters).abs()
    assert ((found[1] - expected_parameters).abs() <= 1e-7 * size).all()


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_nothing_is_mutated_and_every_input_gets_a_gradient(name, direction):
    transform = TRANSFORMS[name]()
    x = torch.randn(4, 3, 5, requires_grad=True)
    parameters = torch.randn(4, 3, 5, transform.num_parameters, requires_grad=True)
    before = x.detach().clone(), parameters.detach().clone()
    y, ladj = getattr(transform, direction)(x, parameters)
    assert y.shape == ladj.shape == x.shape
    (y.sin().sum() + ladj.sin().sum()).backward()
    assert torch.equal(x, before[0])
    assert torch.equal(parameters, before[1])
    assert (x.grad != 0).all()
    assert (parameters.grad != 0).all()


def non_finite(name: str, direction: str, x: Tensor, parameters: Tensor) -> int:
    """How many values or gradients of a direction are not finite."""
    x, parameters = x.clone().requires_grad_(), parameters.clone().requires_grad_()
    y, ladj = getattr(TRANSFORMS[name](), direction)(x, parameters)
    grads = torch.autograd.grad(y.sum() + ladj.sum(), [x, parameters])
    return sum(int((~torch.isfinite(t)).sum()) for t in (y, ladj, *grads))


def standard(name: str, count: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, TRANSFORMS[name].num_parameters)
    return torch.randn(count, generator=generator), torch.randn(shape, generator=generator)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_float32_stays_finite(name, direction):
    assert non_finite(name, direction, *standard(name, 1_000_000, seed=3)) == 0


@pytest.mark.slow
def test_float32_stays_finite_in_a_hundred_million_cases(name):
    for seed in range(100):
        assert non_finite(name, "forward", *standard(name, 1_000_000, seed=1000 + seed)) == 0


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_float32_stays_finite_at_extremes(name, direction):
    x, parameters = cases(name, CASES, torch.float32, seed=4)
    assert non_finite(name, direction, x, parameters) == 0
    huge = 1e30 * torch.randn(1000, TRANSFORMS[name].num_parameters)
    y, ladj = getattr(TRANSFORMS[name](), direction)(torch.randn(1000), huge)
    assert torch.isfinite(y).all()
    assert torch.isfinite(ladj).all()


# NLSq where the cubic's closed form loses its root or its gradient. ---------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nlsq_just_below_the_double_root_and_at_its_centre(dtype):
    u = torch.tensor([math.sqrt(3) * (1 - 1e-6), math.sqrt(3), 1 / math.sqrt(3), 0.0], dtype=dtype)
    for c in (0.0, 20.0, -20.0):  # 20 saturates c: as near to a double root as it gets
        parameters = torch.zeros(4, 5, dtype=dtype)
        parameters[:, 3] = c
        for x in (
            u,
            -u,
            TRANSFORMS["nlsq"]().inverse(u, parameters)[0],
            TRANSFORMS["nlsq"]().inverse(-u, parameters)[0],
        ):
            assert non_finite("nlsq", "forward", x, parameters) == 0
            z, _ = TRANSFORMS["nlsq"]().forward(x, parameters)
            back, _ = TRANSFORMS["nlsq"]().inverse(z, parameters)
            allowed = ULPS * torch.finfo(dtype).eps * (summed_terms("nlsq", z, parameters) + x.abs())
            assert ((back - x).abs() <= allowed).all()


def test_nlsq_at_u_equal_to_a():
    parameters = torch.randn(1000, 5)
    assert non_finite("nlsq", "forward", parameters[:, 0], parameters) == 0


def test_nlsq_float32_residual_is_round_off():
    v, parameters = standard("nlsq", 1_000_000, seed=5)
    z, _ = TRANSFORMS["nlsq"]().forward(v, parameters)
    residual = TRANSFORMS["nlsq"]().inverse(z.double(), parameters.double())[0] - v
    allowed = ULPS * torch.finfo(torch.float32).eps * (summed_terms("nlsq", z, parameters) + v.abs())
    assert (residual.abs() <= allowed).all()


def test_nlsq_has_two_modes_at_its_steepest():
    """The point of the transform: pulling a normal through it makes two bumps where c is near its limit."""
    parameters = torch.zeros(2001, 5, dtype=torch.float64)
    parameters[:, 2] = 2.0
    parameters[:, 3] = 3.0
    z = torch.linspace(-4, 4, 2001, dtype=torch.float64)
    eps, ladj = TRANSFORMS["nlsq"]().inverse(z, parameters)
    density = ladj - 0.5 * eps**2
    rises = (density.diff() > 0).int()
    assert int((rises.diff() == -1).sum()) == 2
