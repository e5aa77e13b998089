"""The affine transform is its formula, within the bound on its scale."""

import pytest
import torch

from lnfgen.transforms.affine import Affine
from lnfgen.transforms.bounds import LOG_SCALE_BOUND

pytestmark = pytest.mark.contract


def test_it_is_a_line():
    parameters = torch.tensor([2.0, 0.0], dtype=torch.float64).expand(3, -1)
    z = torch.tensor([-1.0, 0.0, 4.0], dtype=torch.float64)
    eps, ladj = Affine().inverse(z, parameters)
    assert torch.equal(eps, 2 + z)
    assert torch.equal(ladj, torch.zeros_like(z))


@pytest.mark.parametrize("raw", [-1e30, 1e30])
def test_its_scale_is_bounded(raw):
    _, ladj = Affine().inverse(torch.ones(1), torch.tensor([[0.0, raw]]))
    assert abs(float(ladj)) <= LOG_SCALE_BOUND
