"""Couplings over time: what each half of the features depends on."""

import pytest
import torch
from toy_flows import T, inputs, jacobian_of, random_flow

pytestmark = pytest.mark.contract


@pytest.mark.parametrize("num_features", [2, 3, 5])
def test_coupling_over_time_moves_half_given_the_other_half_of_every_step(num_features):
    flow = random_flow("coupling", "none", "nlsq", latent_size=num_features, num_flow_layers=1)
    layer = flow.layers[0]
    kept = num_features // 2
    x = torch.randn(1, T, num_features, dtype=torch.float64)
    _, positions = inputs(1)
    identity = torch.eye(T * num_features, dtype=torch.float64)
    identity = identity.reshape(T, num_features, T, num_features)
    for method in (layer.forward, layer.inverse):
        jacobian = jacobian_of(method, x, positions)
        assert torch.equal(jacobian[:, :kept], identity[:, :kept])
        moved = jacobian[:, kept:, :, kept:].reshape(T * (num_features - kept), -1)
        assert torch.equal(moved, torch.diag(moved.diagonal()))
        assert (moved.diagonal() > 0).all()
        assert (jacobian[:, kept:, :, :kept] != 0).all()


@pytest.mark.parametrize("num_features", [2, 4, 5])
def test_couplings_over_time_bring_all_features_of_all_steps_together(num_features):
    flow = random_flow("coupling", "none", "affine", latent_size=num_features, num_flow_layers=4)
    x = torch.randn(1, T, num_features, dtype=torch.float64)
    _, positions = inputs(1)
    for method in (flow.forward, flow.inverse):
        assert (jacobian_of(method, x, positions) != 0).all()
