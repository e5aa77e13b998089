"""The sequential direction of causal flows: the loop, sweeps over all steps, and the gradients of both."""

import dataclasses
from typing import Any

import pytest
import test_flows
import torch
from torch import Tensor
from toy_models import randomise

from lnfgen.config import ModelConfig
from lnfgen.flows.fixed_point import solve_triangular
from lnfgen.flows.solver import SOLVERS, Solver, replaying
from lnfgen.flows.temporal import TemporalFlow
from lnfgen.models import build_prior

pytestmark = pytest.mark.contract

N, T, D, F = 3, 7, 4, 2
SIZES = dataclasses.replace(test_flows.SIZES, latent_size=D)
CELLS = [("af", "codes"), ("iaf", "codes"), ("af", "scf"), ("af", "af"), ("iaf", "scf"), ("iaf", "af"), ("iaf", "none")]


def randomised(scale: float = 0.6, **changes: Any) -> TemporalFlow:
    return randomise(
        build_prior(dataclasses.replace(SIZES, **changes), num_codes=5, num_positions=F).double(), scale
    ).eval()


def inputs(flow: TemporalFlow, count: int = N, steps: int = T, features: int = D) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    parameter = next(flow.parameters())
    x, positions = (torch.randn(count, steps, size, generator=generator).to(parameter) for size in (features, F))
    return x, positions, torch.full((count,), steps)


def directions(flow: TemporalFlow, time: str) -> tuple[Any, Any]:
    """The sequential direction, and the parallel one."""
    return (flow.forward, flow.inverse) if time == "af" else (flow.inverse, flow.forward)


@pytest.fixture(params=CELLS, ids=["-".join(cell) for cell in CELLS])
def cell(request):
    return request.param


