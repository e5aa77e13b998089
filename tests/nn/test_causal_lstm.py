"""The LSTM backbone beside the LSTM of torch."""

import pytest
import torch

from lnfgen.nn.backbones import Bidirectional
from lnfgen.nn.causal_lstm import CausalLSTM

pytestmark = pytest.mark.contract

T = 7
F = 3


def test_bidirectional_lstm_agrees_with_torchs_own():
    """One layer, full length: the same recurrence as nn.LSTM(bidirectional=True)."""
    torch.manual_seed(0)
    ours = Bidirectional("lstm", F, 4, 1, 0.0).double().eval()
    theirs = torch.nn.LSTM(F, 4, bidirectional=True, batch_first=True).double()
    weights = dict(ours.forwards.layers[0].state_dict())
    for name, value in ours.backwards.layers[0].state_dict().items():
        weights[f"{name}_reverse"] = value
    theirs.load_state_dict(weights)
    x = torch.randn(3, T, F, dtype=torch.float64)
    expected, _ = theirs(x)
    torch.testing.assert_close(ours(x, torch.full((3,), T)), expected, rtol=1e-12, atol=1e-12)


def test_gates_remember_at_first():
    """The forget gate has a bias of 1, all other biases are 0."""
    network = CausalLSTM(F, 4, 2, 0.0)
    for layer in network.layers:
        bias = layer.bias_ih_l0 + layer.bias_hh_l0
        assert bias.tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 8
