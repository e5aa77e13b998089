"""An output head with the same weights for every key, which also reads the frames before."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from lnfgen.conventions import SOUNDING
from lnfgen.models.observation import Frames, Known
from lnfgen.models.output import Drawn, Logits, OutputHead, Sampler, settled, settled_by_row
from lnfgen.models.voice_leading import (
    MOST,
    NO_KEY,
    NUM_MOVES,
    SIZES,
    count_from_the_top,
    lowest_key,
    move_to,
    parallel_case,
    parallels_above,
    parallels_with,
    voice_moves,
)
from lnfgen.nn.dropout import Dropout
from lnfgen.nn.masking import shift
from lnfgen.nn.scan import GatedRecurrence

REACH = 24
"""In the frames before it, a key sees the keys up to two octaves above and below it."""

REACH_NEAR = 12
"""A key sees what the recurrences of the keys up to an octave above and below it have made of the frames before."""

REACH_ABOVE = 36
"""In its own frame, a key sees the keys up to three octaves above it, and how many keys sound above it in all."""

FORBIDDEN = -1e4
"""The score of a key that cannot be chosen; it is finite, so that differences of two of them are numbers."""

REACH_OUTER = 48
"""The highest and the lowest key are told apart by intervals of up to four octaves."""

PATH = 6
"""So many numbers say how a key that sounds has come to do so, for the keys below it."""

NUM_MIXES = 2
"""So many residual layers combine what a key is told, as that a move is in parallel and that one voice is to come."""

CERTAIN = 30.0
"""The logit of an onset where no other value is possible: a key that was silent cannot be held."""

CONTEXT_PER_KEY = 8
"""So many numbers tell each key what the context says of it in particular."""

BEATS = (2, 3, 4, 6, 8, 12, 16, 24)
"""Periods in steps. A step is told its place in each, because beats and bars last so many steps."""


class KeywiseHead(OutputHead):
    """`p(x_t | x_<t, context_t)`, the outer voices of a frame first, with weights tied across the keys.

    The highest key that sounds is drawn first, then the lowest one given that, then the keys between them from the top
    down: `p(top) p(bottom | top) prod_i p(key i | keys above i, bottom)`, all given x_<t and context_t. So melody and
    bass are each one choice among the keys, and none of them is lost because many keys in a row were decided against.
    A choice among keys is written as logits of single keys: given that no key above sounds, key i does with probability
    `p(top = i) / p(top <= i)`.

    A key is described by what sounds around it, at intervals relative to it: in the frames before, through gated
    recurrences that run over time for each key, and in its own frame as far as that is drawn. It is also told how far
    the voice of its rank would move to it, which voices would move in parallel with that, and how many voices are still
    to come. So what is learned of a voice that moves by a step, or of a third in a chord, holds for every key. Only the
    context, a bias for each key and the ends of the range tell keys apart.

    Sources: D. Johnson, "Generating Polyphonic Music Using Tied Parallel Networks" (EvoMUSART 2017), for networks tied
    across the keys, there LSTMs; NADE for the order within a frame, as in `NADEHead`. The recurrences are those of
    `CausalScan`, so scoring is parallel over steps and keys. Sampling goes step by step: each frame is solved by sweeps
    over the keys, as with `NADEHead`.

    Limit: it costs `num_pitches` times a small network at each step, so a small range of pitches is worth having.
    """

    reads_past = True
    periods: Tensor

    def __init__(self, frames: Frames, num_context: int, hidden: int, dropout: float) -> None:
        """`hidden` is that of the model's backbone; a key has a quarter of it for the past and half for its output."""
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
        self.from_beat = nn.Linear(2 * len(BEATS), hidden)
        self.from_context = nn.Linear(num_context, hidden)
        self.by_key = nn.Linear(num_context, num_keys * CONTEXT_PER_KEY)
        self.from_by_key = nn.Linear(CONTEXT_PER_KEY, hidden)
        self.top = _OuterVoice(num_keys, hidden)
        self.silence = nn.Linear(hidden, 1)
        self.bottom = _OuterVoice(num_keys, hidden)
        self.from_top = nn.Embedding((REACH_OUTER + 1) * (len(SIZES) + 1), hidden)
        self.from_path_of_top = nn.Linear(PATH, hidden)
        self.from_bottom = nn.Embedding(2 * REACH_OUTER + 1, hidden)
        self.from_above = nn.Conv1d(bits + PATH, hidden, REACH_ABOVE)
        self.from_counts = nn.Embedding((MOST + 1) ** 2, hidden)
        self.from_move = nn.Embedding(NUM_MOVES, hidden)
        self.from_parallels = nn.Linear((REACH_ABOVE + REACH_OUTER) * len(SIZES), hidden, bias=False)
        self.mix = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(NUM_MIXES))
        self.out = nn.Linear(hidden, bits)
        self.of_parallels = nn.Linear((REACH_ABOVE + REACH_OUTER) * len(SIZES), bits, bias=False)
        nn.init.zeros_(self.of_parallels.weight)
        self.key_bias = nn.Parameter(torch.zeros(num_keys, bits))
        self.dropout = Dropout(dropout / 2)
        self.register_buffer("periods", torch.tensor(BEATS), persistent=False)

    def forward(self, context: Tensor, x: Tensor, heard: Tensor | None = None) -> Tensor:
        before, heard = shift(x), shift(x if heard is None else heard)
        past, _ = self._past(heard)
        beats = self._beats(torch.arange(x.shape[-2], device=x.device))
        return self._logits(self._given(context, past, beats[:, None], heard, before), x)

    def sampler(self, temperature: float) -> Sampler:
        return _KeywiseSampler(self, temperature)

    def _past(self, x: Tensor, states: list[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Features of the frames up to each step, and the states: x `[B, T, P]` -> `[B, T, P, past]`."""
        first, second = states or (None, None)
        y, first = self.first(_over_keys(self.around, self._bits(x)), first)
        near = _over_keys(self.near, y.transpose(-1, -2))
        y, second = self.second(self.dropout(torch.tanh(y + near)), second)
        return self.dropout(y), [first, second]

    def _given(self, context: Tensor, past: Tensor, beats: Tensor, heard: Tensor, before: Tensor) -> "_Given":
        """What is known of a frame before it is drawn; `heard` `[..., P]` is what it is told of the one before."""
        by_key = self.by_key(context).unflatten(-1, (self.frames.num_pitches, CONTEXT_PER_KEY))
        of_step = self.from_context(context)[..., None, :] + self.from_beat(beats)
        units = self.from_past(past) + of_step + self.from_by_key(self.dropout(by_key))
        sounding = (heard & SOUNDING) > 0
        rank = count_from_the_top(sounding)
        keys = torch.stack([lowest_key(sounding & (rank == number)) for number in range(1, MOST + 2)], -1)
        lowest = lowest_key(sounding)
        h = self.top(units + self.top.from_move(voice_moves(keys[..., :1], self.frames.num_pitches)), self.dropout)
        silence = self.silence(h.amax(-2))
        return _Given(
            units=units,
            paths=torch.tanh(self.path(past)).transpose(-1, -2),
            below=sounding.cumsum(-1).clamp(max=MOST),
            keys=keys,
            lowest=lowest,
            silent=(before & SOUNDING) == 0,
            top=torch.cat([silence, self.top.scores(h)], -1),
        )

    def _logits(self, given: "_Given", x: Tensor) -> Tensor:
        sounding = (x & SOUNDING) > 0
        here = torch.arange(self.frames.num_pitches, device=x.device)
        top = torch.where(sounding, here, NO_KEY).amax(-1, keepdim=True)
        bottom = torch.where(sounding, here, self.frames.num_pitches).amin(-1, keepdim=True)
        highest = _one_by_one(given.top)[..., 1:]
        lowest = _one_by_one(self._bottom(given, top).flip(-1)).flip(-1)
        between = self._between(given, x, bottom)
        sounds = torch.where(here >= top, highest, torch.where(here <= bottom, lowest, between[..., 0]))
        if not self.frames.has_onsets:
            return sounds.to(self.dtype)
        onset = torch.where(given.silent, CERTAIN, between[..., 1])
        return torch.cat([sounds, onset], -1).to(self.dtype)

    def _bottom(self, given: "_Given", top: Tensor) -> Tensor:
        """The scores of each key as the lowest one, given the highest one `[..., 1]`: `[..., P]`."""
        num_keys = self.frames.num_pitches
        here = torch.arange(num_keys, device=top.device)
        moves = voice_moves(given.lowest[..., None], num_keys)
        case = parallel_case(moves, move_to(top, given.keys[..., :1]))
        interval = (top - here).clamp(0, REACH_OUTER)
        path = given.paths.gather(-1, top.clamp(min=0)[..., None, :].expand(*top.shape[:-1], PATH, 1))
        units = given.units + self.bottom.from_move(moves) + self.from_path_of_top(path.transpose(-1, -2))
        units = units + self.from_top(interval * (len(SIZES) + 1) + case)
        scores = self.bottom.scores(self.bottom(units, self.dropout))
        return torch.where(here <= top, scores, FORBIDDEN)

    def _between(self, given: "_Given", x: Tensor, bottom: Tensor) -> Tensor:
        """The logits of each bit of the keys, given those above and the lowest one `[..., 1]`: `[..., P, bits]`."""
        bits = self._bits(x)
        sounding = bits[..., 0, :]
        heard = torch.cat([bits, given.paths * sounding[..., None, :]], -2)
        above = _over_keys(self.from_above, pad(heard, (-1, REACH_ABOVE)))
        count = (count_from_the_top(sounding) - sounding).long().clamp(max=MOST)
        counts = self.from_counts(given.below * (MOST + 1) + count)
        own = given.keys.expand(*count.shape[:-1], -1).gather(-1, count)
        moves = voice_moves(own, self.frames.num_pitches)
        interval = torch.arange(self.frames.num_pitches, device=x.device) - bottom
        of_bottom = move_to(bottom, given.lowest[..., None])
        both = (
            parallels_above(moves, (x & SOUNDING) > 0, REACH_ABOVE),
            parallels_with(of_bottom, moves, interval, REACH_OUTER),
        )
        parallels = torch.cat(both, -1).to(self.dtype)
        near = self.from_bottom(interval.clamp(-REACH_OUTER, REACH_OUTER) + REACH_OUTER)
        h = gelu(given.units + (above + counts + self.from_move(moves) + near + self.from_parallels(parallels)))
        for mix in self.mix:
            h = h + gelu(mix(self.dropout(h)))
        return self.out(self.dropout(h)) + self.key_bias + self.of_parallels(parallels)

    def _bits(self, x: Tensor) -> Tensor:
        return self.frames.bits(x, self.dtype).unflatten(-1, (-1, self.frames.num_pitches))

    def _beats(self, t: Tensor) -> Tensor:
        """The place of step t in each of the periods, as sines and cosines: `[...]` -> `[..., 2 * len(BEATS)]`."""
        angle = 2 * math.pi * (t[..., None] % self.periods) / self.periods
        return torch.cat([angle.sin(), angle.cos()], -1).to(self.dtype)


class _OuterVoice(nn.Module):
    """Scores of the keys for the highest or the lowest voice of a frame."""

    def __init__(self, num_keys: int, hidden: int) -> None:
        super().__init__()
        self.from_move = nn.Embedding(NUM_MOVES, hidden)
        self.mix = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, 1, bias=False)
        self.key_bias = nn.Parameter(torch.zeros(num_keys))

    def forward(self, units: Tensor, dropout: nn.Module) -> Tensor:
        h = gelu(units)
        return dropout(h + gelu(self.mix(dropout(h))))

    def scores(self, h: Tensor) -> Tensor:
        return self.out(h)[..., 0] + self.key_bias


class _Given(NamedTuple):
    """What a frame's keys are told before any of it is drawn.

    Attributes:
        units: what the hidden units of each key get, `[..., P, hidden]`.
        paths: of each key, how it would have come to sound, `[..., PATH, P]`.
        below: how many keys at or below each key sounded in the frame before, `[..., P]`. With the count of those above
            it that sound now, this says how many voices are still to come.
        keys: the keys of the frame before, from the highest voice down, `[..., MOST + 1]`.
        lowest: the lowest key of the frame before, `[...]`.
        silent: whether each key was silent in the frame before, `[..., P]`; if it sounds now it is struck.
        top: the scores of silence and of each key as the highest one, `[..., 1 + P]`.
    """

    units: Tensor
    paths: Tensor
    below: Tensor
    keys: Tensor
    lowest: Tensor
    silent: Tensor
    top: Tensor


def _one_by_one(scores: Tensor) -> Tensor:
    """A choice by softmax as logits of single choices, the last one first: scores `[..., N]` -> `[..., N]`.

    The logit of i is that of `p(i) / p(one of 0 to i)`: given that none of those after it is chosen. That of the first
    one is left at 0, because it is certain.
    """
    rest = torch.logcumsumexp(scores, -1)[..., :-1]
    return pad(scores[..., 1:] - rest, (1, 0))


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
        beats = head._beats(torch.full((), self._t, device=context.device))
        given = head._given(context, features[:, 0], beats, before, before)
        if known is None:
            drawn = settled(head.frames, lambda x: head._logits(given, x), uniform, self._temperature)
        else:  # many rows, most of whose keys go on as they were

            def logits_of(rows: Tensor) -> Logits:
                some = _Given(*(part[rows] for part in given))
                return lambda x: head._logits(some, x)

            guess = before & SOUNDING
            drawn = settled_by_row(head.frames, logits_of, guess, uniform, self._temperature, known)
        self._x = drawn.x
        self._t += 1
        return drawn


def _over_keys(convolution: nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution over the keys: `[..., channels, P]` -> `[..., P, channels]`."""
    return convolution(x.flatten(0, -3)).transpose(-1, -2).unflatten(0, x.shape[:-2])
