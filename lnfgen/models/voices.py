"""An output head that draws frames voice by voice, with the same weights for every key, and reads
the frames before.

It is one file because what it scores at once and what it draws step by step are one computation.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lnfgen.conventions import ONSET, SOUNDING
from lnfgen.device import Dropout
from lnfgen.models.copied_voices import (
    NUM_COPIES,
    NUM_EDGES,
    Choice,
    Copies,
    Gate,
    Memory,
    Opening,
    mixed_onset,
    recallable,
)
from lnfgen.models.observation import Frames, Known
from lnfgen.models.output import Drawn, OutputHead, Sampler
from lnfgen.models.voice_leading import (
    NO_KEY,
    NUM_MOVES,
    NUM_VOICES,
    RULES_RATE,
    PairTables,
    VoiceChoice,
    VoicePairs,
    highest_key,
    lowest_key,
    move_case,
    voice_keys,
)
from lnfgen.nn.convolutions import over_keys, over_keys_by, spectrum_of
from lnfgen.nn.copying import CopyAttention
from lnfgen.nn.masking import shift, tempered
from lnfgen.nn.matching import codes_of, longest_matches
from lnfgen.nn.scans import GatedRecurrence

REACH = 24
"""In the frames before it, a key sees the keys up to two octaves above and below it."""

REACH_NEAR = 12
"""A key sees what the recurrences of the keys up to an octave above and below it have made of the
frames before."""

FORBIDDEN = -1e4
"""The score of a key that cannot be chosen; it is finite, so that differences of two of them are
numbers."""

CERTAIN = 30.0
"""The logit of an onset where no other value is possible: a key that was silent cannot be held."""

CONTEXT_PER_KEY = 8
"""Features of the context for each key."""

PATH = 6
"""Features of how the voice at a key has come there, which the other voices read."""

BEATS = (2, 3, 4, 6, 8, 12, 16, 24)
"""Periods of beats and bars in steps. Each step has features of its place in them."""

PERIODS = (*BEATS, 32, 48, 64, 96, 128)
"""These, and of several bars: the attention of a band scores distances by them."""


class VoiceHead(OutputHead):
    """`p(x_t | x_<t, context_t)`, voice by voice: each is one choice among the keys, with weights
    tied across the keys.

    The configuration calls this output `past`.

    The head draws the highest key first, or silence; then the lowest one; then the keys between
    them from the top down,
    each time the next one or none: `p(top) p(bottom | top) prod_m p(voice m | voices above it,
    bottom)`, all given x_<t and context_t. It draws with each key if it is struck, but with the
    lowest one last. So it loses no voice because it decided against many keys in a row, as heads do
    that decide each key by itself.

    A choice among keys is written as logits of single keys: given that no key above it is chosen,
    key i is chosen with probability `p(i) / p(i or one below or none)`. So a frame is scored, and
    drawn given some keys, key by key.

    The units of a key read the keys that sound around it, at intervals relative to it: in the
    frames before, through gated recurrences that run over time for each key, and in its own frame
    from the voices drawn so far. They also read how far its voice would move to it, which voices
    would move in parallel with that, and how many voices are still to come. So the weights for a
    step of a voice, or for a third in a chord, are the same for every key. Only the context, a bias
    for each key and the ends of the range tell keys apart. With `copies` the units also read what
    the key did next where the frames before were most like the last ones (`CopyAttention`), because
    phrases come again; and the distribution of a frame is mixed with copies of the recalled ones
    (`lnfgen.models.copied_voices`).

    With R parts (`Frames.parts`), steps are rows of a band, and each part follows and recalls its
    own frames, R rows apart. The recurrences read the newest frame of each part: those of the parts
    that were drawn at this step, and of the others the one before. Weights are the same for all
    parts, but for features of the part itself and of its keys, because each key of the drums is an
    instrument. In a band, rhythms bind keys that are far apart. So each key also
    reads all keys of the newest frames, and how many keys sound and are struck in the recalled
    frames: a bass may play what the drums strike, or the rhythm of a bar before from another root.

    Sources: D. Johnson, "Generating Polyphonic Music Using Tied Parallel Networks" (EvoMUSART
    2017), for networks tied across the keys, there LSTMs, which decide key by key. The recurrences
    are those of `CausalScan`, so scoring is parallel over steps and keys. Sampling goes step by
    step, and voice by voice within it.

    Limits: it costs `num_pitches` times a small network at each step, so a small range of pitches
    is worth having. Of more than `NUM_VOICES` keys, those below are independent of each other,
    given those above them.
    """

    reads_past = True
    periods: Tensor

    def __init__(
        self, frames: Frames, num_context: int, hidden: int, dropout: float, *, copies: bool
    ) -> None:
        """A key has a quarter of the `hidden` features for the past, and half of them for its
        output."""
        super().__init__()
        self.frames = frames
        num_keys, bits = frames.num_pitches, frames.bits_per_key
        past, hidden, self.parts = max(8, hidden // 4), max(8, hidden // 2), frames.parts
        self.around = nn.Conv1d(self.parts * bits, past, 2 * REACH + 1, padding=REACH)
        # a few of many bits are set, and features must have unit scale
        nn.init.normal_(self.around.weight, std=0.5)
        self.first = GatedRecurrence(past, past, entry=True)
        self.near = nn.Conv1d(past, past, 2 * REACH_NEAR + 1, padding=REACH_NEAR)
        self.second = GatedRecurrence(past, past)
        self.from_past = nn.Linear(past, hidden)
        self.path = nn.Linear(past, PATH)
        self.from_beat = nn.Linear(2 * len(BEATS), hidden)
        self.from_context = nn.Linear(num_context, hidden)
        self.by_key = nn.Linear(num_context, num_keys * CONTEXT_PER_KEY)
        if self.parts > 1:
            self.past_of_part = nn.Embedding(self.parts, past)
            self.from_newest = nn.Linear(self.parts * bits * num_keys, past, bias=False)
            self.from_part = nn.Embedding(self.parts, hidden)
            self.from_key = nn.Parameter(torch.zeros(self.parts, num_keys, hidden))
            # few or many voices are its nature
            self.none_of_part = nn.Parameter(torch.zeros(self.parts, NUM_VOICES))
        self.from_by_key = nn.Linear(CONTEXT_PER_KEY, hidden)
        self.from_voice = nn.Embedding((NUM_VOICES + 1) * NUM_MOVES * 2, hidden)
        self.from_path = nn.Linear(PATH, hidden)
        self.from_counts = nn.Embedding((NUM_VOICES + 1) * NUM_VOICES, hidden)
        self.from_num_before = nn.Embedding(NUM_VOICES + 1, hidden)
        self.copying = (
            CopyAttention(frames.num_logits, PERIODS if self.parts > 1 else ()) if copies else None
        )
        if copies:
            num_copies = NUM_COPIES + (self.parts > 1)
            self.from_copied = nn.Linear(num_copies * (bits + NUM_EDGES), hidden, bias=False)
            self.from_nothing = nn.Linear(num_copies, hidden, bias=False)
            self.gate = Gate(num_context + 4 * len(BEATS), num_copies, self.parts)
            if self.parts > 1:
                self.from_num_recalled = nn.Linear(
                    num_copies * (bits + NUM_EDGES), hidden, bias=False
                )
        self.top = VoiceChoice(num_keys, hidden, bits, self.parts)
        self.silence = nn.Linear(hidden, 1)
        self.bottom = VoiceChoice(num_keys, hidden, 1, self.parts)
        self.bottom_to_top = VoicePairs(1, hidden)
        self.inner = VoiceChoice(num_keys, hidden, bits, self.parts)
        self.inner_to_others = VoicePairs(NUM_VOICES, hidden)
        self.no_more = nn.Linear(hidden, 1)
        self.dropout = Dropout(dropout / 2)
        self.register_buffer("periods", torch.tensor(BEATS), persistent=False)

    def forward(
        self, context: Tensor, x: Tensor, noisy: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        noisy = x if noisy is None else noisy
        steps = torch.arange(x.shape[1], device=x.device)
        recalled = None
        if self.copying is not None:
            values, sounds = self._apart(self._recallable(x)), self._apart((x > 0).any(-1))
            opening, own_steps, attended = (
                Opening.of(values, sounds),
                steps[: values.shape[1]],
                self.copying(values),
            )
            if self.parts > 1:
                match = longest_matches(codes_of(self._apart(x)))
                attended = torch.cat([attended, match.recalled(values, own_steps)], -2)
            recalled = self._recalled(attended, opening, own_steps, self.parts)
        prepared, parts = self._prepared(), steps % self.parts
        past, _ = self._past(self._newest(noisy), prepared.near, parts)
        before, noisy = shift(x, self.parts), shift(noisy, self.parts)
        turns = self._beats(steps.repeat(len(x)) // self.parts), parts.repeat(len(x))
        past, noisy, before, frames = (part.flatten(0, 1) for part in (past, noisy, before, x))
        start = self._start(context.flatten(-3, -2), past, recalled, *turns, noisy, before, frames)
        return self._logits(start, prepared, lambda logits: frames, temperature).unflatten(
            -2, x.shape[:2]
        )

    def sampler(self, temperature: float) -> Sampler:
        return _VoiceSampler(self, temperature)

    def _prepared(self) -> "_Prepared":
        near = spectrum_of(self.near, self.frames.num_pitches)
        inner = self.inner_to_others.tables(self.inner.from_move.weight, self.from_counts.weight)
        return _Prepared(near, self.bottom_to_top.tables(self.bottom.from_move.weight), inner)

    def _newest(self, x: Tensor) -> Tensor:
        """The newest frame of each part before each step, `[B, T, P]` -> `[B, T, R, P]`; silence if
        there is none."""
        of_parts = (
            x[:, part :: self.parts].repeat_interleave(self.parts, 1) for part in range(self.parts)
        )
        return torch.stack([shift(frames, part + 1) for part, frames in enumerate(of_parts)], 2)

    def _apart(self, x: Tensor) -> Tensor:
        """The steps of each part as a sequence of its own, `[B, T, ...]` -> `[B * R, T / R,
        ...]`."""
        return x.unflatten(1, (-1, self.parts)).transpose(1, 2).flatten(0, 1)

    def _past(
        self, newest: Tensor, near: Tensor, parts: Tensor, states: list[Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Features of the frames before each step, which is of one of the `parts` `[T]`, and the
        states.

        newest `[B, T, R, P]` -> `[B, T, P, past]`.
        """
        first, second = states or (None, None)
        bits = (
            self.frames.bits(newest, self.dtype)
            .unflatten(-1, (-1, self.frames.num_pitches))
            .flatten(2, 3)
        )
        y = over_keys(self.around, bits.transpose(-1, -2))
        if self.parts > 1:
            of_step = self.past_of_part(parts) + self.from_newest(self.dropout(bits.flatten(-2)))
            y = y + of_step[..., None, :]
        y, first = self.first(y, first)
        y, second = self.second(
            self.dropout(torch.tanh(y + over_keys_by(near, self.near, y))), second
        )
        return self.dropout(y), [first, second]

    def _recallable(self, x: Tensor) -> Tensor:
        """What copy attention may recall of frames `[..., P]`."""
        return recallable(self.frames.bits(x, self.dtype), x)

    def _recalled(
        self, attended: Tensor, opening: Opening, steps: Tensor, parts: int = 1
    ) -> "_Recalled":
        """What each step recalls: of the heads and the match `[B * parts, T, copies - 1, F + 1]`;
        parts take turns."""
        values, since = (
            torch.cat([attended, opening.recalled(steps)], -2),
            opening.since(steps).clamp(min=0),
        )
        in_turn = (
            each.unflatten(0, (-1, parts)).transpose(1, 2) for each in (values, self._beats(since))
        )
        return _Recalled(*(each.flatten(0, 2) for each in in_turn))

    def _units_of(self, recalled: Tensor) -> Tensor:
        """Units of each key from recalled values and the weight of no step, `[R, copies, F +
        1]`."""
        values = recalled[..., :-1].unflatten(-1, (-1, self.frames.num_pitches))
        of_step = self.from_nothing(recalled[..., -1])
        if self.parts > 1:
            of_step = of_step + self.from_num_recalled(values.sum(-1).log1p().flatten(-2))
        return (
            self.from_copied(self.dropout(values.movedim(-1, -3).flatten(-2)))
            + of_step[..., None, :]
        )

    def _start(
        self,
        context: Tensor,
        past: Tensor,
        recalled: "_Recalled | None",
        beats: Tensor,
        parts: Tensor,
        noisy: Tensor,
        before: Tensor,
        x: Tensor | None = None,
    ) -> "_Start":
        """From the frame before of the part, `[..., P]`, and the same frame with noise.

        Voices are followed from the frame as it was, because noise that hides a key would number
        them wrongly, and the rules of how they move together could not be learned.
        """
        by_key = self.by_key(context).unflatten(-1, (self.frames.num_pitches, CONTEXT_PER_KEY))
        of_step = self.from_context(context)[..., None, :] + self.from_beat(beats)[:, None]
        sounding = (before & SOUNDING) > 0
        num_before = sounding.sum(-1).clamp(max=NUM_VOICES)
        voices = torch.column_stack([voice_keys(sounding), lowest_key(sounding)])
        of_step = of_step + self.from_num_before(num_before)[..., None, :]
        if self.parts > 1:
            of_step = of_step + self.from_part(parts)[:, None] + self.from_key[parts]
        units = self.from_past(past) + of_step + self.from_by_key(self.dropout(by_key))
        num_keys, weights = self.frames.num_pitches, units.new_zeros(len(before), 1)
        if recalled is None:
            copied = units.new_zeros(
                len(before), 0, (self.frames.bits_per_key + NUM_EDGES) * num_keys + 1
            )
        else:
            copied = recalled.values
            units = units + self._units_of(copied)
            places = torch.cat([beats.expand(len(before), -1), recalled.since_start], -1).to(
                context
            )
            place = torch.cat([context, places.expand(*context.shape[:-1], -1)], -1)
            weights = self.gate(copied[..., -1], place, parts.expand(len(before))).to(self.dtype)
        return _Start(
            units=units,
            copies=Copies.of(copied.to(self.dtype), num_keys),
            weights=weights,
            of_voices=units.new_zeros(len(before), 1, units.shape[-1]),
            num_before=num_before,
            paths=torch.tanh(self.path(past)),
            below=((noisy & SOUNDING) > 0).cumsum(-1).clamp(max=NUM_VOICES),
            cases=move_case(
                torch.arange(sounding.shape[-1], device=sounding.device), voices[..., None]
            ),
            drawn=num_before.new_empty(len(before), 0),
            moves=num_before.new_empty(len(before), 0),
            silent=~sounding,
            parts=parts.expand(len(before)),
            as_many=None if x is None else (sounding.sum(-1) == ((x & SOUNDING) > 0).sum(-1)),
        )

    def _logits(
        self,
        start: "_Start",
        prepared: "_Prepared",
        decide: Callable[[Tensor], Tensor],
        temperature: float,
    ) -> Tensor:
        """The logits `[..., R, num_logits]` of the frames `[R, P]` that `decide` makes of them.

        `decide` returns the true frames, or sets each bit by its logit and a random number. It is
        called after each voice, and only that voice is taken from its result, because the logits of
        later voices are not right yet.

        On a CPU, frames are left out once they have all their voices. Another device would take
        longer to find them.
        """
        here = torch.arange(self.frames.num_pitches, device=start.below.device)
        rows = torch.arange(len(start.below), device=here.device)
        logits, choice = self._top(start, temperature)
        x = decide(logits)
        top = highest_key((x & SOUNDING) > 0)
        start = self._beside(start, top, 0, x, choice.weighed(start.weights, top))
        sounds, onset = logits.tensor_split([len(here)], -1)
        of_bottom, choice = self._bottom(start, prepared.bottom, temperature)
        logits = torch.cat([torch.where(here < top[:, None], of_bottom, sounds), onset], -1)
        bottom = lowest_key((decide(logits) & SOUNDING) > 0)
        start = self._beside(start, bottom, NUM_VOICES, None, choice.weighed(start.weights, bottom))
        for number in range(1, NUM_VOICES):
            last = 0 if number == 1 else number  # the place of the last voice among those drawn
            if here.device.type == "cpu":
                more = (start.drawn[:, last] > start.drawn[:, 1]).nonzero()[:, 0]
                if not len(more):
                    break
                if len(more) < len(rows):
                    rows, start = rows[more], start.of(more)
            lowest, above = start.drawn[:, 1:2], here < start.drawn[:, last, None]
            between, below = above & (here > lowest), above & (here >= lowest)
            changes = torch.cat([between, below], -1)[:, : logits.shape[-1]]
            of_inner, choice = self._inner(start, prepared.inner, number, between, temperature)
            logits = logits.index_copy(
                -2, rows, torch.where(changes, of_inner, logits.index_select(-2, rows))
            )
            x = decide(logits)[rows]
            key = highest_key(between & ((x & SOUNDING) > 0))
            weights = choice.weighed(start.weights, key)
            start = self._beside(
                start, torch.where(key == NO_KEY, lowest[:, 0], key), number, x, weights
            )
        return logits

    def _top(self, start: "_Start", temperature: float) -> tuple[Tensor, Choice]:
        """The logits of the keys as the highest one, and of their onsets, `[..., R,
        num_logits]`."""
        h = self.top(start.units + self.top.from_move(start.cases[:, 0]), self.dropout)
        scores, onset = self.top.scores(h, start.parts)
        choice = Choice.of(self._none(self.silence, h, start, 0), scores, start.copies.top_choice())
        return self._joined(
            start, _one_by_one(*choice.mixed(start.weights), temperature), onset, temperature
        ), choice

    def _bottom(
        self, start: "_Start", tables: PairTables, temperature: float
    ) -> tuple[Tensor, Choice]:
        """The logits `[..., R, P]` of the keys as the lowest one, from the lowest up, given the
        highest one."""
        own, drawn = start.cases[:, NUM_VOICES], (start.drawn, start.moves)
        units, rules = self.bottom_to_top(tables, 0, own, start.num_before, *drawn, start.as_many)
        h = self.bottom(units + start.units + start.of_voices, self.dropout)
        scores, _ = self.bottom.scores(h, start.parts)
        free = torch.arange(scores.shape[-1], device=scores.device) <= start.drawn
        none = scores.new_full((*scores.shape[:-1], 1), FORBIDDEN)
        choice = Choice.of(
            none, torch.where(free, scores + rules, FORBIDDEN), start.copies.bottom_choice(free)
        )
        mixed = torch.where(free, choice.mixed(start.weights)[1], FORBIDDEN)
        return _one_by_one(none.to(mixed), mixed.flip(-1), temperature).flip(-1), choice

    def _inner(
        self, start: "_Start", tables: PairTables, number: int, free: Tensor, temperature: float
    ) -> tuple[Tensor, Choice]:
        """The logits of the keys as the voice of this number, and of the onsets of keys below the
        last one drawn."""
        own, drawn = start.cases[:, number], (start.drawn, start.moves)
        counts = start.below * NUM_VOICES + number
        units, rules = self.inner_to_others(
            tables, number, own, start.num_before, *drawn, start.as_many, counts
        )
        h = self.inner(units + start.units + start.of_voices, self.dropout)
        scores, onset = self.inner.scores(h, start.parts)
        scores = torch.where(free, scores + rules, FORBIDDEN)
        choice = Choice.of(
            self._none(self.no_more, h, start, number), scores, start.copies.next_choice(free)
        )
        if number == NUM_VOICES - 1:  # all keys that are left
            return self._joined(start, tempered(scores, temperature), onset, temperature), choice
        none, mixed = choice.mixed(start.weights)
        sounds = _one_by_one(none, torch.where(free, mixed, FORBIDDEN), temperature)
        return self._joined(start, sounds, onset, temperature), choice

    def _none(self, network: nn.Module, h: Tensor, start: "_Start", number: int) -> Tensor:
        """The score `[..., R, 1]` of no key for the voice of this number, from the units of all
        keys."""
        score = network(h.amax(-2))
        return (
            score
            if self.parts == 1
            else score + RULES_RATE * self.none_of_part[start.parts, number, None]
        )

    def _joined(self, start: "_Start", sounds: Tensor, onset: Tensor, temperature: float) -> Tensor:
        """The logits of all bits, from those that keys sound and those of their onsets: `[..., R,
        num_logits]`."""
        if self.frames.has_onsets:
            onset = mixed_onset(start.weights, onset.to(self.dtype), start.copies)
            sounds = torch.cat(
                [sounds, torch.where(start.silent, CERTAIN, tempered(onset, temperature))], -1
            )
        return sounds.to(self.dtype)

    def _beside(
        self, start: "_Start", key: Tensor, number: int, x: Tensor | None, weights: Tensor
    ) -> "_Start":
        """Go on beside a voice: how far it moves, how it has come there, and if it is struck in
        x."""
        at = key[:, None].clamp(min=0)
        move, path = (
            start.cases[:, number].gather(-1, at),
            start.paths.gather(-2, at[..., None].expand(-1, -1, PATH)),
        )
        struck = 0 if x is None else x.gather(-1, at) >= ONSET
        units = self.from_voice(move * 2 + (number * NUM_MOVES * 2 + struck)) + self.from_path(path)
        drawn, moves = (
            torch.cat([start.drawn, key[:, None]], -1),
            torch.cat([start.moves, move], -1),
        )
        return start._replace(
            of_voices=start.of_voices + units, weights=weights, drawn=drawn, moves=moves
        )

    def _beats(self, t: Tensor) -> Tensor:
        """The place of step t in each of the periods, as sines and cosines: `[...]` -> `[..., 2 *
        len(BEATS)]`."""
        angle = 2 * math.pi * (t[..., None] % self.periods) / self.periods
        return torch.cat([angle.sin(), angle.cos()], -1).to(self.dtype)


