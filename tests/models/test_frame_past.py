"""Features of the frames before: at once and step by step, and of the parts of a step in turn."""

import pytest
import torch
from torch import nn
from toy_models import random_x, randomise

from lnfgen.models.frame_past import REACH, EarlierParts, FramePast
from lnfgen.models.observation import Frames

pytestmark = pytest.mark.contract

SIZE = 5
STEPS = 7
ALONE = Frames(6, True)
TRIO = Frames(6, True, parts=3)


@pytest.mark.parametrize(
    "frames", [ALONE, TRIO, Frames(6, False)], ids=["one", "trio", "no onsets"]
)
@torch.no_grad()
def test_step_by_step_is_at_once_also_after_rows_were_chosen(frames):
    past = randomise(FramePast(frames, SIZE, nn.Identity()), 0.3).double()
    x = random_x(frames, 3, STEPS)
    near = past.near_spectrum()
    rows = torch.tensor([2, 0, 0])
    state = None
    for step in range(STEPS):
        if step == 4:
            x = x[rows]
            state = state.of_rows(rows)
        found, state = past(x[:, step : step + 1], near, state)
        expected, _ = past(x, near)
        assert found.shape == (3, 1, frames.num_pitches, SIZE)
        torch.testing.assert_close(found[:, 0], expected[:, step], rtol=1e-9, atol=1e-12)


@torch.no_grad()
def test_a_key_alone_reads_only_keys_around_it_and_a_band_reads_all():
    wide = 3 * REACH
    for frames, reads_all in ((Frames(wide, True), False), (Frames(wide, True, parts=2), True)):
        past = randomise(FramePast(frames, SIZE, nn.Identity()), 0.3).double()
        x = torch.zeros(1, 1, frames.parts, wide, dtype=torch.uint8)
        changed = x.clone()
        changed[..., 0] = 3
        near = past.near_spectrum()
        moved = (past(changed, near)[0] - past(x, near)[0]).abs().amax(-1)[0, 0]
        assert moved[0] > 1e-6
        assert (moved[-1] > 1e-6).item() == reads_all


@pytest.mark.parametrize("has_onsets", [False, True])
@torch.no_grad()
def test_features_of_earlier_parts_are_the_tanh_of_a_sum_part_by_part(has_onsets):
    frames = Frames(6, has_onsets, parts=4)
    earlier = randomise(EarlierParts(frames, SIZE, nn.Identity()), 0.3).double()
    x = random_x(frames, 5, 1)[:, 0]
    found = earlier(x)
    assert found.shape == (5, 4, 6, SIZE)
    total = torch.zeros(5, 6, SIZE, dtype=torch.float64)
    for part in range(4):
        torch.testing.assert_close(found[:, part], torch.tanh(total), rtol=1e-9, atol=1e-12)
        if part < 3:  # no part reads the last one
            total = total + earlier.added_by(part, x[:, part])
