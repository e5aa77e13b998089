"""The sequential direction of causal flows, and its steps one by one."""

import pytest
import torch
from torch import Tensor
from toy_config import model_config
from toy_flows import full, inputs, random_flow

from lnfgen.flows.temporal import CausalFlow, FlowSteps, InverseAutoregressiveFlow
from lnfgen.models.build import build_prior
from lnfgen.nn.backbones import BACKBONES

pytestmark = pytest.mark.contract

T = 7
CELLS = [("af", "scf"), ("af", "af"), ("iaf", "scf"), ("iaf", "af"), ("iaf", "none")]


@pytest.fixture(params=CELLS, ids=["-".join(cell) for cell in CELLS])
def flow(request) -> CausalFlow:
    return random_flow(*request.param)


def sequential(
    flow: CausalFlow, x: Tensor, positions: Tensor, lengths: Tensor
) -> tuple[Tensor, Tensor]:
    """What the direction gives whose contexts come from its own results."""
    if isinstance(flow, InverseAutoregressiveFlow):
        return flow.inverse(x, positions, lengths)
    return flow.forward(x, positions, lengths)


@pytest.mark.parametrize(("time", "features"), [("af", "af"), ("af", "scf"), ("iaf", "scf")])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
@torch.no_grad()
def test_both_directions_map_back_at_the_sizes_of_a_real_model(time, features, dtype, tolerance):
    torch.manual_seed(0)
    config = model_config(time=time, features=features, hidden_size=64, num_flow_layers=3)
    flow = build_prior(config).to(dtype).eval()
    for parameter in flow.features.parameters():
        parameter.mul_(2)
    x, positions = (part.to(dtype) for part in inputs(2, num_steps=70, features=config.latent_size))
    y, ladj = flow.forward(x, positions, full(positions))
    back, back_ladj = flow.inverse(y, positions, full(positions))
    assert float((y - x).abs().max()) > 0.3
    torch.testing.assert_close(back, x, rtol=0, atol=tolerance)
    torch.testing.assert_close(ladj + back_ladj, torch.zeros_like(ladj), rtol=0, atol=4 * tolerance)


@torch.no_grad()
def test_a_row_does_not_depend_on_other_rows_later_steps_or_padding_by_one_bit(flow):
    x, positions = inputs(3, num_steps=T)
    changed = x.clone()
    changed[1] *= 1.1
    changed[:, 5:] *= 1e6
    y, ladj = sequential(flow, x, positions, full(positions))
    other, other_ladj = sequential(flow, changed, positions, torch.tensor([5, T, 5]))
    for row in (0, 2):
        assert torch.equal(y[row, :5], other[row, :5])
        assert torch.equal(ladj[row, :5], other_ladj[row, :5])
    assert not torch.equal(y[1], other[1])


@pytest.mark.parametrize("backbone", sorted(BACKBONES))
@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("features", ["codes", "scf"])
@torch.no_grad()
def test_steps_draw_and_weigh_what_the_whole_flow_does_and_go_on_with_other_rows(
    features, copies, backbone
):
    flow = random_flow("af", features, backbone=backbone, copy_attention=copies)
    _, positions = inputs(3, num_steps=T)
    noise = torch.randn(4, T, flow.noise_size, dtype=torch.float64)
    steps = FlowSteps(flow, positions, 0.7)
    rows = torch.arange(3)
    z = torch.zeros(3, 0, flow.num_features, dtype=torch.float64)
    log_p = torch.zeros(3, 0, dtype=torch.float64)
    chosen_at = {2: torch.tensor([2, 0, 0, 1]), 5: torch.tensor([3, 1])}
    for t in range(T):
        if t in chosen_at:
            chosen = chosen_at[t]
            steps.reindex(chosen)
            z = z[chosen]
            log_p = log_p[chosen]
            rows = rows[chosen]
        drawn = steps.draw(noise[: len(rows), t])
        log_p = torch.cat([log_p, steps.log_prob(drawn)[:, None]], 1)
        z = torch.cat([z, drawn[:, None]], 1)
        steps.take(drawn)
    whole = positions[rows]
    expected = flow.log_prob(z, whole, full(whole), 0.7)
    torch.testing.assert_close(log_p, expected, rtol=1e-9, atol=1e-9)
