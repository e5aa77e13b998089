"""Weights' gradients of a loop, taken for many steps at once, are the plain ones."""

import gc
import weakref
from contextlib import nullcontext

import pytest
import torch
from test_causal import directions, inputs, randomised
from torch import Tensor

from lnfgen.flows import causal
from lnfgen.flows.causal import Solver
from lnfgen.nn import deferred
from lnfgen.nn.deferred import deferring, linear

CELLS = [("af", "scf"), ("af", "af"), ("iaf", "scf"), ("iaf", "af"), ("iaf", "none")]


@pytest.fixture(autouse=True)
def few_rows_together(monkeypatch):
    monkeypatch.setattr(deferred, "TOGETHER", 7)
    monkeypatch.setattr(deferred, "FEWEST_WEIGHTS", 0)  # or nothing at these sizes would be deferred


@pytest.mark.parametrize("backbone", ["lstm", "scan"])
@pytest.mark.parametrize(("time", "features"), CELLS, ids=["-".join(cell) for cell in CELLS])
def test_a_loop_s_gradients_are_plain_autograd_s_under_dropout_too(monkeypatch, time, features, backbone):
    flow = randomised(0.4, time=time, features=features, backbone=backbone, dropout=0.4, input_dropout=0.3).train()
    x, positions, lengths = (value.requires_grad_(value.is_floating_point()) for value in _inputs())
    flow.solver = Solver("loop")

    def found() -> tuple[Tensor, ...]:
        torch.manual_seed(3)
        y, ladj = directions(flow, time)[0](x, positions, lengths)
        return y, ladj, *torch.autograd.grad(y.sin().sum() + ladj.cos().sum(), [x, positions, *flow.parameters()])

    at_once = found()
    monkeypatch.setattr(causal, "deferring", nullcontext)
    torch.testing.assert_close(at_once, found(), rtol=1e-10, atol=1e-10)


def _inputs() -> tuple[Tensor, Tensor, Tensor]:
    return inputs(randomised(time="iaf"))


def test_each_pass_through_a_graph_gives_its_own_gradient():
    """Also after one that leaves the weights out, or that passes through some of the calls."""
    weight = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(4, dtype=torch.float64, requires_grad=True)
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)

    def looped() -> tuple[Tensor, Tensor]:
        values = [x]
        for _ in range(6):
            values.append(linear("map", lambda: (weight, bias))(values[-1]).tanh())
        return values[3], values[-1]

    with deferring():
        half, y = looped()
    plain_half, plain = looped()
    every = [weight, bias, x]
    expected = torch.autograd.grad(plain.sum(), every, retain_graph=True)
    torch.autograd.grad(y.sum(), x, retain_graph=True)
    for _ in range(2):
        torch.testing.assert_close(torch.autograd.grad(y.sum(), every, retain_graph=True), expected)
    torch.testing.assert_close(
        torch.autograd.grad(half.sum(), every, retain_graph=True), torch.autograd.grad(plain_half.sum(), every)
    )


def test_in_bfloat16_gradients_are_those_of_float32_to_its_round_off():
    flow = randomised(0.15, time="iaf").float()
    x, positions, lengths = inputs(flow)
    flow.solver = Solver("loop")
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y, ladj = flow.inverse(x, positions, lengths)
        assert y.dtype == torch.float32
        found.append(torch.autograd.grad(y.sin().sum() + ladj.sum(), list(flow.parameters())))
    for exact, rounded in zip(*found, strict=True):
        assert float((rounded - exact).norm()) < 0.1 * float(exact.norm()) + 1e-3


def test_a_loop_that_is_over_keeps_nothing():
    weight = torch.randn(4, 4, requires_grad=True)
    gc.disable()
    try:
        with deferring():
            once = linear("map", lambda: (weight, None))
            y = once(torch.randn(3, 4)).sum()
        alive = weakref.ref(once)
        y.backward()
        del once, y
        assert alive() is None
    finally:
        gc.enable()
