"""The steps of each backbone equal its whole pass, also with rows chosen anew."""

import pytest
import torch
from toy_models import randomise

import lnfgen.stepping  # noqa: F401  (it registers the faster steps)
from lnfgen.nn.causal_lstm import CausalLSTM
from lnfgen.nn.scans import CausalConvScan
from lnfgen.nn.stepper import PlainSteps, steps_of
from lnfgen.stepping.recurrent import ConvScanSteps, LSTMSteps

pytestmark = pytest.mark.contract

STEPS = {CausalLSTM: LSTMSteps, CausalConvScan: ConvScanSteps}


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("network", STEPS)
@torch.no_grad()
def test_steps_are_the_plain_ones_also_with_other_rows(network, layers):
    made = randomise(network(5, 6, layers, 0.3)).double().eval()
    x = torch.randn(3, 9, 3).double()
    known = torch.randn(2, 9, 2).double()
    found = steps_of(made, known)
    expected = PlainSteps(made, known)
    assert isinstance(found, STEPS[network])
    num_rows = 2
    chosen = {3: torch.tensor([1, 0, 1]), 6: torch.tensor([2, 0])}
    for t in range(9):
        if t in chosen:
            num_rows = len(chosen[t])
            found.reindex(chosen[t])
            expected.reindex(chosen[t])
        here = x[:num_rows, t]
        torch.testing.assert_close(
            found.step(t, here), expected.step(t, here), rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("network", STEPS)
@torch.no_grad()
def test_all_steps_are_the_whole_pass(network, layers):
    made = randomise(network(5, 6, layers, 0.3)).double().eval()
    x = torch.randn(2, 9, 3).double()
    known = torch.randn(2, 9, 2).double()
    steps = steps_of(made, known)
    whole, _ = made(torch.cat([x, known], -1))
    found = [steps.step(t, x[:, t]) for t in range(9)]
    torch.testing.assert_close(torch.stack(found, 1), whole)
