"""The base class of transforms: an affine map around a core, with gradients of solved values."""

import pytest
import torch
from torch import Tensor

from lnfgen.transforms.affine import shift_and_log_scale
from lnfgen.transforms.core import CoreTransform

pytestmark = pytest.mark.contract


class Cube(CoreTransform[Tensor]):
    """`eps = a + b (z + c z^3)` with c > 0, solved by bisection."""

    num_parameters = 3

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, log_b = shift_and_log_scale(parameters[..., :2])
        return a, log_b, parameters[..., 2].exp()

    def _value(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        return z + p * z**3, 1 + 3 * p * z**2

    def _solve(self, t: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        assert not torch.is_grad_enabled()
        low = torch.minimum(t, torch.zeros_like(t))
        high = torch.maximum(t, torch.zeros_like(t))
        for _ in range(60):
            middle = (low + high) / 2
            is_above = self._value(middle, p)[0] > t
            low = torch.where(is_above, low, middle)
            high = torch.where(is_above, middle, high)
        return low, self._value(low, p)[1]


def test_forward_undoes_inverse_and_has_its_gradients():
    generator = torch.Generator().manual_seed(0)
    parameters = torch.randn(5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    eps = torch.randn(5, generator=generator, dtype=torch.float64, requires_grad=True)
    z, ladj = Cube().forward(eps, parameters)
    again, back = Cube().inverse(z, parameters)
    torch.testing.assert_close(again, eps, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ladj, -back, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(Cube().forward, (eps, parameters))
