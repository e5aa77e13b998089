"""Harmonies are drawn towards chords that have a name.

Beside a melody unlike those that a model was trained on, it draws more chords without a name than
its training data has. So in a harmony each of these costs something.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lnfgen.conventions import SOUNDING
from lnfgen.inference.known_music import KnownMusic
from lnfgen.music.chord import named_sets
from lnfgen.music.harmony import set_number

COST = 1.0
"""The nats that a beat costs if its chord has no name.

With it such chords are as frequent as in chorales; `examples/experiments.md` has the figures.
"""


class NamedChords:
    """The `Potential` of a piece of one part: `exp(-COST)` for each beat without a name.

    The chord of a beat is all that sounds at its first step. So particles that draw a chord without
    a name are resampled less often, and a harmony comes from p(hidden | known) times this
    potential.
    """

    def __init__(self, part: KnownMusic) -> None:
        """The known part of the piece tells its beats and the pitches of its keys."""
        assert not part.encoding.roles
        self._beats = part.beats
        key_classes = part.pitches[0] % 12
        self._is_class = key_classes == np.arange(12)[:, None]  # [12, P]

    def __call__(self, t: int, so_far: Callable[[], Tensor]) -> Tensor | None:
        """`log_weight` once a beat has begun; None at other steps."""
        if t - 1 not in self._beats:
            return None
        return self.log_weight(so_far())

    def log_weight(self, x: Tensor) -> Tensor:
        """The logarithms of the weights of rows x `[N, t, 1, P]`, float64 `[N]` on the CPU."""
        beats = self._beats[self._beats < x.shape[1]]
        frames = x.cpu().numpy()[:, beats, 0]
        sounding = (frames & SOUNDING) > 0
        classes = (sounding[:, :, None] & self._is_class).any(-1)  # [N, beats, 12]
        has_name = named_sets()[set_number(classes)]
        num_unnamed = (~has_name).sum(-1)
        return -COST * torch.from_numpy(num_unnamed).double()
