"""Bounds on raw parameters, and the constants that they are computed with."""

import pytest
import torch

from lnfgen.transforms.bounds import bounded, constant

pytestmark = pytest.mark.contract


def test_a_bound_is_smooth_and_has_slope_1_at_0():
    raw = torch.tensor([-1e30, -3.0, 0.0, 3.0, 1e30], dtype=torch.float64, requires_grad=True)
    found = bounded(raw, 2.0)
    assert (found.abs() <= 2).all()
    assert (found.diff() > 0).all()
    (slope,) = torch.autograd.grad(found.sum(), raw)
    assert float(slope[2]) == 1


def test_a_constant_is_made_once_and_serves_gradients_too():
    like = torch.ones(3, dtype=torch.float64, requires_grad=True)
    with torch.inference_mode():
        first = constant((1.5, 2.5), like)
    assert constant((1.5, 2.5), like) is first
    assert first.dtype == like.dtype
    (like[:2] * first).sum().backward()
    assert like.grad.tolist() == [1.5, 2.5, 0.0]
