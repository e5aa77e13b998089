"""Positions: where a step is, and how far from the end."""

import pytest
import torch

from lnfgen.nn.positions import NEAR_END, NUM_HOMES, Outline, Positions

pytestmark = pytest.mark.contract

LENGTHS = torch.tensor([7, 1, 4])
T = 7


@pytest.mark.parametrize("near_end", [False, True])
def test_positions_tell_where_and_how_far_from_the_end(near_end):
    torch.manual_seed(0)
    positions = Positions(8, near_end=near_end)
    together = positions(LENGTHS, T)
    assert together.shape == (3, T, 8)
    for row, length in zip(together, LENGTHS.tolist(), strict=True):
        alone = positions(torch.tensor([length]), length)[0]
        torch.testing.assert_close(row[:length], alone)
    # The same step of a longer piece looks different: the end is farther.
    assert not torch.allclose(together[0, 0], together[2, 0], atol=1e-3)


def test_positions_are_distinct_in_a_long_piece():
    torch.manual_seed(0)
    positions = Positions(16).double()
    for length in (160, 4000):
        features = positions(torch.tensor([length]), length)[0].detach()
        assert torch.isfinite(features).all()
        distance = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
        distance.fill_diagonal_(1.0)
        assert float(distance.min()) > 1e-3


def test_near_the_end_one_feature_tells_the_last_steps_apart():
    positions = Positions(1, near_end=True)
    with torch.no_grad():
        positions.project.weight.zero_()[:, -len(NEAR_END)] = 1.0
        positions.project.bias.zero_()
    near = positions(LENGTHS, T)[..., 0]
    for row, length in zip(near, LENGTHS.tolist(), strict=True):
        torch.testing.assert_close(
            row[:length], torch.exp(-torch.arange(length).flip(0) / NEAR_END[0])
        )


def test_positions_have_unit_scale():
    torch.manual_seed(0)
    outline = Outline(torch.tensor([[12.0, 3, 2]]))
    for kinds in (
        {},
        {"near_end": True},
        {"reads_time_signature": True},
        {"near_end": True, "reads_time_signature": True},
    ):
        features = Positions(64, **kinds)(torch.tensor([200]), 200, outline)
        scale = float(features.detach().std())
        assert 0.5 < scale < 2


def test_the_last_features_are_the_home_of_each_sequence():
    torch.manual_seed(0)
    positions = Positions(8, reads_home=True)
    assert positions.size == 8 + NUM_HOMES
    homes = torch.tensor([3, NUM_HOMES, 23])
    found = positions(LENGTHS, T, Outline(homes=homes))
    assert found.shape == (3, T, positions.size)
    of_home = found[..., 8:]
    assert of_home[0, :, 3].eq(1).all()
    assert of_home[2, :, 23].eq(1).all()
    assert of_home.sum((1, 2)).tolist() == [T, 0, T]
    without = positions(LENGTHS, T)
    assert torch.equal(without[..., :8], found[..., :8])
    assert not without[..., 8:].any()
