"""Scans: the recurrence, its bounds and precision, and the convolution before it."""

import pytest
import torch
from torch.nn.functional import pad

from lnfgen.nn.scans import (
    KERNEL,
    CausalConvolution,
    CausalConvScan,
    CausalScan,
    gated_average,
    scan_in_blocks,
    scan_in_order,
)

pytestmark = pytest.mark.contract


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 9, 17, 50])  # whole blocks and a part of one
def test_gated_average_is_the_recurrence(steps):
    generator = torch.Generator().manual_seed(steps)
    gate, x = torch.rand(2, 2, steps, 3, generator=generator, dtype=torch.float64).unbind()
    start = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    gate[:, steps // 2] = 0.0  # forgets all: what comes before must not make it NaN
    state = start
    expected = []
    for t in range(steps):
        state = gate[:, t] * state + (1 - gate[:, t]) * x[:, t]
        expected.append(state)
    whole = torch.stack(expected, 1)
    torch.testing.assert_close(gated_average(gate, x, start), whole, rtol=1e-13, atol=1e-13)
    in_blocks = scan_in_blocks(gate, (1 - gate) * x, start)
    torch.testing.assert_close(in_blocks, whole, rtol=1e-13, atol=1e-13)
    for value in (gate, x, start):
        value.requires_grad_()
    assert torch.autograd.gradcheck(gated_average, (gate, x, start))


@torch.no_grad()
def test_a_scan_runs_backwards_as_it_runs_forwards():
    decay, x = torch.rand(2, 2, 9, 3, dtype=torch.float64).unbind()
    start = torch.randn(2, 3, dtype=torch.float64)
    backwards = scan_in_order(decay, x, start, reverse=True)
    forwards = scan_in_order(decay.flip(1), x.flip(1), start)
    assert torch.equal(backwards, forwards.flip(1))


@pytest.mark.parametrize("scan", [CausalScan, CausalConvScan])
def test_a_scan_keeps_its_state_in_full_precision_under_autocast(scan):
    torch.manual_seed(0)
    network = scan(4, 6, 2, 0.0)
    x = torch.randn(2, 400, 4)
    with torch.autocast("cpu", torch.bfloat16):
        output, states = network(x)
        _, halfway = network(x[:, :200])
        again, _ = network(x[:, 200:], halfway)
    assert output.dtype == torch.float32
    assert all(part.dtype == torch.float32 for parts in states for part in parts)
    # bfloat16 would differ by 1e-2
    torch.testing.assert_close(again, output[:, 200:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scan", [CausalScan, CausalConvScan])
def test_scan_is_bounded_and_finite_in_a_long_piece(scan):
    torch.manual_seed(0)
    network = scan(4, 4, 2, 0.0)  # as many inputs as hidden features
    x = (1e4 * torch.randn(1, 5000, 4)).requires_grad_()
    output, state = network(x)
    output.sum().backward()
    assert torch.isfinite(x.grad).all()
    # What a block passes on lies between -1 and 1, and a convolution adds its weights to that at
    # most.
    limit = 1.0
    if network.convolves:
        limit += float(network.convolutions[1].weight.detach().abs().sum(0).max())
    for values in (output, *(parts[0] for parts in state)):
        assert (values.abs() <= limit).all()


def test_a_convolution_reads_its_own_step_and_three_before():
    torch.manual_seed(0)
    convolution = CausalConvolution(3).double()
    x = torch.randn(3, 7, 3, dtype=torch.float64)
    padded = pad(x, (0, 0, KERNEL - 1, 0))
    windows = padded.unfold(1, KERNEL, 1)  # [B, T, F, KERNEL]
    expected = x + torch.einsum("btfk,kf->btf", windows, convolution.weight)
    found, last_inputs = convolution(x, None)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(last_inputs.transpose(0, 1), x[:, 1 - KERNEL :])
