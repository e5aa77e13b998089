"""What a loop over time is made of: laid out once, and the same as the whole pass, call by call."""

import copy

import pytest
import torch
from torch import nn
from transform_cases import extreme, standard, ulps

from lnfgen.flows import stacks
from lnfgen.flows.features import FEATURE_FLOWS, FeatureStack, build_feature_flow
from lnfgen.nn import layout
from lnfgen.nn.backbones import BACKBONES
from lnfgen.nn.elementwise import tanh
from lnfgen.nn.layout import inputs_with_known, product
from lnfgen.nn.linear import laid_out
from lnfgen.nn.made import MADE
from lnfgen.nn.mlp import MLP
from lnfgen.transforms import TRANSFORMS
from lnfgen.transforms.core import NewtonTransform

pytestmark = pytest.mark.contract

TOLERANCES = {torch.float32: 2e-5, torch.float64: 1e-11}


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("packing_pays", [0, 10**9], ids=["packed", "plain"])
@pytest.mark.parametrize("rows", [1, 3])
@torch.no_grad()
def test_products_and_laid_out_networks_are_what_they_were(dtype, packing_pays, rows, monkeypatch):
    monkeypatch.setattr(layout, "PACKING_PAYS", packing_pays)
    torch.manual_seed(0)
    tolerance = TOLERANCES[dtype]
    weight, bias, x = (torch.randn(shape, dtype=dtype) for shape in ((7, 5), (7,), (rows, 5)))
    for added in (bias, None):
        expected = nn.functional.linear(x, weight, added)
        torch.testing.assert_close(product(weight, added, rows)(x), expected, rtol=tolerance, atol=tolerance)
    known = torch.randn(rows, 4, 2, dtype=dtype)
    step = inputs_with_known(weight, bias, known)
    for t in range(4):
        expected = nn.functional.linear(torch.cat([x[:, :3], known[:, t]], -1), weight, bias)
        torch.testing.assert_close(step(t, x[:, :3]), expected, rtol=tolerance, atol=tolerance)
    mlp = MLP(5, [6, 6], 3, dropout=0.5).to(dtype).eval()
    torch.testing.assert_close(laid_out(mlp, rows)(x), mlp(x), rtol=tolerance, atol=tolerance)
    made, context = MADE(5, 4, 8, 3).to(dtype), torch.randn(rows, 4, dtype=dtype)
    torch.testing.assert_close(laid_out(made, rows)(x, context), made(x, context), rtol=tolerance, atol=tolerance)


def test_a_network_is_left_as_it_was_by_laying_it_out():
    mlp = MLP(5, [6], 3, dropout=0.5)
    before = copy.deepcopy(mlp.state_dict())
    other = laid_out(mlp, 1)
    assert not any(isinstance(part, nn.Linear) for part in other.modules())
    assert isinstance(mlp.layers[0], nn.Linear)
    torch.testing.assert_close(mlp.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", sorted(BACKBONES))
@pytest.mark.parametrize("layers", [1, 2, 3])
@torch.no_grad()
def test_steps_of_a_causal_network_are_its_whole_pass_from_any_state(name, layers):
    torch.manual_seed(0)
    network = BACKBONES[name].causal(5, 6, layers, 0.3).double().eval()
    x, known = torch.randn(2, 7, 3, dtype=torch.float64), torch.randn(2, 7, 2, dtype=torch.float64)
    whole, _ = network(torch.cat([x, known], -1))
    _, state = network(torch.cat([x, known], -1)[:, :4])
    step, later = network.steps(known), network.steps(known, state)
    outputs = torch.stack([step(t, x[:, t]) for t in range(7)], 1)
    torch.testing.assert_close(outputs, whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        torch.stack([later(t, x[:, t]) for t in range(4, 7)], 1), whole[:, 4:], rtol=1e-12, atol=1e-12
    )


def stack(features: str, transform: str, dtype: torch.dtype, num_features: int, scale: float) -> FeatureStack:
    torch.manual_seed(0)
    flow = build_feature_flow(features, num_features, 4, 8, 3, TRANSFORMS[transform]()).to(dtype)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, dtype=dtype))
    return flow.eval()


