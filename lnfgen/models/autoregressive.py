"""The output head that reads the frames before and draws a frame voice by voice.

It scores all steps at once, or draws step by step; the networks of both are those of `FrameHead`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lnfgen.models.frame_head import FrameHead
from lnfgen.models.frame_state import (
    FramesBefore,
    FrameState,
    PastState,
    Recalled,
    Tables,
    frames_before,
)
from lnfgen.models.held_notes import steps_held
from lnfgen.models.observation import AllowedKeys, Known
from lnfgen.models.output import DrawnStep, Sampler, StretchSampler
from lnfgen.models.stretches import in_stretches
from lnfgen.nn.opening import OpeningMemory, OpeningRecall
from lnfgen.nn.recall import Memory

# The function of what the frames from `start` to before `stop` recall.
RecalledAt = Callable[[int, int], Recalled]


class GivenFrames(NamedTuple):
    """Frames of n steps that are known and to be scored, `[B, n, R, P]`."""

    x: Tensor
    noisy: Tensor  # the same frames with noise, as later frames read them
    before: FramesBefore  # of each of these steps, [B, n, R, P]
    recall: RecalledAt | None
    first_step: int = 0  # the number of the first step in its piece


class AutoregressiveHead(FrameHead):
    """`p(x_t | x_<t, context_t)`, voice by voice, with weights tied across the keys.

    A frame is drawn in turns (`lnfgen.models.turns`): the highest key or silence, the lowest one,
    then the keys between them from the top down, all given x_<t and context_t. Each turn is one
    choice among the keys. A choice is written as logits of single keys: given that no key above it
    is chosen, key i is chosen with probability `p(i) / p(i or one below or none)`. So a frame is
    scored, and drawn given some keys, key by key. With each key the head draws whether it is
    struck, but with the lowest one last.

    The R parts of a band take turns at each step: each is drawn given those before it. All weights
    are shared, but for features of the part and of its keys, because each key of the drums is an
    instrument.
    """

    reads_past = True

    def forward(
        self, context: Tensor, x: Tensor, noisy: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        """context `[..., B, T, C]`, x `[B, T, R, P]` -> logits `[..., B, T, num_logits]`.

        Many frames are computed in stretches of time, so that memory is bounded.
        """
        noisy = x if noisy is None else noisy
        silence = self.frames.silence(len(x), device=x.device)
        held = None if self.held is None else silence.long()
        before = frames_before(x, noisy, silence, held)
        given = GivenFrames(x, noisy, before, self._recall(x))
        logits, _ = self.scored(context, given, self.tables(), temperature)
        return logits

    def scored(
        self,
        context: Tensor,
        given: GivenFrames,
        tables: Tables,
        temperature: float,
        state: PastState | None = None,
    ) -> tuple[Tensor, PastState]:
        """The logits `[..., B, n, num_logits]` of given frames, and the state after them.

        context is `[..., B, n, C]`. `state` is that before the first frame, None in silence.
        """

        def stretch(
            context: Tensor, start: int, stop: int, state: PastState | None
        ) -> tuple[Tensor, PastState]:
            """The logits of the frames from `start` to before `stop`, and the state after them."""
            before = given.before.of_steps(start, stop)
            past, state = self.read(before.noisy, context, tables.near, state)
            beats = self.beats(given.first_step + torch.arange(start, stop, device=context.device))
            frames = given.x[:, start:stop].flatten(0, 2)
            of_frames = self.state(
                context.flatten(-3, -2),
                past,
                None if given.recall is None else given.recall(start, stop),
                beats.repeat(len(given.x), 1),
                before.in_rows(),
                frames,
            )
            if self.parts > 1:
                now = given.noisy[:, start:stop].flatten(0, 1)
                earlier = self.from_earlier_parts(self.earlier_parts(now)).flatten(0, 1)
                of_frames = of_frames._replace(units=of_frames.units + earlier)
            logits = self.logits(of_frames, tables, lambda logits: frames, temperature)
            size = (len(given.x), stop - start, self.parts)
            return logits.unflatten(-2, size).flatten(-2), state

        return in_stretches(stretch, context, self.numbers_per_step, state)

    def sampler(self, temperature: float) -> Sampler:
        return _FrameSampler(self, temperature)

    def _recall(self, x: Tensor) -> RecalledAt | None:
        """The function of what some steps recall: each part of x `[B, T, R, P]` its own frames."""
        if not len(self.recalls):
            return None
        values = self.values_of(x)
        opening = self.recalls[-1]
        assert isinstance(opening, OpeningRecall)
        since = opening.since(values)
        sources = [recall.copies_of(values) for recall in self.every_recall()]

        def recalled(start: int, stop: int) -> Recalled:
            """What the steps from `start` to before `stop` recall."""
            copies = torch.cat([copies_of(start, stop) for copies_of in sources], -2)
            return self.recalled_in_rows(copies, since[:, start:stop])

        return recalled

    def values_of(self, x: Tensor) -> Tensor:
        """What frames x `[B, n, R, P]` are recalled by, `[B * R, n, F]`: each part by its own."""
        return self.recallable(x.transpose(1, 2).flatten(0, 1))

    def recalled_in_rows(self, copies: Tensor, since: Tensor) -> Recalled:
        """What n steps of B * R sequences recall, in rows for `B * n * R` frames.

        Args:
            copies: `[B * R, n, C, F + 1]`.
            since: the steps after the start of the piece, `[B * R, n]`.
        """

        def in_rows(each: Tensor) -> Tensor:
            return each.unflatten(0, (-1, self.parts)).transpose(1, 2).flatten(0, 2)

        return Recalled(in_rows(copies), in_rows(self.beats(since)))


class _FrameSampler(StretchSampler):
    """Draws the frames of all parts step by step.

    It keeps the last frames, the states of the recurrences over time, and what may be recalled.
    """

    def __init__(self, head: AutoregressiveHead, temperature: float) -> None:
        super().__init__(self._draw)
        self._head = head
        self._temperature = temperature
        self._tables = head.tables()
        self._step = 0
        self._before: Tensor | None = None  # the last frames, [B, R, P]
        self._held: Tensor | None = None  # as `steps_held`, [B, R, P], if the head reads it
        self._past: PastState | None = None
        self._memories: list[Memory] = []  # of each recall, of B * R sequences

    def reindex(self, rows: Tensor) -> None:
        if self._before is None or self._past is None:
            return
        self._before = self._before[rows]
        if self._held is not None:
            self._held = self._held[rows]
        self._past = self._past.of_rows(rows)
        parts = torch.arange(self._head.parts, device=rows.device)
        of_parts = (rows[:, None] * self._head.parts + parts).flatten()
        for memory in self._memories:
            memory.reindex(of_parts)

    def take(self, context: Tensor, x: Tensor) -> Tensor:
        head = self._head
        before = self._frames_before(len(x), x.device)
        recalled = self._recalled_by(x)
        given = GivenFrames(x, x, frames_before(x, x, before, self._held), recalled, self._step)
        logits, self._past = head.scored(
            context, given, self._tables, self._temperature, self._past
        )
        if given.before.held is not None:
            self._held = steps_held(given.before.held[:, -1], x[:, -1:])[:, 0]
        self._before = x[:, -1]
        self._step += x.shape[1]
        return logits

    def _recalled_by(self, x: Tensor) -> RecalledAt | None:
        """What the next steps recall, whose frames are x `[B, n, R, P]`; they are remembered."""
        if not self._memories:
            return None
        head = self._head
        values = head.values_of(x)
        copies = torch.cat([memory.take(values) for memory in self._memories], -2)
        since = self._since(x.shape[1])

        def recalled(start: int, stop: int) -> Recalled:
            return head.recalled_in_rows(copies[:, start:stop], since[:, start:stop])

        return recalled

    def _frames_before(self, num_rows: int, device: torch.device) -> Tensor:
        """The last frames `[B, R, P]`; before the first step they are silent."""
        if self._before is None:
            self._before = self._head.frames.silence(num_rows, device=device)
            if self._head.held is not None:
                self._held = self._before.long()
            silence = self._head.recallable(self._before).flatten(0, 1)
            self._memories = self._head.memories(silence)
        return self._before

    def _draw(self, context: Tensor, uniform: Tensor, known: Known | None) -> DrawnStep:
        """From context `[B, C]` and uniform `[B, num_logits]`, x `[B, R, P]` of one step."""
        head = self._head
        state = self._state(context, self._frames_before(len(uniform), uniform.device))
        if head.parts == 1:
            own_known = None if known is None else head.frames.known_of_part(known, 0)
            drawn = self._drawn_part(state, uniform, own_known)
            x = drawn.x[:, None]
            logits = drawn.logits
        else:
            x, logits = self._drawn_parts(state, uniform, known)
        for memory in self._memories:
            memory.append(head.recallable(x).flatten(0, 1))
        if self._held is not None:
            self._held = steps_held(self._held, x[:, None])[:, 0]
        self._before = x
        self._step += 1
        return DrawnStep(x, logits)

    def _drawn_parts(self, state: FrameState, uniform: Tensor, known: Known | None) -> DrawnStep:
        """The frames of the parts of a band, each given those before it."""
        head = self._head
        numbers = head.frames.by_part(uniform)
        rows = torch.arange(len(uniform), device=uniform.device) * head.parts
        frames: list[Tensor] = []
        logits: list[Tensor] = []
        added: Tensor | None = None  # what the parts so far add to the units of the next ones
        for part in range(head.parts):
            of_part = state.of_rows(rows + part)
            if added is not None:
                units = of_part.units + head.from_earlier_parts(torch.tanh(added))
                of_part = of_part._replace(units=units)
            own_known = None if known is None else head.frames.known_of_part(known, part)
            drawn = self._drawn_part(of_part, numbers[..., part, :], own_known)
            frames.append(drawn.x)
            logits.append(drawn.logits)
            if part + 1 < head.parts:
                more = head.earlier_parts.added_by(part, drawn.x)
                added = more if added is None else added + more
        return DrawnStep(torch.stack(frames, 1), torch.cat(logits, -1))

    def _state(self, context: Tensor, before: Tensor) -> FrameState:
        """The state of the frames of all parts at the coming step, after the frames `before`."""
        head = self._head
        near = self._tables.near
        past, self._past = head.read(before[:, None], context[:, None], near, self._past)
        recalled: Recalled | None = None
        if self._memories:
            copies = torch.cat([memory.recalled() for memory in self._memories], -2)
            recalled = Recalled(copies, head.beats(self._since(1)[:, 0]))
        beats = head.beats(torch.full((1,), self._step, device=context.device))
        frames = FramesBefore(before, before, self._held)
        return head.state(context, past, recalled, beats, frames)

    def _since(self, num_steps: int) -> Tensor:
        """The steps from the start of the piece to each of so many coming ones, `[B * R, n]`."""
        opening = self._memories[-1]
        assert isinstance(opening, OpeningMemory)
        steps = torch.arange(self._step, self._step + num_steps, device=self._tables.near.device)
        return opening.since(steps)

    def _drawn_part(self, state: FrameState, uniform: Tensor, known: Known | None) -> DrawnStep:
        """The frames of one part, from numbers `[B, bits_per_part]`: x `[B, P]` and its logits."""
        head = self._head

        def decide(logits: Tensor) -> Tensor:
            return head.frames.sample_part(logits, uniform, known)

        if known is not None and known.allowed is not None:
            # What is known to sound is allowed.
            sounds = (known.values & known.mask)[..., : head.frames.num_pitches]
            allowed = known.allowed
            keys = allowed.keys | sounds
            lowest = allowed.lowest | sounds
            state = state._replace(allowed=AllowedKeys(keys, lowest, allowed.silence))
        logits = head.logits(state, self._tables, decide, self._temperature)
        return DrawnStep(decide(logits), logits)
