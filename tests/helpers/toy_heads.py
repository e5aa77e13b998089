"""Output heads with random weights, and frames for them."""

import torch
from toy_models import randomise

from lnfgen.models.autoregressive import AutoregressiveHead
from lnfgen.models.frame_past import REACH, REACH_NEAR
from lnfgen.models.observation import Frames
from lnfgen.models.voice_leading import VoicePairs
from lnfgen.nn.parameter_groups import FAST, RATES
from lnfgen.nn.positions import NUM_HOMES

STEPS = 6
KEYS = 32
CONTEXT = 5
TRIO = Frames(5, has_onsets=True, parts=3)
WIDE = Frames(REACH + REACH_NEAR + 4, has_onsets=True, parts=2)


def head(
    has_onsets: bool = True, keys: int = KEYS, copies: bool = True, reads_home: bool = False
) -> AutoregressiveHead:
    """Large weights everywhere, but for rules, which count ten times."""
    torch.manual_seed(0)
    size = CONTEXT + NUM_HOMES if reads_home else CONTEXT
    tied = AutoregressiveHead(
        Frames(keys, has_onsets), size, 32, 0.3, copies=copies, reads_home=reads_home
    )
    tied = randomise(tied).double().eval()
    with torch.no_grad():
        for pairs in pairs_of(tied):
            pairs.rules.div_(RATES[FAST])
        if copies:
            tied.gate.from_attended.weight.zero_()  # otherwise copies take all
            tied.gate.from_context.weight.zero_()
    return tied


def pairs_of(tied: AutoregressiveHead) -> list[VoicePairs]:
    return [tied.turns[name].pairs for name in ("lowest", "next")]


def frames(has_onsets: bool = True) -> torch.Tensor:
    """A few notes in the middle of the range, so that they can be moved without leaving it."""
    generator = torch.Generator().manual_seed(1)
    x = torch.zeros(2, STEPS, 1, KEYS, dtype=torch.uint8)
    values = torch.tensor([0, 1, 3] if has_onsets else [0, 1, 1], dtype=torch.uint8)
    x[..., 14:18] = values[torch.randint(3, (2, STEPS, 1, 4), generator=generator)]
    return x


def band_head(frames: Frames, *, copies: bool) -> AutoregressiveHead:
    torch.manual_seed(0)
    made = randomise(AutoregressiveHead(frames, 4, 32, 0.0, copies=copies), 0.2)
    if made.held is not None:
        made.held.added.normal_()
    return made.double().eval()
