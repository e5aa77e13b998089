"""The spline at its knots and beyond them."""

import pytest
import torch
from transform_cases import ULPS, core, non_finite

from lnfgen.transforms.affine import Affine
from lnfgen.transforms.spline import TAIL_BOUND, Spline

pytestmark = pytest.mark.contract


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_spline_at_its_knots(dtype):
    """Either bin's formula gives the value and slope there, and at the neighbours, one ulp away."""
    transform = Spline()
    generator = torch.Generator().manual_seed(6)
    shape = (500, 1, transform.num_parameters)
    parameters = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    parameters[::5] *= 1e3
    parameters[:, :, :2] = 0  # so that the knots are those of the whole
    _, p = core("spline", parameters)
    knots = p.x.squeeze(1)  # [500, 9]
    values = p.y.squeeze(1)
    slopes = p.slopes.squeeze(1)
    assert (knots.diff() > 0).all()
    assert (values.diff() > 0).all()
    parameters = parameters.expand(-1, knots.shape[1], -1)
    eps_of = torch.finfo(dtype).eps
    for z in (knots, torch.nextafter(knots, knots + 1), torch.nextafter(knots, knots - 1)):
        eps, ladj = transform.inverse(z, parameters)
        assert ((eps - values).abs() <= ULPS * eps_of * TAIL_BOUND * (1 + slopes)).all()
        # A slope changes by up to its square over the flattest bin's within an ulp of a knot.
        torch.testing.assert_close(ladj, slopes.log(), rtol=0, atol=1e4 * ULPS * eps_of)
        assert non_finite("spline", "inverse", z, parameters) == 0
    for v in (values, torch.nextafter(values, values + 1), torch.nextafter(values, values - 1)):
        z, _ = transform.forward(v, parameters)
        assert ((z - knots).abs() <= ULPS * eps_of * TAIL_BOUND * (1 + 1 / slopes)).all()
        assert non_finite("spline", "forward", v, parameters) == 0


def test_spline_roots_are_as_near_as_the_round_off_of_z_allows():
    """Nine of ten are: Newton steps refine what the quadratic formula gives."""
    transform = Spline()
    generator = torch.Generator().manual_seed(7)
    shape = (20_000, transform.num_parameters)
    parameters = torch.randn(shape, generator=generator, dtype=torch.float64)
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
    parameters = torch.randn(len(z), Spline.num_parameters, dtype=dtype)
    eps, ladj = Spline().inverse(z, parameters)
    expected, expected_ladj = Affine().inverse(z, parameters[:, :2])
    torch.testing.assert_close(eps, expected)
    torch.testing.assert_close(ladj[1:5], expected_ladj[1:5])
    torch.testing.assert_close(ladj[6:], expected_ladj[6:])
    for direction, x in (("forward", eps), ("inverse", z)):
        assert non_finite("spline", direction, x, parameters) == 0
