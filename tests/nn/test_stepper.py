"""The steps of a network in a loop: which ones are taken, and what state they keep."""

import pytest
import torch

import lnfgen.stepping  # noqa: F401  (it registers the faster steps)
from lnfgen.nn import stepper
from lnfgen.nn.scans import CausalConvScan, CausalScan
from lnfgen.nn.stepper import PlainSteps, reindexed, steps_of
from lnfgen.stepping.recurrent import ConvScanSteps

pytestmark = pytest.mark.contract


def test_gradients_dropout_autocast_and_other_modules_are_left_to_the_plain_program():
    network, known = CausalConvScan(5, 6, 2, 0.3), torch.randn(2, 3, 2)
    assert isinstance(steps_of(network.eval(), known), PlainSteps), "gradients are on"
    network.train()
    with torch.no_grad():
        assert isinstance(steps_of(network, known), PlainSteps), "it is in training mode"
        network.eval()
        assert isinstance(steps_of(network, known), ConvScanSteps)
        with torch.autocast("cpu", torch.bfloat16):
            assert isinstance(steps_of(network, known), PlainSteps)
        assert isinstance(steps_of(CausalScan(5, 6, 2, 0.3).eval(), known), PlainSteps)


def test_a_loop_leaves_torch_s_settings_as_they_were():
    before = torch.backends.mkldnn.enabled

    def fails() -> None:
        with stepper.looping(torch.zeros(1)):
            assert not torch.backends.mkldnn.enabled
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert torch.backends.mkldnn.enabled == before


def test_rows_of_a_state_are_those_of_its_tensors():
    h = torch.arange(6.0).view(1, 3, 2)
    rows = torch.tensor([2, 0, 0])
    assert reindexed(None, rows) is None
    [(found, last)] = reindexed([(h, h[0])], rows)
    assert torch.equal(found, h[:, [2, 0, 0]])
    assert torch.equal(last, h[0, [2, 0, 0]])
