"""NLSq where the cubic's closed form may lose its root or its gradient."""

import math

import pytest
import torch
from transform_cases import ULPS, non_finite, summed_terms

from lnfgen.transforms.nlsq import NLSq

pytestmark = pytest.mark.contract


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nlsq_just_below_the_double_root_and_at_its_centre(dtype):
    u = torch.tensor([math.sqrt(3) * (1 - 1e-6), math.sqrt(3), 1 / math.sqrt(3), 0.0], dtype=dtype)
    for c in (0.0, 20.0, -20.0):  # 20 saturates c: as near to a double root as it gets
        parameters = torch.zeros(4, 5, dtype=dtype)
        parameters[:, 3] = c
        right, _ = NLSq().inverse(u, parameters)
        left, _ = NLSq().inverse(-u, parameters)
        for x in (u, -u, right, left):
            assert non_finite("nlsq", "forward", x, parameters) == 0
            z, _ = NLSq().forward(x, parameters)
            back, _ = NLSq().inverse(z, parameters)
            size = summed_terms("nlsq", z, parameters) + x.abs()
            assert ((back - x).abs() <= ULPS * torch.finfo(dtype).eps * size).all()


def test_nlsq_at_u_equal_to_a():
    parameters = torch.randn(1000, 5)
    assert non_finite("nlsq", "forward", parameters[:, 0], parameters) == 0


def test_nlsq_has_two_modes_at_its_steepest():
    """A normal becomes a density with two modes where c is near its limit."""
    parameters = torch.zeros(2001, 5, dtype=torch.float64)
    parameters[:, 2] = 2.0
    parameters[:, 3] = 3.0
    z = torch.linspace(-4, 4, 2001, dtype=torch.float64)
    eps, ladj = NLSq().inverse(z, parameters)
    density = ladj - 0.5 * eps**2
    rises = (density.diff() > 0).int()
    assert int((rises.diff() == -1).sum()) == 2
