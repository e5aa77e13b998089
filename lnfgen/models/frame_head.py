"""The networks of the output that reads the past: from what is known of frames to their logits.

It is one file because these networks are one module: what units read, turn by turn, is the sum of
what each input adds.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from lnfgen.conventions import ONSET, SOUNDING
from lnfgen.device.replacements import Dropout
from lnfgen.models.beat_features import NUM_BEAT_FEATURES, PERIODS, BeatFeatures
from lnfgen.models.degree_units import DegreeUnits
from lnfgen.models.frame_past import EarlierParts, FramePast
from lnfgen.models.frame_state import FramesBefore, FrameState, Past, PastState, Recalled, Tables
from lnfgen.models.harmony_memory import HarmonyMemory
from lnfgen.models.held_notes import HeldNotes
from lnfgen.models.mixture import (
    NUM_EDGES,
    Copies,
    Gate,
    MixedChoice,
    mixed_onset,
    recallable,
    recalls_of_a_band,
    recalls_of_one_part,
)
from lnfgen.models.observation import Frames
from lnfgen.models.output import OutputHead
from lnfgen.models.turns import (
    FORBIDDEN,
    HIGHEST,
    LAST_VOICE,
    LOWEST,
    NEXT,
    TURNS,
    HighestKey,
    LowestKey,
    NextKey,
    Turn,
    goes_on,
)
from lnfgen.models.voice_leading import (
    NO_KEY,
    NUM_MOVES,
    NUM_VOICES,
    DrawnVoices,
    PairTables,
    lowest_key,
    move_case,
    voice_keys,
)
from lnfgen.nn.masking import tempered
from lnfgen.nn.parameter_groups import FAST
from lnfgen.nn.recall import Memory, Recall

CERTAIN = 30.0
"""The logit of an onset where no other value is possible: a silent key cannot be held."""

CONTEXT_PER_KEY = 8
"""Features of the context for each key."""

PATH = 6
"""Features of how the voice at a key has come there, which the other voices read."""


class FrameHead(OutputHead):
    """The networks that draw a frame voice by voice, with weights tied across the keys.

    `state` gives what is known of the frames of some steps before any voice is drawn, and `logits`
    draws, or scores, their voices from it. `lnfgen.models.autoregressive` calls them for all steps
    at once, or step by step.

    The units of a key read the keys that sound around it, at intervals relative to it: in the
    frames before (`lnfgen.models.frame_past`), and in its own frame from the voices drawn so far.
    They also read how far its voice would move to it, which voices would move in parallel with
    that, and how many voices are still to come. So the weights for a step of a voice, or for a
    third in a chord, are the same for every key. Only the context, a bias for each key and the ends
    of the range tell keys apart.

    With `copies` the units also read what the key did next where the past of its part was like the
    last frames (`lnfgen.nn.recall`), because phrases come again; and the distribution of a frame is
    mixed with copies of the recalled frames (`lnfgen.models.mixture`). In a band each key also
    reads how many keys sound and are struck in the recalled frames: a bass may play the rhythm of a
    bar before from another root.

    Limits: it costs `num_pitches` times a small network for each part and step, so a small range of
    pitches is worth having. Of more than `NUM_VOICES` keys, those below are independent of each
    other, given those above them.
    """

    def __init__(  # noqa: PLR0913  (sizes, and what it reads)
        self,
        frames: Frames,
        num_context: int,
        hidden: int,
        dropout: float,
        *,
        copies: bool,
        reads_home: bool = False,
    ) -> None:
        """A key has a quarter of the `hidden` features for the past, and half for its output."""
        super().__init__()
        self.frames = frames
        self.parts = frames.parts
        self.rate_groups: dict[str, str] = {}
        of_past = max(8, hidden // 4)
        hidden = max(8, hidden // 2)
        self.dropout = Dropout(dropout / 2)
        # The order in which weights are made decides their values at first.
        self.past = FramePast(frames, of_past, self.dropout)
        self.from_past = nn.Linear(of_past, self.parts * hidden)
        self.path = nn.Linear(of_past, self.parts * PATH)
        self.from_beat = nn.Linear(NUM_BEAT_FEATURES, hidden)
        self.from_context = nn.Linear(num_context, hidden)
        self.by_key = nn.Linear(num_context, frames.num_pitches * CONTEXT_PER_KEY)
        if self.parts > 1:
            self._add_inputs_of_parts(of_past, hidden)
        self._add_inputs_of_voices(hidden)
        self.recalls = nn.ModuleList()
        if copies:
            self._add_recalls(num_context, hidden)
        sizes = (frames.num_pitches, hidden)
        self.turns = nn.ModuleDict(
            {
                HIGHEST: HighestKey(*sizes, frames.bits_per_key, self.parts),
                LOWEST: LowestKey(*sizes, self.parts),
                NEXT: NextKey(*sizes, frames.bits_per_key, self.parts),
            }
        )
        self.of_beats = BeatFeatures()
        self.held: HeldNotes | None = None
        if self.parts > 1 and frames.has_onsets:
            self.held = HeldNotes(self.parts)
        self.of_home: DegreeUnits | None = None
        if reads_home:
            self.of_home = DegreeUnits(self.parts, frames.num_pitches, num_context, hidden)
        self.harmonies: HarmonyMemory | None = None
        if reads_home and self.parts == 1:
            self.harmonies = HarmonyMemory(frames.num_pitches, num_context, hidden, dropout)

    def _add_inputs_of_parts(self, of_past: int, hidden: int) -> None:
        """Add what tells the parts of a band apart, and what they read of each other."""
        num_keys = self.frames.num_pitches
        self.earlier_parts = EarlierParts(self.frames, of_past, self.dropout)
        self.from_earlier_parts = nn.Linear(of_past, hidden, bias=False)
        self.from_part = nn.Embedding(self.parts, hidden)
        self.from_key = nn.Parameter(torch.zeros(self.parts, num_keys, hidden))
        # Few or many voices are the nature of a part.
        self.none_of_part = nn.Parameter(torch.zeros(self.parts, NUM_VOICES))
        self.rate_groups["none_of_part"] = FAST

    def _add_inputs_of_voices(self, hidden: int) -> None:
        """Add what the units of a key read of voices: of those drawn, and of their numbers."""
        self.from_by_key = nn.Linear(CONTEXT_PER_KEY, hidden)
        self.from_voice = nn.Embedding((NUM_VOICES + 1) * NUM_MOVES * 2, hidden)
        self.from_path = nn.Linear(PATH, hidden)
        self.from_counts = nn.Embedding((NUM_VOICES + 1) * NUM_VOICES, hidden)
        self.from_num_before = nn.Embedding(NUM_VOICES + 1, hidden)

    def _add_recalls(self, num_context: int, hidden: int) -> None:
        """Add the recalls, their weights in the mixture, and what the units read of them."""
        frames = self.frames
        if self.parts > 1:
            recalls = recalls_of_a_band(frames.bits_per_part, PERIODS)
        else:
            recalls = recalls_of_one_part(frames.bits_per_part)
        self.recalls.extend(recalls)
        num_copies = sum(recall.num_copies for recall in recalls)
        num_values = num_copies * (frames.bits_per_key + NUM_EDGES)
        self.from_copied = nn.Linear(num_values, hidden, bias=False)
        self.from_nothing = nn.Linear(num_copies, hidden, bias=False)
        self.gate = Gate(num_context + 2 * NUM_BEAT_FEATURES, recalls, self.parts)
        if self.parts > 1:
            self.from_num_recalled = nn.Linear(num_values, hidden, bias=False)

    @property
    def numbers_per_step(self) -> int:
        return self.parts * self.frames.num_pitches * self.from_context.out_features

    def recallable(self, x: Tensor) -> Tensor:
        """What frames of one part, x `[..., P]`, are recalled by: `[..., F]`."""
        return recallable(self.frames.part_bits(x, self.dtype), x)

    def memories(self, silence: Tensor) -> list[Memory]:
        """The memory of each recall before the first step, like this silence `[N, F]`."""
        return [recall.memory(silence) for recall in self.every_recall()]

    def every_recall(self) -> list[Recall]:
        """The recalls, in their order."""
        return cast(list[Recall], list(self.recalls))

    def tables(self) -> Tables:
        of_turns: dict[str, PairTables | None] = {
            HIGHEST: None,
            LOWEST: self._turn(LOWEST).tables(),
            NEXT: self._turn(NEXT).tables(self.from_counts.weight),
        }
        return Tables(self.past.near_spectrum(), of_turns)

    def _turn(self, name: str) -> Turn:
        turn = self.turns[name]
        assert isinstance(turn, Turn)
        return turn

    def read(
        self, before: Tensor, context: Tensor, near: Tensor, state: PastState | None
    ) -> tuple[Past, PastState]:
        """What n steps of B sequences read of the frames before, and the state after them.

        before is `[B, n, R, P]`, context `[..., B, n, C]`, and `near` that of the `Tables`. A later
        call continues from the state.
        """
        of_keys, keys = self.past(before, near, None if state is None else state.keys)
        if self.harmonies is None:
            return Past(of_keys.flatten(0, 1), None), PastState(keys, None)
        harmony = None if state is None else state.harmony
        of_harmonies, harmony = self.harmonies(before[:, :, 0], context, harmony)
        return Past(of_keys.flatten(0, 1), of_harmonies.flatten(0, 1)), PastState(keys, harmony)

    # Each argument is another input of the features.
    def state(  # noqa: PLR0913
        self,
        context: Tensor,
        past: Past,
        recalled: Recalled | None,
        beats: Tensor,
        before: FramesBefore,
        x: Tensor | None = None,
    ) -> FrameState:
        """The state of the frames of all parts at S steps before any voice is drawn.

        context `[..., S, C]`, beats `[S, NUM_BEAT_FEATURES]`, and `read` gives the past. These are
        `N = S * R` frames. x `[N, P]` are the frames themselves, if they are known.

        Voices are followed from the frame as it was, because noise that hides a key would number
        them wrongly, and the rules of how they move together could not be learned.
        """
        num_steps, num_keys = past.of_keys.shape[:2]
        keys = torch.arange(num_keys, device=context.device)
        parts = torch.arange(self.parts, device=context.device).repeat(num_steps)
        sounding = (before.frames & SOUNDING) > 0  # [S, R, P]
        num_before = sounding.sum(-1).clamp(max=NUM_VOICES)  # [S, R]
        units = self._units(context, past, beats, num_before).flatten(-4, -3)  # [..., N, P, hidden]
        sounding = sounding.flatten(0, 1)
        noisy = (before.noisy.flatten(0, 1) & SOUNDING) > 0
        if recalled is None:
            copied = self._nothing_recalled(units, len(sounding))
            weights = units.new_zeros(len(sounding), 1)
        else:
            copied = recalled.copies
            units = units + self._units_of_recalled(copied)
            weights = self._weights(context, beats, recalled, parts)
        paths = torch.tanh(self.path(past.of_keys)).unflatten(-1, (self.parts, PATH))
        voices = torch.column_stack([voice_keys(sounding), lowest_key(sounding)])
        return FrameState(
            units=units,
            copies=Copies.of(copied.to(self.dtype), num_keys),
            weights=weights,
            of_voices=units.new_zeros(len(sounding), 1, units.shape[-1]),
            paths=paths.transpose(1, 2).flatten(0, 1),
            below=noisy.cumsum(-1).clamp(max=NUM_VOICES),
            cases=move_case(keys, voices[..., None]),
            drawn=DrawnVoices.none(sounding, num_before.flatten(), x),
            silent=~sounding,
            of_held=self._of_held(before),
            parts=parts,
        )

    def _of_held(self, before: FramesBefore) -> Tensor | None:
        """What is added to the scores of keys that were held before, `[N, P]`."""
        if self.held is None:
            return None
        assert before.held is not None
        added: Tensor = self.held(before.held)
        return added

    def _nothing_recalled(self, units: Tensor, num_frames: int) -> Tensor:
        """The copies for so many frames of a head that recalls nothing, `[N, 0, F + 1]`."""
        num_values = (self.frames.bits_per_key + NUM_EDGES) * self.frames.num_pitches
        return units.new_zeros(num_frames, 0, num_values + 1)

    def _weights(self, context: Tensor, beats: Tensor, recalled: Recalled, parts: Tensor) -> Tensor:
        """The logarithms of the weights of the model and of the copies, `[..., N, 1 + C]`."""
        beats = beats.to(context).expand(*context.shape[:-1], -1)
        of_step = torch.cat([context, beats], -1)
        of_frame = of_step.repeat_interleave(self.parts, -2)
        since = recalled.since_opening.to(context).expand(*of_frame.shape[:-1], -1)
        place = torch.cat([of_frame, since], -1)
        return self.gate(recalled.copies[..., -1], place, parts).to(self.dtype)

    def _units(self, context: Tensor, past: Past, beats: Tensor, num_before: Tensor) -> Tensor:
        """What the units of each key of each part read but for recalled frames.

        context `[..., S, C]`, num_before `[S, R]` -> `[..., S, R, P, hidden]`.
        """
        of_step = self.from_context(context) + self.from_beat(beats)  # [..., S, hidden]
        of_frame = of_step[..., None, :] + self.from_num_before(num_before)  # [..., S, R, hidden]
        of_frame = of_frame[..., None, :]
        if self.parts > 1:
            of_frame = of_frame + (self.from_part.weight[:, None] + self.from_key)
        of_past = self.from_past(past.of_keys).unflatten(-1, (self.parts, -1)).transpose(1, 2)
        by_key = self.by_key(context).unflatten(-1, (self.frames.num_pitches, CONTEXT_PER_KEY))
        of_key = self.from_by_key(self.dropout(by_key))
        units = of_past + of_frame + of_key[..., None, :, :]
        if self.of_home is not None:
            units = units + self.of_home(context)
        if self.harmonies is not None:
            assert past.of_harmonies is not None
            units = units + self.harmonies.units(past.of_harmonies, context)[..., None, :, :]
        return units

    def _units_of_recalled(self, recalled: Tensor) -> Tensor:
        """What the units of each key read of recalled frames `[N, C, F + 1]`: `[N, P, hidden]`."""
        values = recalled[..., :-1].unflatten(-1, (-1, self.frames.num_pitches))
        of_frame = self.from_nothing(recalled[..., -1])
        if self.parts > 1:
            counts = values.sum(-1).log1p().flatten(-2)
            of_frame = of_frame + self.from_num_recalled(counts)
        of_key = self.from_copied(self.dropout(values.movedim(-1, -3).flatten(-2)))
        return of_key + of_frame[..., None, :]

    def logits(
        self,
        state: FrameState,
        tables: Tables,
        decide: Callable[[Tensor], Tensor],
        temperature: float,
    ) -> Tensor:
        """The logits `[..., N, bits_per_part]` of the frames `[N, P]` that `decide` makes of them.

        `decide` returns the true frames, or sets each bit by its logit and a random number. It is
        called between turns, and only the voice of that turn is taken from its result, because
        the logits of later voices are not right yet.

        A frame that has all its voices keeps the logits that it has.
        """
        keys = torch.arange(self.frames.num_pitches, device=state.below.device)
        rows = torch.arange(len(state.below), device=keys.device)
        logits: Tensor | None = None
        for kind, voice in TURNS:
            if logits is not None and _leaves_out(keys.device):
                more = goes_on(state.drawn).nonzero()[:, 0]
                if not len(more):
                    break
                if len(more) < len(rows):
                    rows = rows[more]
                    state = state.of_rows(more)
            turn = self._turn(kind)
            free = turn.free_keys(keys, state.drawn)
            table = tables.of_turns[kind]
            found, choice = self._of_turn(turn, table, voice, free, state, temperature)
            if logits is None:  # the first turn decides on all keys for now
                logits = found
            else:
                decided = turn.decided(keys, state.drawn)[:, : logits.shape[-1]]
                decided = decided & goes_on(state.drawn)[:, None]
                before = logits.index_select(-2, rows)
                logits = logits.index_copy(-2, rows, torch.where(decided, found, before))
            if voice != LAST_VOICE:  # nothing reads the state after the last turn
                state = self._after_turn(turn, voice, free, state, choice, decide(logits)[rows])
        assert logits is not None
        return logits

    # A turn with what it reads.
    def _of_turn(  # noqa: PLR0913
        self,
        turn: Turn,
        tables: PairTables | None,
        voice: int,
        free: Tensor,
        state: FrameState,
        temperature: float,
    ) -> tuple[Tensor, MixedChoice]:
        """The logits of all keys in a turn, `[..., N, bits_per_part]`, and the choice itself."""
        units, rules = turn.inputs(tables, voice, state)
        h = turn.hidden_units(units, self.dropout)
        scores, onset = turn.scores(h, state.parts)
        if rules is not None:
            scores = torch.where(free, scores + rules, FORBIDDEN)
        none = self._score_of_none(turn, voice, h, state)
        none, scores, onset = turn.sharpened(none, scores, onset, state.parts)
        choice = MixedChoice.of(none, scores, turn.copied(state.copies, free))
        if voice == LAST_VOICE:
            sounds = tempered(state.with_held(scores), temperature)
            if state.allowed is not None:
                sounds = torch.where(state.allowed.keys, sounds, FORBIDDEN)
        else:
            mixed_none, mixed = choice.mixed(state.weights)
            mixed = state.with_held(mixed)
            if state.allowed is not None:
                mixed_none, mixed = turn.limited(mixed_none, mixed, free, state.allowed)
            if turn.none is None:
                mixed_none = none.to(mixed)
            sounds = turn.as_logits(mixed_none, torch.where(free, mixed, FORBIDDEN), temperature)
        return self._with_onsets(turn, state, sounds, onset, temperature), choice

    def _score_of_none(self, turn: Turn, voice: int, h: Tensor, state: FrameState) -> Tensor:
        """The score of no key for a voice, `[..., N, 1]`, from the units of all keys."""
        if turn.none is None:
            return h.new_full((*h.shape[:-2], 1), FORBIDDEN)
        score = turn.none(h.amax(-2))
        if self.parts == 1:
            return score
        return score + self.none_of_part[state.parts, voice, None]

    def _with_onsets(
        self, turn: Turn, state: FrameState, sounds: Tensor, onset: Tensor, temperature: float
    ) -> Tensor:
        """The logits of all bits, `[..., N, bits_per_part]`, from those that keys sound."""
        if not self.frames.has_onsets:
            return sounds.to(self.dtype)
        if not turn.draws_onsets:  # a later turn decides on them
            return torch.cat([sounds, torch.zeros_like(sounds)], -1).to(self.dtype)
        onset = mixed_onset(state.weights, onset.to(self.dtype), state.copies)
        if state.of_held is not None:
            onset = onset - state.of_held
        onset = torch.where(state.silent, CERTAIN, tempered(onset, temperature))
        return torch.cat([sounds, onset], -1).to(self.dtype)

    # A turn, what it read and what was decided.
    def _after_turn(  # noqa: PLR0913
        self,
        turn: Turn,
        voice: int,
        free: Tensor,
        state: FrameState,
        choice: MixedChoice,
        x: Tensor,
    ) -> FrameState:
        """Go on after a turn that made frames x `[N, P]`, of which only its own voice counts."""
        key = turn.chosen((x & SOUNDING) > 0, free)
        weights = choice.weights_given(state.weights, key)
        if isinstance(turn, NextKey):  # if there is none, the lowest key is next
            key = torch.where(key == NO_KEY, state.drawn.keys[:, 1], key)
        struck = x if turn.draws_onsets else None
        return self._with_voice(state, voice, key, struck, weights)

    def _with_voice(
        self, state: FrameState, voice: int, key: Tensor, x: Tensor | None, weights: Tensor
    ) -> FrameState:
        """Go on beside a voice: how far it moves, how it came there, and if x strikes it."""
        at = key[:, None].clamp(min=0)
        move = state.cases[:, voice].gather(-1, at)
        path = state.paths.gather(-2, at[..., None].expand(-1, -1, PATH))
        case = move * 2 + voice * NUM_MOVES * 2
        if x is not None:
            case = case + (x.gather(-1, at) >= ONSET)
        of_voice = self.from_voice(case) + self.from_path(path)
        return state._replace(
            of_voices=state.of_voices + of_voice,
            weights=weights,
            drawn=state.drawn.with_voice(key, move[:, 0]),
        )

    def beats(self, steps: Tensor) -> Tensor:
        """The place of steps `[...]` in beats and bars, `[..., NUM_BEAT_FEATURES]`."""
        return self.of_beats(steps).to(self.dtype)


def _leaves_out(device: torch.device) -> bool:
    """True if frames are left out once they have all their voices.

    A device other than a CPU would take longer to find them.
    """
    return device.type == "cpu"
