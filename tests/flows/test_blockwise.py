"""The flow by blocks, at lengths that a block divides in all ways."""

import pytest
import torch
from torch import Tensor
from toy_flows import inputs as toy_inputs
from toy_flows import random_flow

from lnfgen.conventions import PASSES
from lnfgen.flows.blockwise import AHEAD, IN_TRAINING, BlockwiseFlow
from lnfgen.nn.masking import length_mask

pytestmark = pytest.mark.contract


def flow(block: int) -> BlockwiseFlow:
    prior = random_flow("blocks", "scf", "nlsq")
    assert isinstance(prior, BlockwiseFlow)
    prior.passes = block
    return prior


def inputs(num_steps: int) -> tuple[Tensor, Tensor, Tensor]:
    x, positions = toy_inputs(3, seed=num_steps, num_steps=num_steps)
    return x, positions, torch.tensor([num_steps, max(1, num_steps - 3), -(-num_steps // 2)])


SHAPES = [
    *((3, steps) for steps in range(1, 11)),
    (1, 4),
    (2, 7),
    (4, 2 * AHEAD + 3),
    (AHEAD, 27),
    (PASSES, 65),
]


@pytest.mark.parametrize(("block", "num_steps"), SHAPES)
def test_both_directions_agree_and_no_step_sees_padding(block, num_steps):
    prior = flow(block)
    eps, positions, lengths = inputs(num_steps)
    z, ladj = prior.forward(eps, positions, lengths)
    again, ladj_back = prior.inverse(z, positions, lengths)
    is_real = length_mask(lengths, num_steps)
    torch.testing.assert_close(again[is_real], eps[is_real], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(ladj_back[is_real], -ladj[is_real], rtol=1e-9, atol=1e-9)
    for i, length in enumerate(lengths.tolist()):  # each sequence by itself, without padding
        own = slice(i, i + 1)
        alone, _ = prior.inverse(z[own, :length], positions[own, :length], lengths[own])
        torch.testing.assert_close(again[own, :length], alone, rtol=1e-9, atol=1e-9)
    changed, _ = prior.forward(torch.where(is_real[..., None], eps, 3.0), positions, lengths)
    torch.testing.assert_close(changed[is_real], z[is_real], rtol=0, atol=0)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_a_step_reads_those_of_earlier_passes_in_all_blocks(direction):
    method = getattr(flow(3), direction)
    x, positions, _ = inputs(8)  # its last block has two steps
    whole = torch.full((3,), 8)
    before, _ = method(x, positions, whole)
    x[:, 4] += 1.0
    after, _ = method(x, positions, whole)
    is_moved = (after != before).any(-1).any(0)
    assert is_moved.nonzero().flatten().tolist() == [2, 4, 5]


@pytest.mark.parametrize("block", [2, 5, 16])
def test_the_end_of_a_block_reads_the_steps_after_it_that_are_known(block):
    """Without the network across blocks: the next block's first steps, at most `AHEAD` away."""
    prior = flow(block)
    z, positions, _ = inputs(40)
    whole = torch.full((3,), 40)
    for parameter in prior.across.parameters():
        parameter.data.zero_()
    before = prior.contexts(z, positions, whole)
    z[:, 32] += 1.0
    is_moved = (prior.contexts(z, positions, whole) != before).any(-1).any(0)
    found = is_moved[:32].nonzero().flatten().tolist()
    assert found == [t for t in range(32 - AHEAD, 32) if 32 % block < t % block]


def test_in_training_blocks_have_many_sizes():
    prior = flow(PASSES)
    z, positions, lengths = inputs(70)
    torch.manual_seed(0)
    expected = {}
    for size in IN_TRAINING:
        prior.passes = size
        expected[size] = prior.contexts(z, positions, lengths)
    prior.train()  # the toy has no dropout
    found = set()
    for _ in range(60):
        drawn = prior.contexts(z, positions, lengths)
        found.add(next(size for size in IN_TRAINING if torch.equal(expected[size], drawn)))
    assert found == set(IN_TRAINING)


def test_its_passes_are_as_many_as_a_block_has_steps():
    prior = flow(3)
    eps, positions, lengths = inputs(10)
    passes = []
    prior.within.register_forward_hook(lambda *_: passes.append(1))
    prior.forward(eps, positions, lengths)
    assert len(passes) == 3


def test_all_weights_have_gradients_where_sequences_are_one_block():
    prior = flow(PASSES)
    z, positions, lengths = inputs(3)
    prior.log_prob(z, positions, lengths).sum().backward()
    assert all(parameter.grad is not None for parameter in prior.parameters())
