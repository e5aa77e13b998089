"""An output head with the same weights for every key, which also reads the frames before."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from lnfgen.conventions import SOUNDING
from lnfgen.models.observation import Frames, Known
from lnfgen.models.output import Drawn, Logits, OutputHead, Sampler, settled, settled_by_row
from lnfgen.nn.dropout import Dropout
from lnfgen.nn.masking import shift
from lnfgen.nn.scan import GatedRecurrence

REACH = 24
"""In the frames before it, a key sees the keys up to two octaves above and below it."""

REACH_NEAR = 12
"""A key sees what the recurrences of the keys up to an octave above and below it have made of the frames before."""

REACH_ABOVE = 36
"""In its own frame, a key sees the keys up to three octaves above it, and how many keys sound above it in all."""

FARTHEST = 12
"""A voice moves by so many semitones at most; further is one case up and one case down."""

NO_MOVE = FARTHEST + 1
"""The number of the case that a voice does not move; those of moves down are before it, those of moves up after it."""

NO_KEY = -1
"""The key of a voice that is silent."""

MOST = 6
"""So many keys that sound below or above a key, or more, are one case."""

SIZES = (2, 5, FARTHEST)
"""Parallel moves are told apart by size: steps, up to a fourth, and further."""

PATH = 6
"""So many numbers say how a key that sounds has come to do so, for the keys below it."""

NUM_MIXES = 2
"""So many residual layers combine what a key is told, as whether a move is in parallel and how many voices there are."""

CERTAIN = 30.0
"""The logit of an onset where no other value is possible: a key that was silent cannot be held."""

CONTEXT_PER_KEY = 8
"""So many numbers tell each key what the context says of it in particular."""

BEATS = (2, 3, 4, 6, 8, 12, 16, 24)
"""Periods in steps. A step is told its place in each, because beats and bars last so many steps."""


class KeywiseHead(OutputHead):
    """`p(x_t | x_<t, context_t) = prod_i p(key i | keys above i, x_<t, context_t)`, with weights tied across the keys.

    A key is described by what sounds around it, at intervals relative to it: in the frames before, through gated
    recurrences that run over time for each key, and above it in its own frame. It is also told how far the voice of its
    rank would move to it, which higher voices would move in parallel with that, and how many voices are still to come.
    So what is learned of a voice that moves by a step, or of a third in a chord, holds for every key. Only the context,
    a bias for each key and the ends of the range tell keys apart.

    Sources: D. Johnson, "Generating Polyphonic Music Using Tied Parallel Networks" (EvoMUSART 2017), for networks tied
    across the keys, there LSTMs; NADE for the order within a frame, as in `NADEHead`. The recurrences are those of
    `CausalScan`, so scoring is parallel over steps and keys. Sampling goes step by step: each frame is solved by sweeps
    over the keys, as with `NADEHead`.

    Limit: it costs `num_pitches` times a small network at each step, so a small range of pitches is worth having.
    """

    reads_past = True
    periods: Tensor

    def __init__(self, frames: Frames, num_context: int, hidden: int, dropout: float) -> None:
        """`hidden` is that of the model's backbone; a key has a quarter of it for the past and half of it for its output."""
        super().__init__()
        self.frames = frames
        num_keys, bits = frames.num_pitches, frames.num_logits // frames.num_pitches
        past, hidden = max(8, hidden // 4), max(8, hidden // 2)
        self.around = nn.Conv1d(bits, past, 2 * REACH + 1, padding=REACH)
        nn.init.normal_(self.around.weight, std=0.5)  # a few of many bits are set, and features must have unit scale
        self.first = GatedRecurrence(past, past, entry=True)
        self.near = nn.Conv1d(past, past, 2 * REACH_NEAR + 1, padding=REACH_NEAR)
        self.second = GatedRecurrence(past, past)
        self.from_past = nn.Linear(past, hidden)
        self.path = nn.Linear(past, PATH)
        self.from_above = nn.Conv1d(bits + PATH, hidden, REACH_ABOVE)
        self.from_counts = nn.Embedding((MOST + 1) ** 2, hidden)
        self.from_move = nn.Embedding(NO_MOVE + FARTHEST + 3, hidden)
        self.from_parallels = nn.Linear(REACH_ABOVE * len(SIZES), hidden, bias=False)
        self.of_parallels = nn.Linear(REACH_ABOVE * len(SIZES), bits, bias=False)
        nn.init.zeros_(self.of_parallels.weight)
        self.from_beat = nn.Linear(2 * len(BEATS), hidden)
        self.from_context = nn.Linear(num_context, hidden)
        self.by_key = nn.Linear(num_context, num_keys * CONTEXT_PER_KEY)
        self.from_by_key = nn.Linear(CONTEXT_PER_KEY, hidden)
        self.mix = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(NUM_MIXES))
        self.out = nn.Linear(hidden, bits)
        self.key_bias = nn.Parameter(torch.zeros(num_keys, bits))
        self.dropout = Dropout(dropout / 2)
        self.register_buffer("periods", torch.tensor(BEATS), persistent=False)

    def forward(self, context: Tensor, x: Tensor, heard: Tensor | None = None) -> Tensor:
        before, heard = shift(x), shift(x if heard is None else heard)
        past, _ = self._past(heard)
        beats = self._beats(torch.arange(x.shape[-2], device=x.device))
        return self._logits(self._given(context, past, beats[:, None]), self._voices(past, heard, before), x)

    def sampler(self, temperature: float) -> Sampler:
        return _KeywiseSampler(self, temperature)

    def _past(self, x: Tensor, states: list[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Features of the frames up to each step, and the states: x `[B, T, P]` -> `[B, T, P, past]`."""
        first, second = states or (None, None)
        y, first = self.first(_over_keys(self.around, self._bits(x)), first)
        near = _over_keys(self.near, y.transpose(-1, -2))
        y, second = self.second(self.dropout(torch.tanh(y + near)), second)
        return self.dropout(y), [first, second]

    def _voices(self, past: Tensor, heard: Tensor, before: Tensor) -> "_Voices":
        """What the keys above a key may tell it of the frame heard before, `[..., P]`, and of the frames up to then."""
        sounding = (heard & SOUNDING) > 0
        below = sounding.cumsum(-1).clamp(max=MOST)
        rank = _count_from_the_top(sounding)
        at = [(sounding & (rank == number)).to(torch.uint8) for number in range(1, MOST + 2)]
        keys = torch.stack([torch.where(key.any(-1).bool(), key.argmax(-1), NO_KEY) for key in at], -1)
        return _Voices(torch.tanh(self.path(past)).transpose(-1, -2), below, keys, (before & SOUNDING) == 0)

    def _given(self, context: Tensor, past: Tensor, beats: Tensor) -> Tensor:
        """What the hidden units of each key get from all but the keys above it: `[..., P, hidden]`."""
        by_key = self.by_key(context).unflatten(-1, (self.frames.num_pitches, CONTEXT_PER_KEY))
        of_step = self.from_context(context)[..., None, :] + self.from_beat(beats)
        return self.from_past(past) + of_step + self.from_by_key(self.dropout(by_key))

    def _logits(self, given: Tensor, voices: "_Voices", x: Tensor) -> Tensor:
        bits = self._bits(x)
        sounding = bits[..., 0, :]
        heard = torch.cat([bits, voices.paths * sounding[..., None, :]], -2)
        above = _over_keys(self.from_above, pad(heard, (-1, REACH_ABOVE)))
        count = (_count_from_the_top(sounding) - sounding).long().clamp(max=MOST)
        counts = self.from_counts(voices.below * (MOST + 1) + count)
        moves = self._moves(voices.keys, count)
        parallels = _parallels(moves, x & SOUNDING).to(self.dtype)
        h = gelu(given + (above + counts + self.from_move(moves) + self.from_parallels(parallels)))
        for mix in self.mix:
            h = h + gelu(mix(self.dropout(h)))
        by_key = self.out(self.dropout(h)) + self.key_bias + self.of_parallels(parallels)
        if self.frames.has_onsets:
            sounds, onset = by_key.unbind(-1)
            by_key = torch.stack([sounds, torch.where(voices.silent, CERTAIN, onset)], -1)
        return by_key.transpose(-1, -2).flatten(-2).to(self.dtype)  # all sounding logits, then all onset logits

    def _moves(self, keys: Tensor, count: Tensor) -> Tensor:
        """How far each key is from where its voice was: the voice with as many voices above it, `[..., P]`.

        The result is the case of `from_move`: `NO_MOVE` plus the semitones up, and the last one for a voice that was
        silent.
        """
        own = keys.expand(*count.shape[:-1], -1).gather(-1, count)
        here = torch.arange(self.frames.num_pitches, device=own.device)
        moves = (here - own).clamp(-FARTHEST - 1, FARTHEST + 1) + NO_MOVE
        return torch.where(own == NO_KEY, NO_MOVE + FARTHEST + 2, moves)

    def _bits(self, x: Tensor) -> Tensor:
        return self.frames.bits(x, self.dtype).unflatten(-1, (-1, self.frames.num_pitches))

    def _beats(self, t: Tensor) -> Tensor:
        """The place of step t in each of the periods, as sines and cosines: `[...]` -> `[..., 2 * len(BEATS)]`."""
        angle = 2 * math.pi * (t[..., None] % self.periods) / self.periods
        return torch.cat([angle.sin(), angle.cos()], -1).to(self.dtype)


class _Voices(NamedTuple):
    """What a key is told of the keys above it that sound, before these are known.

    Attributes:
        paths: of each key, how it would have come to sound, `[..., PATH, P]`.
        below: how many keys at or below each key sounded in the frame before, `[..., P]`. With the count of those above
            it that sound now, this says how many voices are still to come.
        keys: the keys of the frame before, from the highest voice down, `[..., MOST + 1]`.
        silent: whether each key was silent in the frame before, `[..., P]`; if it sounds now it is struck.
    """

    paths: Tensor
    below: Tensor
    keys: Tensor
    silent: Tensor


def _parallels(moves: Tensor, sounding: Tensor) -> Tensor:
    """Whether a key would move in parallel with one above it: `[..., P]` -> bool `[..., P, REACH_ABOVE * SIZES]`.

    For each size of the move, it is true at k - 1 if the key k above sounds and its voice has moved as far as this
    key's voice would. In one style thirds do so often, and fifths never.
    """
    voiced = torch.where(sounding > 0, moves, NO_MOVE).to(torch.int8)  # bytes, because there are many pairs
    above = pad(voiced, (0, REACH_ABOVE), value=NO_MOVE)[..., 1:].unfold(-1, REACH_ABOVE, 1)
    moves = moves.to(torch.int8)[..., None]
    size = (moves - NO_MOVE).abs()
    parallel = (above == moves) & (above != NO_MOVE)
    bounds = zip((0, *SIZES), SIZES, strict=False)
    return torch.cat([parallel & (low < size) & (size <= high) for low, high in bounds], -1)


def _count_from_the_top(sounding: Tensor) -> Tensor:
    """How many keys at or above each key sound: `[..., P]` -> `[..., P]`."""
    return sounding.flip(-1).cumsum(-1).flip(-1)


class _KeywiseSampler(Sampler):
    """It keeps the last frame, the states of the recurrences over time, and the number of the step."""

    def __init__(self, head: KeywiseHead, temperature: float) -> None:
        super().__init__(self._draw)
        self._head, self._temperature = head, temperature
        self._t = 0
        self._x: Tensor | None = None
        self._states: list[Tensor] | None = None

    def keep(self, rows: Tensor) -> None:
        if self._x is not None and self._states is not None:
            self._x, self._states = self._x[rows], [state[rows] for state in self._states]

    def _draw(self, context: Tensor, uniform: Tensor, known: Known | None) -> Drawn:
        head = self._head
        before = head.frames.silence(uniform) if self._x is None else self._x
        features, self._states = head._past(before[:, None], self._states)
        past = features[:, 0]
        given = head._given(context, past, head._beats(torch.tensor(self._t, device=context.device)))
        voices = head._voices(past, before, before)
        if known is None:
            drawn = settled(head.frames, lambda x: head._logits(given, voices, x), uniform, self._temperature)
        else:  # many rows, most of whose keys go on as they were

            def logits_of(rows: Tensor) -> Logits:
                some = given[rows], _Voices(*(part[rows] for part in voices))
                return lambda x: head._logits(*some, x)

            guess = before & SOUNDING
            drawn = settled_by_row(head.frames, logits_of, guess, uniform, self._temperature, known)
        self._x = drawn.x
        self._t += 1
        return drawn


def _over_keys(convolution: nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution over the keys: `[..., channels, P]` -> `[..., P, channels]`."""
    return convolution(x.flatten(0, -3)).transpose(-1, -2).unflatten(0, x.shape[:-2])
