"""The state of some frames is that of each of them."""

import torch

from lnfgen.models.frame_state import FrameState
from lnfgen.models.mixture import Copies
from lnfgen.models.voice_leading import NUM_VOICES, DrawnVoices

NUM_FRAMES = 4
KEYS = 5


def state(num_samples: int) -> FrameState:
    """Random features of frames that all differ, for so many samples of their context."""
    copies = [torch.rand(NUM_FRAMES, 2, KEYS) for _ in range(4)]
    numbers = torch.arange(NUM_FRAMES)
    return FrameState(
        units=torch.rand(num_samples, NUM_FRAMES, KEYS, 3),
        copies=Copies(*copies),
        weights=torch.rand(num_samples, NUM_FRAMES, 3),
        of_voices=torch.rand(NUM_FRAMES, 1, 3),
        paths=torch.rand(NUM_FRAMES, KEYS, 2),
        below=torch.rand(NUM_FRAMES, KEYS),
        cases=torch.rand(NUM_FRAMES, NUM_VOICES + 1, KEYS),
        drawn=DrawnVoices(numbers[:, None], numbers[:, None], numbers, numbers > 1),
        silent=torch.rand(NUM_FRAMES, KEYS) < 0.5,
        of_held=torch.rand(NUM_FRAMES, KEYS),
        parts=numbers,
    )


def test_the_state_of_some_frames_has_the_rows_of_these():
    whole = state(num_samples=2)
    rows = torch.tensor([3, 0, 0])
    some = whole.of_rows(rows)
    assert torch.equal(some.units, whole.units[:, rows])
    assert torch.equal(some.weights, whole.weights[:, rows])
    for name in ("of_voices", "paths", "below", "cases", "silent", "of_held", "parts"):
        assert torch.equal(getattr(some, name), getattr(whole, name)[rows]), name
    for found, every in zip(some.copies, whole.copies, strict=True):
        assert torch.equal(found, every[rows])
    assert whole._replace(of_held=None).of_rows(rows).of_held is None
    for found, every in zip(some.drawn, whole.drawn, strict=True):
        assert torch.equal(found, every[rows])