class _Prepared(NamedTuple):
    """What follows from the weights alone, and is computed once for all steps."""

    near: Tensor  # the spectrum of a convolution
    bottom: PairTables  # of the lowest voice and the highest one
    inner: PairTables  # of a voice between them and those drawn before it


class _Recalled(NamedTuple):
    """What may be copied to R frames."""

    # the mean of `recallable` values for each part, and the weight of no step, [R, copies, F + 1]
    values: Tensor
    since_start: Tensor  # the beat, counted from the start of the piece, [R, 2 * len(BEATS)]


class _Start(NamedTuple):
    """The features of R frames, and the voices of them that are drawn so far."""

    units: Tensor  # the hidden units of each key, [..., R, P, hidden]
    copies: Copies
    # of the model and of the copies, given the voices drawn so far: logarithms, [..., R, 1 + heads]
    weights: Tensor
    of_voices: Tensor  # what the voices drawn so far add to the units of all keys, [R, 1, hidden]
    # the number of keys that sounded in the frame before, at most NUM_VOICES, [R]
    num_before: Tensor
    paths: Tensor  # features of each key's way to sound, [R, P, PATH]
    # The number of keys at or below each key in the frame before, [R, P]. With the number of the
    # voice, it gives the number of voices that are still to come.
    below: Tensor
    # The cases of moves to each key, [R, NUM_VOICES + 1, P]: of the voices before, highest first,
    # then of the lowest.
    cases: Tensor
    # the keys of the voices drawn so far: the highest, the lowest, those between them, [R, V]
    drawn: Tensor
    moves: Tensor  # the cases of their moves, [R, V]
    # where a key was silent in the frame before, [R, P]; if it sounds now it is struck
    silent: Tensor
    parts: Tensor  # that the frames are of, [R]
    # where as many keys sound as in the frame before, [R]; None if it is yet to be drawn
    as_many: Tensor | None

    def of(self, rows: Tensor) -> "_Start":
        """Those of some frames."""
        own = ("units", "copies", "weights")
        others = {
            name: part[rows]
            for name, part in self._asdict().items()
            if name not in own and part is not None
        }
        copies = Copies(*(part[rows] for part in self.copies))
        units, weights = self.units.index_select(-3, rows), self.weights.index_select(-2, rows)
        return self._replace(units=units, copies=copies, weights=weights, **others)


