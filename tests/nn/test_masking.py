"""Padded batches: sums, flips and shifts; and the temperature of a choice."""

import pytest
import torch

from lnfgen.nn.masking import flip, shift, sum_real, tempered

pytestmark = pytest.mark.contract

LENGTHS = torch.tensor([7, 1, 4])
T = 7
F = 3


def batch() -> torch.Tensor:
    """x `[3, T, F]`."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, T, F, generator=generator, dtype=torch.float64)


def test_flip_reverses_the_real_steps_and_leaves_the_padding():
    x = batch()
    flipped = flip(x, LENGTHS)
    for row, before, length in zip(flipped, x, LENGTHS.tolist(), strict=True):
        assert torch.equal(row[:length], before[:length].flip(0))
        assert torch.equal(row[length:], before[length:])
    assert torch.equal(flip(flipped, LENGTHS), x)


def test_a_sum_leaves_out_the_padding_whatever_it_holds():
    steps = torch.full((2, 3, T), torch.nan)
    for row, length in enumerate(LENGTHS.tolist()):
        steps[:, row, :length] = 2.0
    assert torch.equal(sum_real(steps, LENGTHS), (2.0 * LENGTHS).expand(2, -1))


@pytest.mark.parametrize("by", [1, 3])
def test_a_shift_delays_all_steps(by):
    x = batch()
    shifted = shift(x, by)
    assert torch.equal(shifted[:, by:], x[:, :-by])
    assert (shifted[:, :by] == 0).all()


def test_a_temperature_divides_scores_and_0_leaves_the_likeliest():
    scores = torch.tensor([1.0, 3.0, 2.0])
    assert tempered(scores, 1) is scores
    assert torch.equal(tempered(scores, 0.5), 2 * scores)
    assert torch.softmax(tempered(scores, 0), -1).tolist() == [0, 1, 0]
