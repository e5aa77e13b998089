"""The contract of every registered transform, and each transform where its formula may lose
digits."""

import math

import pytest
import torch
from torch import Tensor
from transform_cases import core, extreme, non_finite, standard, summed_terms, ulps

from lnfgen.transforms import TRANSFORMS, spline
from lnfgen.transforms.affine import shift_and_log_scale

pytestmark = pytest.mark.contract

CASES = 40_000
ULPS = 64


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
    parameters = torch.randn(
        20_000, transform.num_parameters, generator=generator, dtype=torch.float64
    )
    eps, ladj = transform.inverse(z, parameters)
    again, back = transform.forward(eps, parameters)
    torch.testing.assert_close(again, z, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(ladj + back, torch.zeros_like(ladj), rtol=0, atol=1e-9)


def test_monotone(name):
    transform = TRANSFORMS[name]()
    _, parameters = extreme(name, 500, torch.float64)
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
    # a spline gives a gradient to the bins that x is in, so it takes values in all of them
    torch.manual_seed(0)
    transform = TRANSFORMS[name]()
    x = torch.randn(4, 3, 5, dtype=torch.float64, requires_grad=True)
    parameters = torch.randn(
        4, 3, 5, transform.num_parameters, dtype=torch.float64, requires_grad=True
    )
    before = x.detach().clone(), parameters.detach().clone()
    y, ladj = getattr(transform, direction)(x, parameters)
    assert y.shape == ladj.shape == x.shape
    (y.sin().sum() + ladj.sin().sum()).backward()
    assert torch.equal(x, before[0])
    assert torch.equal(parameters, before[1])
    assert (x.grad != 0).all()
    reached = parameters.grad != 0
    # a spline is local
    assert (reached.flatten(0, 2).any(0) if name == "spline" else reached).all()


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


# NLSq where the cubic's closed form loses its root or its gradient.
# ---------------------------------------------------


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
            allowed = (
                ULPS * torch.finfo(dtype).eps * (summed_terms("nlsq", z, parameters) + x.abs())
            )
            assert ((back - x).abs() <= allowed).all()


def test_nlsq_at_u_equal_to_a():
    parameters = torch.randn(1000, 5)
    assert non_finite("nlsq", "forward", parameters[:, 0], parameters) == 0


def test_nlsq_has_two_modes_at_its_steepest():
    """A normal becomes a density with two modes where c is near its limit."""
    parameters = torch.zeros(2001, 5, dtype=torch.float64)
    parameters[:, 2] = 2.0
    parameters[:, 3] = 3.0
    z = torch.linspace(-4, 4, 2001, dtype=torch.float64)
    eps, ladj = TRANSFORMS["nlsq"]().inverse(z, parameters)
    density = ladj - 0.5 * eps**2
    rises = (density.diff() > 0).int()
    assert int((rises.diff() == -1).sum()) == 2


# The mixture's tails, flats and coincident components.
# ------------------------------------------------------------


def mixture_parameters(
    means: list[float],
    log_scales: list[float],
    logits: list[float],
    dtype: torch.dtype,
    a: float = 0,
    log_b: float = 0,
) -> Tensor:
    """Raw parameters, before their bounds."""
    return torch.tensor([a, log_b, *logits, *means, *log_scales], dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mixture_tails_are_lines_of_the_broadest_component(dtype):
    parameters = mixture_parameters(
        [-3, 1, 2, 0.5], [-1, 0.7, -0.5, 0], [2, -1, 0, 1], dtype, a=0.3, log_b=-0.4
    )
    (a, log_b), (_, p) = shift_and_log_scale(parameters[:2]), core("mixture", parameters)
    z = torch.tensor([1e2, 1e4, 1e6, 1e8], dtype=dtype)
    z = torch.cat([-z, z])
    parameters = parameters.expand(len(z), -1)
    eps, ladj = TRANSFORMS["mixture"]().inverse(z, parameters)
    precision, mean, log_weight = p.precisions[1], p.means[1], p.log_weights[1]
    line = a + log_b.exp() * ((z - mean) * precision - z.sign() * log_weight)
    torch.testing.assert_close(eps, line, rtol=8 * torch.finfo(dtype).eps, atol=0)
    expected = (log_b + precision.log()).expand(len(z))
    torch.testing.assert_close(ladj, expected, rtol=0, atol=8 * torch.finfo(dtype).eps)
    again, back = TRANSFORMS["mixture"]().forward(eps, parameters)
    torch.testing.assert_close(again, z, rtol=32 * torch.finfo(dtype).eps, atol=0)
    torch.testing.assert_close(back, -ladj, rtol=0, atol=8 * torch.finfo(dtype).eps)
    for direction, x in (("forward", eps), ("inverse", z)):
        assert non_finite("mixture", direction, x, parameters) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mixture_of_coincident_components_is_affine(dtype):
    """Then the bracket of the solver has width 0, whatever the weights."""
    z = torch.linspace(-50, 50, 1001, dtype=dtype)
    for mean, log_scale in ((0.0, 0.0), (2.5, -1.5), (-1e3, 1e3), (1e-8, 1e-8)):
        parameters = mixture_parameters(
            [mean] * 4, [log_scale] * 4, [3, -2, 0, 1], dtype, a=0.2, log_b=0.5
        )
        (a, log_b), (_, p) = shift_and_log_scale(parameters[:2]), core("mixture", parameters)
        parameters = parameters.expand(len(z), -1)
        eps, ladj = TRANSFORMS["mixture"]().inverse(z, parameters)
        expected = a + log_b.exp() * (z - p.means[0]) * p.precisions[0]
        tolerance = 64 * torch.finfo(dtype).eps
        torch.testing.assert_close(eps, expected, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(
            ladj, (log_b + p.precisions[0].log()).expand(len(z)), rtol=0, atol=tolerance
        )
        again, _ = TRANSFORMS["mixture"]().forward(eps, parameters)
        size = (again.abs() + p.means[0].abs() + 1 / p.precisions[0]) * tolerance
        assert ((again - z).abs() <= size).all()
        assert non_finite("mixture", "forward", eps, parameters) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mixture_between_far_and_narrow_components(dtype):
    """The flattest that the bounds allow, pairs of components coinciding: Newton alone would leave
    at once."""
    parameters = mixture_parameters([-1e3, -1e3, 1e3, 1e3], [-1e3] * 4, [0] * 4, dtype)
    z = torch.linspace(-7, 7, 1401, dtype=dtype)
    parameters = parameters.expand(len(z), -1)
    eps, ladj = TRANSFORMS["mixture"]().inverse(z, parameters)
    assert float(ladj.min()) < -40
    assert (eps.diff() >= 0).all()
    for direction, x in (("forward", eps), ("inverse", z)):
        assert non_finite("mixture", direction, x, parameters) == 0
    for x in (eps, torch.nextafter(eps, eps + 1), torch.nextafter(eps, eps - 1)):
        found, _ = TRANSFORMS["mixture"]().forward(x, parameters)
        back, _ = TRANSFORMS["mixture"]().inverse(found, parameters)
        allowed = (
            ULPS * torch.finfo(dtype).eps * (summed_terms("mixture", found, parameters) + x.abs())
        )
        assert ((back - x).abs() <= allowed).all()


# The spline at its knots and beyond them.
# -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_spline_at_its_knots(dtype):
    """Either bin's formula gives the knot's value and slope; so do the neighbours of a knot, one
    ulp away."""
    transform = TRANSFORMS["spline"]()
    generator = torch.Generator().manual_seed(6)
    parameters = torch.randn(
        500, 1, transform.num_parameters, generator=generator, dtype=torch.float64
    ).to(dtype)
    parameters[::5] *= 1e3
    parameters[:, :, :2] = 0  # so that the knots are those of the whole
    _, p = core("spline", parameters)
    knots, values, slopes = (t.squeeze(1) for t in (p.x, p.y, p.slopes))  # [500, 9]
    assert (knots.diff() > 0).all()
    assert (values.diff() > 0).all()
    parameters = parameters.expand(-1, knots.shape[1], -1)
    eps_of = torch.finfo(dtype).eps
    for z in (knots, torch.nextafter(knots, knots + 1), torch.nextafter(knots, knots - 1)):
        eps, ladj = transform.inverse(z, parameters)
        assert ((eps - values).abs() <= ULPS * eps_of * spline.TAIL_BOUND * (1 + slopes)).all()
        # A slope changes by up to its square over the flattest bin's within an ulp of a knot.
        torch.testing.assert_close(ladj, slopes.log(), rtol=0, atol=1e4 * ULPS * eps_of)
        assert non_finite("spline", "inverse", z, parameters) == 0
    for v in (values, torch.nextafter(values, values + 1), torch.nextafter(values, values - 1)):
        z, _ = transform.forward(v, parameters)
        assert ((z - knots).abs() <= ULPS * eps_of * spline.TAIL_BOUND * (1 + 1 / slopes)).all()
        assert non_finite("spline", "forward", v, parameters) == 0


def test_spline_roots_are_as_near_as_the_round_off_of_z_allows():
    """Nine of ten are: Newton steps refine what the quadratic formula gives."""
    transform = TRANSFORMS["spline"]()
    generator = torch.Generator().manual_seed(7)
    parameters = torch.randn(
        20_000, transform.num_parameters, generator=generator, dtype=torch.float64
    )
    parameters[:, :2] = 0
    v = 10 * torch.rand(20_000, generator=generator, dtype=torch.float64) - 5
    z, ladj = transform.forward(v, parameters)
    round_off = torch.nextafter(z.abs(), z.abs() + 1) - z.abs()
    error = torch.exp(ladj) * (transform.inverse(z, parameters)[0] - v).abs()  # in z
    assert float((error <= round_off).double().mean()) > 0.9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_spline_tails_are_lines(dtype):
    z = torch.tensor([5.0, 5.1, 1e2, 1e6, 1e30], dtype=dtype)
    z = torch.cat([-z, z])
    parameters = torch.randn(len(z), TRANSFORMS["spline"].num_parameters, dtype=dtype)
    eps, ladj = TRANSFORMS["spline"]().inverse(z, parameters)
    expected, expected_ladj = TRANSFORMS["affine"]().inverse(z, parameters[:, :2])
    torch.testing.assert_close(eps, expected)
    torch.testing.assert_close(ladj[1:5], expected_ladj[1:5])
    torch.testing.assert_close(ladj[6:], expected_ladj[6:])
    for direction, x in (("forward", eps), ("inverse", z)):
        assert non_finite("spline", direction, x, parameters) == 0
