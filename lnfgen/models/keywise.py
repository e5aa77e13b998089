"""An output head with the same weights for every key, which also reads the frames before."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from lnfgen.models.observation import Frames
from lnfgen.models.output import OutputHead, settled
from lnfgen.nn.dropout import Dropout
from lnfgen.nn.masking import shift
from lnfgen.nn.scan import CausalScan, ScanState

REACH = 24
"""In the frames before it, a key sees the keys up to two octaves above and below it."""

REACH_BELOW = 36
"""In its own frame, a key sees the keys up to three octaves below it, and how many keys sound below it in all."""

MOST_BELOW = 6
"""So many keys that sound below a key, or more, are one case."""

CONTEXT_PER_KEY = 8
"""So many numbers tell each key what the context says of it in particular."""

BEATS = (2, 3, 4, 6, 8, 12, 16, 24)
"""Periods in steps. A step is told its place in each, because beats and bars last so many steps."""


class KeywiseHead(OutputHead):
    """`p(x_t | x_<t, context_t) = prod_i p(key i | keys below i, x_<t, context_t)`, with weights tied across the keys.

    A key is described by what sounds around it, at intervals relative to it: in the frames before, through gated
    recurrences that run over time for each key, and below it in its own frame. So what is learned of a voice that moves
    by a step, or of a third in a chord, holds for every key. Only the context, a bias for each key and the ends of the
    range tell keys apart.

    Sources: D. Johnson, "Generating Polyphonic Music Using Tied Parallel Networks" (EvoMUSART 2017), for networks tied
    across the keys, there LSTMs; NADE for the order within a frame, as in `NADEHead`. The recurrences are those of
    `CausalScan`, so scoring is parallel over steps and keys. Sampling goes step by step: each frame is solved by sweeps
    over the keys, as with `NADEHead`.

    Limit: it costs `num_pitches` times a small network at each step, so a small range of pitches is worth having.
    """

    reads_past = True
    periods: Tensor

    def __init__(self, frames: Frames, num_context: int, hidden: int, dropout: float) -> None:
        """`hidden` is that of the model's backbone; a key has a sixth and a fourth of it."""
        super().__init__()
        self.frames = frames
        num_keys, bits = frames.num_pitches, frames.num_logits // frames.num_pitches
        past, hidden = max(8, hidden // 6), max(8, hidden // 4)
        self.around = nn.Linear(bits * (2 * REACH + 1), past)
        nn.init.normal_(self.around.weight, std=0.5)  # a few of many bits are set, and features must have unit scale
        self.scan = CausalScan(past, past, 2, dropout / 2)
        self.from_past = nn.Linear(past, hidden)
        self.from_below = nn.Linear(bits * REACH_BELOW, hidden)
        self.from_count = nn.Embedding(MOST_BELOW + 1, hidden)
        self.from_beat = nn.Linear(2 * len(BEATS), hidden)
        self.from_context = nn.Linear(num_context, hidden)
        self.by_key = nn.Linear(num_context, num_keys * CONTEXT_PER_KEY)
        self.from_by_key = nn.Linear(CONTEXT_PER_KEY, hidden)
        self.mix = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, bits)
        self.key_bias = nn.Parameter(torch.zeros(num_keys, bits))
        self.dropout = Dropout(dropout / 2)
        self.register_buffer("periods", torch.tensor(BEATS), persistent=False)

    def forward(self, context: Tensor, x: Tensor) -> Tensor:
        past, _ = self.scan(self.around(self._around(shift(x))))
        beats = self._beats(torch.arange(x.shape[-2], device=x.device))
        return self._logits(self._given(context, past, beats[:, None]), x)

    def sampler(self, temperature: float) -> Callable[[Tensor, Tensor], Tensor]:
        t = 0
        x: Tensor | None = None
        state: ScanState | None = None

        def step(context: Tensor, uniform: Tensor) -> Tensor:
            nonlocal t, x, state
            if x is None:
                x = self.frames.silence(uniform)
            past, state = self.scan(self.around(self._around(x))[:, None], state)
            beats = self._beats(torch.tensor(t, device=context.device))
            given = self._given(context, past[:, 0], beats)
            x = settled(self.frames, lambda x: self._logits(given, x), uniform, temperature)
            t += 1
            return x

        return step

    def _given(self, context: Tensor, past: Tensor, beats: Tensor) -> Tensor:
        """What the hidden units of each key get from all but the keys below it: `[..., P, hidden]`."""
        by_key = self.by_key(context).unflatten(-1, (self.frames.num_pitches, CONTEXT_PER_KEY))
        of_step = self.from_context(context)[..., None, :] + self.from_beat(beats)
        return self.from_past(past) + of_step + self.from_by_key(self.dropout(by_key))

    def _logits(self, given: Tensor, x: Tensor) -> Tensor:
        bits = self._bits(x)
        below = pad(bits, (REACH_BELOW, 0))[..., :-1].unfold(-1, REACH_BELOW, 1)  # [..., bits, P, REACH_BELOW]
        sounding = bits[..., 0, :]
        count = (sounding.cumsum(-1) - sounding).clamp(max=MOST_BELOW).long()
        h = gelu(given + (self.from_below(_by_key(below)) + self.from_count(count)))
        h = gelu(self.mix(self.dropout(h)))
        by_key = self.out(self.dropout(h)) + self.key_bias
        return by_key.transpose(-1, -2).flatten(-2).to(self.dtype)  # all sounding logits, then all onset logits

    def _around(self, x: Tensor) -> Tensor:
        """The bits of the keys around each key: x `[..., P]` -> `[..., P, bits * (2 REACH + 1)]`."""
        return _by_key(pad(self._bits(x), (REACH, REACH)).unfold(-1, 2 * REACH + 1, 1))

    def _bits(self, x: Tensor) -> Tensor:
        return self.frames.bits(x, self.dtype).unflatten(-1, (-1, self.frames.num_pitches))

    def _beats(self, t: Tensor) -> Tensor:
        """The place of step t in each of the periods, as sines and cosines: `[...]` -> `[..., 2 * len(BEATS)]`."""
        angle = 2 * math.pi * (t[..., None] % self.periods) / self.periods
        return torch.cat([angle.sin(), angle.cos()], -1).to(self.dtype)


def _by_key(windows: Tensor) -> Tensor:
    """`[..., bits, P, window]` -> `[..., P, bits * window]`."""
    return windows.transpose(-2, -3).flatten(-2)
