"""The flow from coarse to fine, at lengths that its levels divide in all ways."""

import pytest
import test_flows
import torch
from torch import Tensor

from lnfgen.flows.multiscale import interleaved
from lnfgen.nn.masking import length_mask

pytestmark = pytest.mark.contract


def inputs(num_steps: int) -> tuple[Tensor, Tensor, Tensor]:
    x, positions = test_flows.inputs(3, seed=num_steps, num_steps=num_steps)
    return x, positions, torch.tensor([num_steps, max(1, num_steps - 3), -(-num_steps // 2)])


@pytest.mark.parametrize("num_steps", [*range(1, 10), 15, 16, 17, 18, 33])
def test_both_directions_agree_and_no_step_sees_padding(num_steps):
    prior, (eps, positions, lengths) = test_flows.random_flow("multiscale", "scf", "nlsq"), inputs(num_steps)
    z, ladj = prior.forward(eps, positions, lengths)
    again, ladj_back = prior.inverse(z, positions, lengths)
    torch.testing.assert_close(again, eps, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(ladj_back, -ladj, rtol=1e-9, atol=1e-9)
    for i, length in enumerate(lengths.tolist()):  # each sequence by itself, without padding
        alone, _ = prior.inverse(z[i : i + 1, :length], positions[i : i + 1, :length], lengths[i : i + 1])
        torch.testing.assert_close(again[i : i + 1, :length], alone, rtol=1e-9, atol=1e-9)
    is_real = length_mask(lengths, num_steps)
    changed, _ = prior.forward(torch.where(is_real[..., None], eps, 3.0), positions, lengths)
    torch.testing.assert_close(changed[is_real], z[is_real], rtol=0, atol=0)


def test_half_of_the_steps_read_the_known_ones_on_both_sides_and_the_coarsest_read_none():
    prior, (z, positions, lengths) = test_flows.random_flow("multiscale", "scf", "nlsq"), inputs(33)
    whole = torch.full_like(lengths, 33)
    before = prior.inverse(z, positions, whole)[0]
    z[:, 8] += 1.0  # known to all steps but 0, 16 and 32, and to no other multiple of 8
    moved = (prior.inverse(z, positions, whole)[0] != before).any(-1).any(0)
    assert moved.nonzero().flatten().tolist() == [t for t in range(33) if t % 8 or t == 8]


def test_all_weights_have_gradients_where_sequences_are_too_short_for_some_levels():
    """As processes that train together ask for."""
    prior, (z, positions, lengths) = test_flows.random_flow("multiscale", "scf", "nlsq"), inputs(3)
    prior.log_prob(z, positions, lengths).sum().backward()
    assert all(parameter.grad is not None for parameter in prior.parameters())


@pytest.mark.parametrize("num_moved", [0, 2, 3])
def test_known_and_moved_steps_take_turns(num_moved):
    known = torch.arange(0, 6, 2)[None, : max(num_moved, 1)]
    moved = torch.arange(1, 6, 2)[None, :num_moved]
    expected = sorted([*known[0].tolist(), *moved[0].tolist()])
    assert interleaved(known, moved)[0].tolist() == expected
