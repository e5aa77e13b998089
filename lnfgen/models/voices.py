"""An output head that draws frames voice by voice, with the same weights for every key, and reads the frames before."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lnfgen.conventions import ONSET, SOUNDING
from lnfgen.device import Dropout
from lnfgen.models.observation import Frames, Known
from lnfgen.models.output import Drawn, OutputHead, Sampler
from lnfgen.models.voice_leading import (
    NO_KEY,
    NUM_MOVES,
    NUM_VOICES,
    Voice,
    VoiceChoice,
    VoicePairs,
    highest_key,
    lowest_key,
    melody,
    move_case,
    voice_keys,
)
from lnfgen.nn.copying import NUM_HEADS, CopyAttention
from lnfgen.nn.masking import shift, tempered
from lnfgen.nn.scans import GatedRecurrence

REACH = 24
"""In the frames before it, a key sees the keys up to two octaves above and below it."""

REACH_NEAR = 12
"""A key sees what the recurrences of the keys up to an octave above and below it have made of the frames before."""

FORBIDDEN = -1e4
"""The score of a key that cannot be chosen; it is finite, so that differences of two of them are numbers."""

CERTAIN = 30.0
"""The logit of an onset where no other value is possible: a key that was silent cannot be held."""

CONTEXT_PER_KEY = 8
"""Features of the context for each key."""

MELODY_HALF_LIVES = (4.0, 8.0, 16.0, 32.0)
"""They are longer than those for whole frames, because single notes of a melody are often alike by chance."""

PATH = 6
"""Features of how the voice at a key has come there, which the other voices read."""

BEATS = (2, 3, 4, 6, 8, 12, 16, 24)
"""Periods of beats and bars in steps. Each step has features of its place in them."""


class VoiceHead(OutputHead):
    """`p(x_t | x_<t, context_t)`, voice by voice: each is one choice among the keys, with weights tied across the keys.

    The configuration calls this output `past`.

    The head draws the highest key first, or silence; then the lowest one; then the keys between them from the top down,
    each time the next one or none: `p(top) p(bottom | top) prod_m p(voice m | voices above it, bottom)`, all given x_<t
    and context_t. It draws with each key if it is struck, but with the lowest one last. So it loses no voice because it
    decided against many keys in a row, as heads do that decide each key by itself.

    A choice among keys is written as logits of single keys: given that no key above it is chosen, key i is chosen with
    probability `p(i) / p(i or one below or none)`. So a frame is scored, and drawn given some of its keys, as by heads
    that decide key by key.

    The units of a key read the keys that sound around it, at intervals relative to it: in the frames before, through
    gated recurrences that run over time for each key, and in its own frame from the voices drawn so far. They also read
    how far its voice would move to it, which voices would move in parallel with that, and how many voices are still to
    come. So the weights for a step of a voice, or for a third in a chord, are the same for every key. Only the context,
    a bias for each key and the ends of the range tell keys apart. With `copies` the units also read what the key did
    next where the frames before were most like the last ones (`CopyAttention`), because phrases come again. With
    `copies_melody` they read it of the highest keys alone, because a melody comes again over other chords.

    Sources: D. Johnson, "Generating Polyphonic Music Using Tied Parallel Networks" (EvoMUSART 2017), for networks tied
    across the keys, there LSTMs, which decide key by key. The recurrences are those of `CausalScan`, so scoring is
    parallel over steps and keys. Sampling goes step by step, and voice by voice within it.

    Limits: it costs `num_pitches` times a small network at each step, so a small range of pitches is worth having. Of
    more than `NUM_VOICES` keys, those below are independent of each other, given those above them.
    """

    reads_past = True
    periods: Tensor

    def __init__(
        self, frames: Frames, num_context: int, hidden: int, dropout: float, *, copies: bool, copies_melody: bool
    ) -> None:
        """A key has a quarter of the `hidden` features for the past, and half of them for its output."""
        super().__init__()
        self.frames = frames
        num_keys, bits = frames.num_pitches, frames.bits_per_key
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
        self.from_voice = nn.Embedding((NUM_VOICES + 1) * NUM_MOVES * 2, hidden)
        self.from_path = nn.Linear(PATH, hidden)
        self.from_counts = nn.Embedding((NUM_VOICES + 1) * NUM_VOICES, hidden)
        self.from_num_before = nn.Embedding(NUM_VOICES + 1, hidden)
        self.copying = CopyAttention() if copies else None
        if copies:
            self.from_copied = nn.Linear(NUM_HEADS * bits, hidden, bias=False)
            self.from_nothing = nn.Linear(NUM_HEADS, hidden, bias=False)
        self.copying_melody = CopyAttention(MELODY_HALF_LIVES) if copies_melody else None
        if copies_melody:
            self.from_melody = nn.Linear(NUM_HEADS * bits, hidden, bias=False)
            self.from_no_melody = nn.Linear(NUM_HEADS, hidden, bias=False)
        self.top = VoiceChoice(num_keys, hidden, bits)
        self.silence = nn.Linear(hidden, 1)
        self.bottom = VoiceChoice(num_keys, hidden, 1)
        self.bottom_to_top = VoicePairs(num_keys, 1, hidden)
        self.inner = VoiceChoice(num_keys, hidden, bits)
        self.inner_to_others = VoicePairs(num_keys, NUM_VOICES, hidden)
        self.no_more = nn.Linear(hidden, 1)
        self.dropout = Dropout(dropout / 2)
        self.register_buffer("periods", torch.tensor(BEATS), persistent=False)

    def forward(self, context: Tensor, x: Tensor, noisy: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        noisy = x if noisy is None else noisy
        copied = self._copied(self._compared(noisy), CopyAttention.__call__)
        before, noisy = shift(x), shift(noisy)
        past, _ = self._past(noisy)
        beats = self._beats(torch.arange(x.shape[-2], device=x.device))
        start = self._start(context, past, copied, beats[:, None], noisy, before, x)
        return self._logits(start, lambda logits: x, temperature)

    def sampler(self, temperature: float) -> Sampler:
        return _VoiceSampler(self, temperature)

    @property
    def rules(self) -> list[Tensor]:
        """The tables of rules: their last dimension is the motion of two voices, the one before it their interval."""
        return [self.bottom_to_top.rules, self.inner_to_others.rules]

    def applied_rules(self, sounding: Tensor) -> tuple[int, list[Tensor]]:
        """Count the chords that change to another one of as many keys, and how often each rule held there.

        Only there each voice has the number that it had before. `sounding` is bool `[T, P]`, on the CPU. The counts of
        the rules have the shapes of `rules`.
        """
        before, after = sounding[:-1], sounding[1:]
        num = before.sum(-1)
        changed = (before != after).any(-1) & (num == after.sum(-1)) & (num > 1) & (num <= NUM_VOICES)
        before, after, num = before[changed], after[changed], num[changed]
        now, then = voice_keys(after), voice_keys(before)
        voices = [Voice(now[:, number], then[:, number]) for number in range(NUM_VOICES)]
        bottom = Voice(lowest_key(after), lowest_key(before))
        of_inner = [torch.zeros(self.inner_to_others.rules[0].shape, dtype=torch.long)]  # number 0 is the highest voice
        for number in range(1, NUM_VOICES):
            inner = num > number + 1  # the last voice is the lowest one
            others = [Voice(other.key[inner], other.before[inner]) for other in (bottom, *voices[:number])]
            voice = Voice(voices[number].key[inner], voices[number].before[inner])
            of_inner.append(self.inner_to_others.applied(number, voice, num[inner], others))
        of_bottom = self.bottom_to_top.applied(0, bottom, num, voices[:1])
        return len(num), [of_bottom[None], torch.stack(of_inner)]

    def _past(self, x: Tensor, states: list[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Features of the frames up to each step, and the states: x `[B, T, P]` -> `[B, T, P, past]`."""
        first, second = states or (None, None)
        bits = self.frames.bits(x, self.dtype).unflatten(-1, (-1, self.frames.num_pitches))
        y, first = self.first(over_keys(self.around, bits), first)
        near = over_keys(self.near, y.transpose(-1, -2))
        y, second = self.second(self.dropout(torch.tanh(y + near)), second)
        return self.dropout(y), [first, second]

    def _compared(self, x: Tensor) -> list[Tensor]:
        """The bits that each copy attention compares, `[B, T, num_logits]`: of frames `[B, T, P]`, of the melody."""
        views = ([] if self.copying is None else [x]) + ([] if self.copying_melody is None else [melody(x)])
        return [self.frames.bits(view, self.dtype) for view in views]

    def _copied(self, compared: Sequence[Tensor], recall: Callable[[CopyAttention, Tensor], Tensor]) -> Tensor | None:
        """Units of the keys from what `recall` finds for each step, or for the next one: `[..., P, hidden]`."""
        parts = []
        if self.copying is not None:
            parts.append((self.copying, self.from_copied, self.from_nothing))
        if self.copying_melody is not None:
            parts.append((self.copying_melody, self.from_melody, self.from_no_melody))
        pairs = zip(parts, compared, strict=True)
        found = [self._units_of(recall(attention, bits), *units) for (attention, *units), bits in pairs]
        return sum(found[1:], found[0]) if found else None

    def _units_of(self, recalled: Tensor, by_key: nn.Linear, by_step: nn.Linear) -> Tensor:
        """A mean frame and the weight of nothing as units of each key: `[..., heads, num_logits + 1]`."""
        frames, nothing = recalled[..., :-1], recalled[..., -1]
        bits = frames.unflatten(-1, (-1, self.frames.num_pitches)).movedim(-1, -3).flatten(-2)
        return by_key(self.dropout(bits)) + by_step(nothing)[..., None, :]

    def _start(
        self,
        context: Tensor,
        past: Tensor,
        copied: Tensor | None,
        beats: Tensor,
        noisy: Tensor,
        before: Tensor,
        x: Tensor | None = None,
    ) -> "_Start":
        """From the frame before, `[..., P]`, and the same frame with noise.

        Voices are followed from the frame as it was, because noise that hides a key would number them wrongly, and
        the rules of how they move together could not be learned.
        """
        by_key = self.by_key(context).unflatten(-1, (self.frames.num_pitches, CONTEXT_PER_KEY))
        of_step = self.from_context(context)[..., None, :] + self.from_beat(beats)
        sounding = (before & SOUNDING) > 0
        num_before = sounding.sum(-1).clamp(max=NUM_VOICES)
        of_step = of_step + self.from_num_before(num_before)[..., None, :]
        units = self.from_past(past) + of_step + self.from_by_key(self.dropout(by_key))
        return _Start(
            units=units if copied is None else units + copied,
            num_before=num_before,
            paths=torch.tanh(self.path(past)),
            below=((noisy & SOUNDING) > 0).cumsum(-1).clamp(max=NUM_VOICES),
            keys=voice_keys(sounding),
            lowest=lowest_key(sounding),
            silent=~sounding,
            as_many=None if x is None else (sounding.sum(-1) == ((x & SOUNDING) > 0).sum(-1)),
        )

    def _logits(self, start: "_Start", decide: Callable[[Tensor], Tensor], temperature: float) -> Tensor:
        """The logits `[..., num_logits]` of the frame `[..., P]` that `decide` makes of them.

        `decide` returns the true frame, or sets each bit by its logit and a random number. It is called after each
        voice, and only that voice is taken from its result, because the logits of later voices are not right yet.
        """
        here = torch.arange(self.frames.num_pitches, device=start.below.device)

        def joined() -> Tensor:
            return self._joined(start, sounds, tempered(onset, temperature))

        sounds, onset = self._top(start, temperature)
        x = decide(joined())
        top = Voice(highest_key((x & SOUNDING) > 0), start.keys[..., 0])
        so_far = start.units + self._of_voice(start, top, 0, x)
        sounds = torch.where(here < top.key[..., None], self._bottom(start, so_far, top, temperature), sounds)
        bottom = Voice(lowest_key((decide(joined()) & SOUNDING) > 0), start.lowest)
        so_far = so_far + self._of_voice(start, bottom, NUM_VOICES, None)
        last, drawn = top, [bottom, top]
        for number in range(1, NUM_VOICES):
            if here.device.type == "cpu" and not bool((last.key > bottom.key).any()):
                break  # all frames are whole; another device would take longer to answer than to go on
            if number > 1:
                so_far = so_far + self._of_voice(start, last, number - 1, x)
            below = (here < last.key[..., None]) & (here >= bottom.key[..., None])
            between = below & (here > bottom.key[..., None])
            next_sounds, next_onset = self._inner(start, so_far, number, drawn, between, temperature)
            sounds, onset = torch.where(between, next_sounds, sounds), torch.where(below, next_onset, onset)
            x = decide(joined())
            key = highest_key(between & ((x & SOUNDING) > 0))
            last = Voice(torch.where(key == NO_KEY, bottom.key, key), start.keys[..., number])
            drawn.append(last)
        return joined()

    def _top(self, start: "_Start", temperature: float) -> tuple[Tensor, Tensor]:
        """The logits of the keys as the highest one, and of their onsets, `[..., P]` each."""
        h = self.top(start.units, start.keys[..., 0], self.dropout)
        scores, onset = self.top.scores(h)
        return _one_by_one(self.silence(h.amax(-2)), scores, temperature), onset

    def _bottom(self, start: "_Start", so_far: Tensor, top: Voice, temperature: float) -> Tensor:
        """The logits `[..., P]` of the keys as the lowest one, from the lowest up, given the highest one."""
        units, rules = self.bottom_to_top(0, start.lowest, start.num_before, [top], start.as_many)
        scores, _ = self.bottom.scores(self.bottom(units + so_far, start.lowest, self.dropout))
        here = torch.arange(scores.shape[-1], device=scores.device)
        scores = torch.where(here <= top.key[..., None], scores + rules, FORBIDDEN)
        none = scores.new_full((*scores.shape[:-1], 1), FORBIDDEN)
        return _one_by_one(none, scores.flip(-1), temperature).flip(-1)

    def _inner(
        self, start: "_Start", so_far: Tensor, number: int, drawn: Sequence[Voice], allowed: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """The logits of the keys as the voice of this number, and of the onsets of keys below the last one drawn."""
        before = start.keys[..., number]
        units, rules = self.inner_to_others(number, before, start.num_before, drawn, start.as_many)
        units = units + so_far + self.from_counts(start.below * NUM_VOICES + number)
        h = self.inner(units, before, self.dropout)
        scores, onset = self.inner.scores(h)
        scores = torch.where(allowed, scores + rules, FORBIDDEN)
        if number == NUM_VOICES - 1:  # all keys that are left
            return tempered(scores, temperature), onset
        return _one_by_one(self.no_more(h.amax(-2)), scores, temperature), onset

    def _joined(self, start: "_Start", sounds: Tensor, onset: Tensor) -> Tensor:
        """The logits of all bits, from those that keys sound and those of their onsets: `[..., num_logits]`."""
        if not self.frames.has_onsets:
            return sounds.to(self.dtype)
        return torch.cat([sounds, torch.where(start.silent, CERTAIN, onset)], -1).to(self.dtype)

    def _of_voice(self, start: "_Start", voice: Voice, number: int, x: Tensor | None) -> Tensor:
        """Units of all keys from a voice: how far it moves, how it has come there, and if it is struck in x."""
        at = voice.key[..., None].clamp(min=0)
        struck = torch.zeros_like(at) if x is None else (x.gather(-1, at) >= ONSET).long()
        move = move_case(voice.key, voice.before)[..., None]
        path = start.paths.gather(-2, at[..., None].expand(*start.paths.shape[:-2], 1, PATH))
        return self.from_voice((number * NUM_MOVES + move) * 2 + struck) + self.from_path(path)

    def _beats(self, t: Tensor) -> Tensor:
        """The place of step t in each of the periods, as sines and cosines: `[...]` -> `[..., 2 * len(BEATS)]`."""
        angle = 2 * math.pi * (t[..., None] % self.periods) / self.periods
        return torch.cat([angle.sin(), angle.cos()], -1).to(self.dtype)


class _Start(NamedTuple):
    """The features of a frame before any of its voices is drawn."""

    units: Tensor  # the hidden units of each key, [..., P, hidden]
    num_before: Tensor  # the number of keys that sounded in the frame before, at most NUM_VOICES, [...]
    paths: Tensor  # features of each key's way to sound, [..., P, PATH]
    # The number of keys at or below each key in the frame before, [..., P]. With the number of the voice, it gives the
    # number of voices that are still to come.
    below: Tensor
    keys: Tensor  # the keys of the frame before, from the highest voice down, [..., NUM_VOICES]
    lowest: Tensor  # the lowest key of the frame before, [...]
    silent: Tensor  # where a key was silent in the frame before, [..., P]; if it sounds now it is struck
    as_many: Tensor | None  # where as many keys sound as in the frame before, [...]; None if it is yet to be drawn


def _one_by_one(none: Tensor, scores: Tensor, temperature: float) -> Tensor:
    """A choice by softmax as logits of single keys from the top down: scores of none `[..., 1]` and of keys `[..., P]`.

    It is tempered as one choice, so that temperature 0 gives the likeliest key. The logit of key i is that of
    `p(i) / p(i or one below or none)`: given that none above it is chosen.
    """
    every = tempered(torch.cat([none, scores], -1), temperature)
    return every[..., 1:] - torch.logcumsumexp(every, -1)[..., :-1]


class _VoiceSampler(Sampler):
    """It keeps the last frames, the states of the recurrences over time, and the number of the step."""

    def __init__(self, head: VoiceHead, temperature: float) -> None:
        super().__init__(self._draw)
        self._head, self._temperature = head, temperature
        self._t = 0
        self._x: Tensor | None = None
        self._states: list[Tensor] | None = None
        self._compared: list[Tensor] = []  # of the frames that may be copied, `[B, t, num_logits]` each

    def keep(self, rows: Tensor) -> None:
        if self._x is not None and self._states is not None:
            self._x, self._states = self._x[rows], [state[rows] for state in self._states]
        self._compared = [bits[rows] for bits in self._compared]

    def _draw(self, context: Tensor, uniform: Tensor, known: Known | None) -> Drawn:
        head = self._head
        before = head.frames.silence(uniform) if self._x is None else self._x
        features, self._states = head._past(before[:, None], self._states)
        beats = head._beats(torch.full((), self._t, device=context.device))
        start = head._start(context, features[:, 0], self._copied(before), beats, before, before)

        def decide(logits: Tensor) -> Tensor:
            return head.frames.sample(logits, uniform, known)

        logits = head._logits(start, decide, self._temperature)
        self._x = decide(logits)
        self._t += 1
        return Drawn(self._x, logits)

    def _copied(self, before: Tensor) -> Tensor | None:
        """Units from the frames recalled after the frame `before` `[B, P]`, which is silent at first."""
        last = self._head._compared(before[:, None])
        if self._x is None:
            self._compared = [bits[:, :0] for bits in last]
        else:
            pairs = zip(self._compared, last, strict=True)
            self._compared = [torch.cat(pair, 1)[:, -CopyAttention.REACH :] for pair in pairs]
        return self._head._copied(self._compared, CopyAttention.next)


def over_keys(convolution: nn.Module, x: Tensor) -> Tensor:
    """A convolution over the keys: `[..., channels, P]` -> `[..., P, channels]`."""
    return convolution(x.flatten(0, -3)).transpose(-1, -2).unflatten(0, x.shape[:-2])