def _one_by_one(none: Tensor, scores: Tensor, temperature: float) -> Tensor:
    """A choice by softmax as logits of single keys from the top down: scores of none `[..., 1]` and
    of keys `[R, P]`.

    It is tempered as one choice, so that temperature 0 gives the likeliest key. The logit of key i
    is that of `p(i) / p(i or one below or none)`: given that none above it is chosen.
    """
    every = tempered(torch.cat([none, scores], -1), temperature)
    return every[..., 1:] - torch.logcumsumexp(every, -1)[..., :-1]


class _VoiceSampler(Sampler):
    """It keeps the last frames, the states of the recurrences over time, and the number of the
    step.

    What concerns one part has a list with an entry for each of them.
    """

    def __init__(self, head: VoiceHead, temperature: float) -> None:
        super().__init__(self._draw)
        self._head, self._temperature = head, temperature
        self._prepared, self._t = head._prepared(), 0
        self._newest: Tensor | None = None  # the last frame of each part, [B, R, P]
        self._states: list[Tensor] | None = None
        self._memories: list[Memory] = []

    def keep(self, rows: Tensor) -> None:
        if self._newest is not None and self._states is not None:
            self._newest, self._states = self._newest[rows], [state[rows] for state in self._states]
        self._memories = [memory.of(rows) for memory in self._memories]

    def _draw(self, context: Tensor, uniform: Tensor, known: Known | None) -> Drawn:
        head = self._head
        if self._newest is None:
            self._newest = head.frames.silence(uniform)[:, None].repeat(1, head.parts, 1)
        part, step = self._t % head.parts, self._t // head.parts
        before, parts = self._newest[:, part], torch.full((1,), part, device=context.device)
        features, self._states = head._past(
            self._newest[:, None], self._prepared.near, parts, self._states
        )
        beats = head._beats(torch.full((1,), step, device=context.device))
        start = head._start(
            context,
            features[:, 0],
            self._recalled(before, part, step),
            beats,
            parts,
            before,
            before,
        )

        def decide(logits: Tensor) -> Tensor:
            return head.frames.sample(logits, uniform, known)

        logits = head._logits(start, self._prepared, decide, self._temperature)
        x = decide(logits)
        self._newest = torch.cat(
            [self._newest[:, :part], x[:, None], self._newest[:, part + 1 :]], 1
        )
        self._t += 1
        return Drawn(x, logits)

    def _recalled(self, before: Tensor, part: int, step: int) -> _Recalled | None:
        """What may be copied at a step of a part, after its frame `before` `[B, P]`, which is
        silent at first."""
        head = self._head
        if head.copying is None:
            return None
        last = head._recallable(before)
        if step == 0:
            self._memories.append(Memory.of_none(last, before, in_band=head.parts > 1))
        else:
            self._memories[part] = self._memories[part].then(last, before, step - 1)
        memory, steps = self._memories[part], torch.full((1,), step).to(last.device)
        return head._recalled(memory.attended(head.copying), memory.opening, steps)
