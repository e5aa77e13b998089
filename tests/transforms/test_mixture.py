"""The mixture's tails, flats and coincident components."""

import pytest
import torch
from torch import Tensor
from transform_cases import ULPS, core, non_finite, summed_terms

from lnfgen.transforms.affine import shift_and_log_scale
from lnfgen.transforms.mixture import Mixture

pytestmark = pytest.mark.contract


def mixture_parameters(
    means: list[float],
    log_scales: list[float],
    logits: list[float],
    affine: tuple[float, float] = (0, 0),
) -> Tensor:
    """Raw parameters in float64, before their bounds; `affine` is a and log b."""
    return torch.tensor([*affine, *logits, *means, *log_scales], dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mixture_tails_are_lines_of_the_broadest_component(dtype):
    parameters = mixture_parameters(
        [-3, 1, 2, 0.5], [-1, 0.7, -0.5, 0], [2, -1, 0, 1], affine=(0.3, -0.4)
    ).to(dtype)
    a, log_b = shift_and_log_scale(parameters[:2])
    _, p = core("mixture", parameters)
    z = torch.tensor([1e2, 1e4, 1e6, 1e8], dtype=dtype)
    z = torch.cat([-z, z])
    parameters = parameters.expand(len(z), -1)
    eps, ladj = Mixture().inverse(z, parameters)
    line = (z - p.means[1]) * p.precisions[1] - z.sign() * p.log_weights[1]
    line = a + log_b.exp() * line
    torch.testing.assert_close(eps, line, rtol=8 * torch.finfo(dtype).eps, atol=0)
    expected = (log_b + p.precisions[1].log()).expand(len(z))
    torch.testing.assert_close(ladj, expected, rtol=0, atol=8 * torch.finfo(dtype).eps)
    again, back = Mixture().forward(eps, parameters)
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
            [mean] * 4, [log_scale] * 4, [3, -2, 0, 1], affine=(0.2, 0.5)
        ).to(dtype)
        a, log_b = shift_and_log_scale(parameters[:2])
        _, p = core("mixture", parameters)
        parameters = parameters.expand(len(z), -1)
        eps, ladj = Mixture().inverse(z, parameters)
        expected = a + log_b.exp() * (z - p.means[0]) * p.precisions[0]
        tolerance = 64 * torch.finfo(dtype).eps
        torch.testing.assert_close(eps, expected, rtol=tolerance, atol=tolerance)
        slope = (log_b + p.precisions[0].log()).expand(len(z))
        torch.testing.assert_close(ladj, slope, rtol=0, atol=tolerance)
        again, _ = Mixture().forward(eps, parameters)
        size = (again.abs() + p.means[0].abs() + 1 / p.precisions[0]) * tolerance
        assert ((again - z).abs() <= size).all()
        assert non_finite("mixture", "forward", eps, parameters) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mixture_between_far_and_narrow_components(dtype):
    """It is the flattest that the bounds allow, where Newton alone would leave at once."""
    parameters = mixture_parameters([-1e3, -1e3, 1e3, 1e3], [-1e3] * 4, [0] * 4).to(dtype)
    z = torch.linspace(-7, 7, 1401, dtype=dtype)
    parameters = parameters.expand(len(z), -1)
    eps, ladj = Mixture().inverse(z, parameters)
    assert float(ladj.min()) < -40
    assert (eps.diff() >= 0).all()
    for direction, x in (("forward", eps), ("inverse", z)):
        assert non_finite("mixture", direction, x, parameters) == 0
    for x in (eps, torch.nextafter(eps, eps + 1), torch.nextafter(eps, eps - 1)):
        found, _ = Mixture().forward(x, parameters)
        back, _ = Mixture().inverse(found, parameters)
        size = summed_terms("mixture", found, parameters) + x.abs()
        assert ((back - x).abs() <= ULPS * torch.finfo(dtype).eps * size).all()