@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
@pytest.mark.parametrize("features", sorted(FEATURE_FLOWS))
@pytest.mark.parametrize("num_features", [5, 6])
@torch.no_grad()
def test_a_stack_laid_out_is_the_stack_in_both_directions(features, transform, num_features):
    flow = stack(features, transform, torch.float64, num_features, 0.5)
    x, context = torch.randn(6, num_features, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64)
    for rows in (1, 6):
        other = flow.laid_out(rows)
        for expected, found in (
            (flow.inverse(x, context), other.inverse(x, context)),
            (flow(x, context), other.forward(x, context)),
        ):
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("transform", sorted(name for name in TRANSFORMS if name != "affine"))
@torch.no_grad()
def test_masked_layers_solved_together_are_a_solution_or_say_that_they_are_not(transform, monkeypatch):
    """Weights larger than a trained model has, where Newton loses its way: what it gives maps back, or is left."""
    flow = stack("af", transform, torch.float64, 6, 1.0)
    eps, context = torch.randn(200, 6, dtype=torch.float64), torch.randn(200, 4, dtype=torch.float64)
    layers = list(flow.layers)
    together = stacks.MaskedStack([layer.conditioner for layer in layers], layers[0].transform, 200)
    z, ladj, solved = together.solve(eps, context)
    back, back_ladj = flow.inverse(z[solved], context[solved])
    torch.testing.assert_close(back, eps[solved], rtol=0, atol=1e-6)
    torch.testing.assert_close(back_ladj, -ladj[solved], rtol=0, atol=1e-5)
    assert solved.any()
    monkeypatch.setattr(stacks, "PATIENCE", 1)
    found, found_ladj = flow.laid_out(200).forward(eps, context)
    assert not together.solve(eps, context)[2].all()
    back, back_ladj = flow.inverse(found, context)
    torch.testing.assert_close(back, eps, rtol=0, atol=1e-6)
    torch.testing.assert_close(back_ladj, -found_ladj, rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_row_solved_together_does_not_depend_on_other_rows_by_one_bit():
    flow = stack("af", "nlsq", torch.float32, 6, 0.7)
    eps, context = torch.randn(5, 6), torch.randn(5, 4)
    other = flow.laid_out(5)
    z, ladj = other.forward(eps, context)
    eps[1] *= 1e4
    changed, changed_ladj = other.forward(eps, context)
    kept = torch.tensor([0, 2, 3, 4])
    assert torch.equal(z[kept], changed[kept])
    assert torch.equal(ladj[kept], changed_ladj[kept])


NEWTON = sorted(name for name in TRANSFORMS if issubclass(TRANSFORMS[name], NewtonTransform))


@pytest.mark.parametrize("name", NEWTON)
@torch.no_grad()
def test_newton_steps_stay_within_bounds_of_the_solution_and_end_there(name):
    transform = TRANSFORMS[name]()
    for eps, parameters in (standard(name, 20_000, 0), extreme(name, 20_000, torch.float64)):
        eps, parameters = eps.double(), parameters.double()
        solution, _ = transform.forward(eps, parameters)
        a, log_b, p = transform._split(parameters)
        low, high = transform._bracket((eps - a) / log_b.exp(), p)
        slack = 1e-9 * (1 + solution.abs())
        assert (low <= solution + slack).all()
        assert (solution <= high + slack).all()
    eps, parameters = (each.double() for each in standard(name, 20_000, 0))
    z = eps
    for _ in range(60):
        z, ladj = transform.approach(z, eps, parameters)
    settled = ulps(name, eps, z, parameters) < 64
    assert settled.double().mean() > 0.9  # Newton may cycle: who takes such steps looks whether they have settled
    expected = transform.forward(eps, parameters)[1]
    torch.testing.assert_close(ladj[settled], expected[settled], rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_tanh_is_tanh_to_the_round_off_of_1(dtype):
    x = torch.linspace(-200, 200, 10_001, dtype=dtype).mul(0.1).requires_grad_()
    torch.testing.assert_close(tanh(x), torch.tanh(x), rtol=0, atol=4 * torch.finfo(dtype).eps)
    assert tanh(torch.zeros(3, dtype=dtype)).eq(0).all()
    (found,) = torch.autograd.grad(tanh(x).sum(), x)
    (expected,) = torch.autograd.grad(torch.tanh(x).sum(), x)
    torch.testing.assert_close(found, expected, rtol=0, atol=8 * torch.finfo(dtype).eps)
