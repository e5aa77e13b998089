"""Convolutions over keys by Fourier transforms are those of torch."""

import pytest
import torch

from lnfgen.nn.convolutions import over_keys, over_keys_by, spectrum_of

pytestmark = pytest.mark.contract


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("keys", "taps"), [(1, 3), (3, 7), (20, 5), (88, 49)])
@torch.no_grad()
def test_both_ways_give_the_same(keys, taps, bias):
    convolution = torch.nn.Conv1d(2, 3, taps, padding=taps // 2, bias=bias).double()
    x = torch.randn(2, 4, keys, 2, dtype=torch.float64)
    expected = over_keys(convolution, x)
    assert expected.shape == (2, 4, keys, 3)
    found = over_keys_by(spectrum_of(convolution, keys), convolution, x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