def test_sweeps_are_the_loop(cell):
    """Values, log-determinants and all gradients; and the parallel direction maps back."""
    time, features = cell
    flow = randomised(0.4, time=time, features=features)
    x, positions, lengths = inputs(flow)
    x.requires_grad_()
    positions.requires_grad_()
    sequential, parallel = directions(flow, time)

    def found() -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        y, ladj = sequential(x, positions, lengths)
        weights = torch.linspace(-1, 2, T, dtype=y.dtype)
        loss = (y.sin() * weights[:, None]).sum() + (ladj.cos() * weights).sum()
        return y, ladj, torch.autograd.grad(loss, [x, positions, *flow.parameters()])

    y, ladj, gradients = found()
    assert flow.solver == Solver("loop", most_sweeps=0)
    flow.solver = Solver("sweeps")
    swept, swept_ladj, swept_gradients = found()
    torch.testing.assert_close(swept, y, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(swept_ladj, ladj, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(swept_gradients, gradients, rtol=1e-8, atol=1e-8)
    with torch.no_grad():
        for value, value_ladj in ((y, ladj), sequential(x, positions, lengths)):
            back, back_ladj = parallel(value, positions, lengths)
            torch.testing.assert_close(back, x, rtol=0, atol=1e-10)
            torch.testing.assert_close(back_ladj + value_ladj, torch.zeros_like(ladj), rtol=0, atol=1e-10)
    assert 0 < flow.solver.most_sweeps <= T


@pytest.mark.parametrize(("time", "features"), [("af", "af"), ("af", "scf"), ("iaf", "scf")])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
@torch.no_grad()
def test_both_map_back_at_the_sizes_of_a_real_model(time, features, dtype, tolerance):
    torch.manual_seed(0)
    config = ModelConfig(time=time, features=features, hidden_size=64, num_flow_layers=3)
    flow = build_prior(config, num_positions=F).to(dtype).eval()
    for parameter in flow.features.parameters():
        parameter.mul_(2)
    x, positions, lengths = inputs(flow, 2, 70, config.latent_size)
    sequential, parallel = directions(flow, time)
    for solver in (Solver("loop"), Solver("sweeps")):
        flow.solver = solver
        y, ladj = sequential(x, positions, lengths)
        back, back_ladj = parallel(y, positions, lengths)
        assert float((y - x).abs().max()) > 0.3
        torch.testing.assert_close(back, x, rtol=0, atol=tolerance)
        torch.testing.assert_close(ladj + back_ladj, torch.zeros_like(ladj), rtol=0, atol=tolerance * D)
    assert 0 < solver.most_sweeps < 35


@torch.no_grad()
def test_a_row_does_not_depend_on_other_rows_or_later_steps_by_one_bit(cell):
    time, features = cell
    flow = randomised(time=time, features=features)
    flow.solver = Solver("sweeps")
    x, positions, lengths = inputs(flow)
    sequential, _ = directions(flow, time)
    changed = x.clone()
    changed[1] *= 1.1
    changed[:, 5:] *= 1.3
    y, ladj = sequential(x, positions, lengths)
    other, other_ladj = sequential(changed, positions, lengths)
    for row in (0, 2):
        assert torch.equal(y[row, :5], other[row, :5])
        assert torch.equal(ladj[row, :5], other_ladj[row, :5])
    assert not torch.equal(y[1], other[1])


@pytest.mark.parametrize("method", SOLVERS)
@torch.no_grad()
def test_padding_costs_no_sweep_and_changes_no_bit(cell, method):
    time, features = cell
    flow = randomised(time=time, features=features)
    x, positions, _ = inputs(flow)
    lengths = torch.tensor([2, T, 3])
    sequential, _ = directions(flow, time)
    results, reports = [], []
    for size in (1.0, 50.0, 1e6):
        padded = x.clone()
        padded[0, 2:] *= size
        padded[2, 3:] *= size
        flow.solver = Solver(method)
        results.append(sequential(padded, positions, lengths))
        reports.append(flow.solver)
    for row, length in enumerate(lengths.tolist()):
        for y, ladj in results[1:]:
            assert torch.equal(y[row, :length], results[0][0][row, :length])
            assert torch.equal(ladj[row, :length], results[0][1][row, :length])
    assert reports[0] == reports[1] == reports[2]


@torch.no_grad()
def test_what_overflows_between_sweeps_heals():
    """Guesses that lead a sweep to infinity do not outlive the sweeps that make step after step exact."""

    def update(y: Tensor) -> tuple[Tensor, Tensor]:
        earlier = torch.nn.functional.pad(y[:, :-1], (0, 0, 1, 0))
        return torch.exp(-earlier) - 0.1 * earlier, earlier.sum(-1)

    exact = torch.zeros(1, 6, 2, dtype=torch.float64)
    for _ in range(6):
        exact, _ = update(exact)
    start = torch.tensor([torch.inf, -torch.inf, torch.nan, 1e300, 800.0, 0.0], dtype=torch.float64)[None, :, None]
    found = solve_triangular(update, start.expand(1, 6, 2))
    assert torch.equal(found.value, exact)
    assert found.sweeps == 6


@pytest.mark.parametrize("time", ["af", "iaf"])
def test_with_dropout_every_sweep_draws_what_one_pass_draws(time):
    flow = randomised(time=time, dropout=0.4).train()
    flow.solver = Solver("sweeps")
    x, positions, lengths = inputs(flow)
    sequential, parallel = directions(flow, time)
    torch.manual_seed(5)
    y, ladj = sequential(x, positions, lengths)
    after = torch.rand(1)
    torch.manual_seed(5)
    back, back_ladj = parallel(y, positions, lengths)
    assert torch.equal(torch.rand(1), after)  # a resumed run draws on as an uninterrupted one
    torch.testing.assert_close(back, x, rtol=0, atol=1e-10)
    torch.testing.assert_close(ladj + back_ladj, torch.zeros_like(ladj), rtol=0, atol=1e-10)
    other, _ = sequential(x, positions, lengths)
    assert not torch.allclose(other, y)  # the next call draws anew


@pytest.mark.parametrize("time", ["af", "iaf"])
def test_gradients_with_dropout_agree_with_differences(time):
    flow = randomised(0.3, time=time, dropout=0.4).train()
    x, positions, lengths = inputs(flow)
    sequential, _ = directions(flow, time)
    along = torch.randn_like(x)

    def value(at: Tensor) -> Tensor:
        torch.manual_seed(5)
        y, ladj = sequential(at, positions, lengths)
        return y.sin().sum() + ladj.sum()

    at = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value(at), at)
    with torch.no_grad():
        difference = (value(x + 1e-6 * along) - value(x - 1e-6 * along)) / 2e-6
    torch.testing.assert_close((gradient * along).sum(), difference, rtol=1e-5, atol=1e-5)


def test_replaying_repeats_the_draws_and_leaves_the_generator_after_one_call():
    torch.manual_seed(0)
    first, then = torch.rand(3), torch.rand(3)
    torch.manual_seed(0)
    again = replaying(lambda x: (x + torch.rand(3), x), torch.device("cpu"))
    assert all(torch.equal(again(torch.zeros(3))[0], first) for _ in range(3))
    assert torch.equal(torch.rand(3), then)


@torch.no_grad()
def test_sweeps_in_evaluation_leave_the_random_state_unread(monkeypatch):
    """Nothing draws there: a device would wait for its state to be read at every window."""
    flow = randomised(time="iaf", dropout=0.4)
    flow.solver = Solver("sweeps")
    monkeypatch.setattr(torch, "get_rng_state", lambda: pytest.fail("read"))
    flow.inverse(*inputs(flow))
    assert flow.solver.most_sweeps > 0


@torch.no_grad()
def test_steps_that_depend_on_nothing_take_two_sweeps():
    flow = randomised(time="iaf")
    for parameter in flow.network.parameters():
        parameter.zero_()
    flow.solver = Solver("sweeps")
    flow.inverse(*inputs(flow))
    assert flow.solver.most_sweeps == 2
