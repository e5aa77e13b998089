"""The dropout of a CPU."""

import pytest
import torch

from lnfgen.device.replacements import Dropout


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dropout_keeps_a_share_scales_it_and_passes_gradients_there_alone(dtype):
    torch.manual_seed(0)
    x = torch.ones(301, 333, dtype=dtype, requires_grad=True)  # an odd number of them
    dropped = Dropout(0.3)(x)
    kept = dropped != 0
    assert float(kept.double().mean()) == pytest.approx(0.7, abs=0.01)
    expected = torch.full_like(dropped[kept], 1 / 0.7)
    torch.testing.assert_close(dropped[kept], expected, rtol=1e-4, atol=0.01)
    for dim in (0, 1):  # no pattern along either axis
        assert float(kept.double().mean(dim).std()) < 0.035
    (gradient,) = torch.autograd.grad(dropped.sum(), x)
    torch.testing.assert_close(gradient, dropped.detach())
    assert not torch.equal(Dropout(0.3)(x) != 0, kept)
    torch.manual_seed(0)
    assert torch.equal(Dropout(0.3)(x) != 0, kept)
    assert torch.equal(Dropout(0.3).eval()(x), x)
    assert torch.equal(Dropout(1e-6)(x), x)  # rounds to none
