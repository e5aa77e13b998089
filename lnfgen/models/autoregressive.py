"""The output head that reads the frames before and draws a frame voice by voice.

It scores all steps at once, or draws step by step; the networks of both are those of `FrameHead`.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from lnfgen.models.frame_head import FrameHead
from lnfgen.models.frame_past import PastState
from lnfgen.models.frame_state import FramesBefore, FrameState, Recalled
from lnfgen.models.observation import Known
from lnfgen.models.output import DrawnStep, Sampler
from lnfgen.models.stretches import in_stretches
from lnfgen.nn.opening import OpeningMemory, OpeningRecall
from lnfgen.nn.recall import Memory


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
        tables = self.tables()
        recall = self._recall(x)

        def stretch(
            context: Tensor, start: int, stop: int, state: PastState | None
        ) -> tuple[Tensor, PastState]:
            """The logits of the steps from `start` to before `stop`, and the state after them."""
            before = _delayed(x, start, stop)
            noisy_before = _delayed(noisy, start, stop)
            past, state = self.past(noisy_before, tables.near, state)
            beats = self.beats(torch.arange(start, stop, device=x.device))
            frames = x[:, start:stop].flatten(0, 2)
            of_frames = self.state(
                context.flatten(-3, -2),
                past.flatten(0, 1),
                None if recall is None else recall(start, stop),
                beats.repeat(len(x), 1),
                FramesBefore(before.flatten(0, 1), noisy_before.flatten(0, 1)),
                frames,
            )
            if self.parts > 1:
                now = noisy[:, start:stop].flatten(0, 1)
                earlier = self.from_earlier_parts(self.earlier_parts(now)).flatten(0, 1)
                of_frames = of_frames._replace(units=of_frames.units + earlier)
            logits = self.logits(of_frames, tables, lambda logits: frames, temperature)
            size = (len(x), stop - start, self.parts)
            return logits.unflatten(-2, size).flatten(-2), state

        return in_stretches(stretch, context, self.numbers_per_step)

    def sampler(self, temperature: float) -> Sampler:
        return _FrameSampler(self, temperature)

    def _recall(self, x: Tensor) -> Callable[[int, int], Recalled] | None:
        """The function of what some steps recall: each part of x `[B, T, R, P]` its own frames."""
        if not len(self.recalls):
            return None
        batch = len(x)
        sequences = x.transpose(1, 2).flatten(0, 1)  # [B * R, T, P]
        values = self.recallable(sequences)
        since = self._opening().since(values)
        sources = [recall.copies_of(values) for recall in self.every_recall()]

        def in_rows(each: Tensor) -> Tensor:
            """`[B * R, T, ...]` -> `[B * T * R, ...]`."""
            return each.unflatten(0, (batch, self.parts)).transpose(1, 2).flatten(0, 2)

        def recalled(start: int, stop: int) -> Recalled:
            """What the steps from `start` to before `stop` recall."""
            copies = torch.cat([copies_of(start, stop) for copies_of in sources], -2)
            return Recalled(in_rows(copies), in_rows(self.beats(since[:, start:stop])))

        return recalled

    def _opening(self) -> OpeningRecall:
        opening = self.recalls[-1]
        assert isinstance(opening, OpeningRecall)
        return opening


def _delayed(x: Tensor, start: int, stop: int) -> Tensor:
    """Of x `[B, T, R, P]`, the frames before the steps from `start` to before `stop`.

    Before the first step there is silence.
    """
    if start:
        return x[:, start - 1 : stop - 1]
    return pad(x[:, : stop - 1], (0, 0, 0, 0, 1, 0))


class _FrameSampler(Sampler):
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
        self._past: PastState | None = None
        self._memories: list[Memory] = []  # of each recall, of B * R sequences

    def reindex(self, rows: Tensor) -> None:
        if self._before is None or self._past is None:
            return
        self._before = self._before[rows]
        self._past = self._past.of_rows(rows)
        parts = torch.arange(self._head.parts, device=rows.device)
        of_parts = (rows[:, None] * self._head.parts + parts).flatten()
        for memory in self._memories:
            memory.reindex(of_parts)

    def _draw(self, context: Tensor, uniform: Tensor, known: Known | None) -> DrawnStep:
        """From context `[B, C]` and uniform `[B, num_logits]`, x `[B, R, P]` of one step."""
        head = self._head
        if self._before is None:
            self._before = head.frames.silence(len(uniform), device=uniform.device)
            silence = head.recallable(self._before).flatten(0, 1)
            self._memories = head.memories(silence)
        state = self._state(context, self._before)
        if head.parts == 1:
            drawn = self._drawn_part(state, uniform, known)
            x = drawn.x[:, None]
            logits = drawn.logits
        else:
            x, logits = self._drawn_parts(state, uniform, known)
        for memory in self._memories:
            memory.append(head.recallable(x).flatten(0, 1))
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
        past, self._past = head.past(before[:, None], self._tables.near, self._past)
        recalled: Recalled | None = None
        if self._memories:
            copies = torch.cat([memory.recalled() for memory in self._memories], -2)
            opening = self._memories[-1]
            assert isinstance(opening, OpeningMemory)
            recalled = Recalled(copies, head.beats(opening.since()))
        beats = head.beats(torch.full((1,), self._step, device=context.device))
        frames = FramesBefore(before, before)
        return head.state(context, past[:, 0], recalled, beats, frames)

    def _drawn_part(self, state: FrameState, uniform: Tensor, known: Known | None) -> DrawnStep:
        """The frames of one part, from numbers `[B, bits_per_part]`: x `[B, P]` and its logits."""
        head = self._head

        def decide(logits: Tensor) -> Tensor:
            return head.frames.sample_part(logits, uniform, known)

        logits = head.logits(state, self._tables, decide, self._temperature)
        return DrawnStep(decide(logits), logits)
