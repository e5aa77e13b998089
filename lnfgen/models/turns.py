"""The turns in which a frame is drawn: its highest key, then its lowest one, then those between.

`p(frame) = p(highest) p(lowest | highest) prod_m p(voice m | voices above it, lowest)`: each turn
is one choice among the keys, or of none. A turn says which keys are free, what copies of recalled
frames would choose, and whether it draws onsets too. So a model loses no voice because it decided
against many keys in a row, as heads do that decide each key by itself.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from lnfgen.models.frame_state import FrameState
from lnfgen.models.mixture import Copies
from lnfgen.models.observation import AllowedKeys
from lnfgen.models.voice_leading import (
    NUM_MOVES,
    NUM_VOICES,
    DrawnVoices,
    PairTables,
    VoicePairs,
    highest_key,
    lowest_key,
)
from lnfgen.nn.masking import tempered
from lnfgen.nn.parameter_groups import FAST, SHARPNESS

FORBIDDEN = -1e4
"""The score of a key that cannot be chosen; it is finite, so that two of them have a difference."""

HIGHEST = "highest"
LOWEST = "lowest"
NEXT = "next"

TURNS = (
    (HIGHEST, 0),
    (LOWEST, NUM_VOICES),
    *((NEXT, voice) for voice in range(1, NUM_VOICES)),
)
"""The turns of a frame in their order, and the number of the voice that each chooses.

Voices are numbered from the highest one down; the lowest one has the number after all others."""

LAST_VOICE = NUM_VOICES - 1
"""The voice of the last turn, which stands for all keys that are left."""

NUM_MIXES = 2
"""Residual layers that combine the inputs of a key, as a parallel move and a voice to come."""


class Turn(nn.Module, ABC):
    """A kind of choice: the networks that score the keys for it, and its rules.

    Each key has `hidden` units, with weights tied across the keys. Only a bias tells keys apart.
    """

    draws_onsets = True

    def __init__(  # noqa: PLR0913  (sizes)
        self,
        num_keys: int,
        hidden: int,
        bits: int,
        parts: int,
        *,
        num_voices: int,
        may_be_none: bool,
    ) -> None:
        """`num_voices` is for how many voices it has rules, 0 if no voice is drawn before it."""
        super().__init__()
        self.from_move = nn.Embedding(NUM_MOVES, hidden)
        self.mix = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(NUM_MIXES))
        self.out = nn.Linear(hidden, bits, bias=False)
        self.rate_groups: dict[str, str] = {}
        if parts == 1:
            self.key_bias = nn.Parameter(torch.zeros(num_keys, bits))
        else:
            self.key_bias = nn.Parameter(torch.zeros(parts, num_keys, bits))
            self.rate_groups["key_bias"] = FAST
        # Of the choice and of the onset in each part; see `sharpened`.
        self.sharpness = nn.Parameter(torch.zeros(parts, 2), requires_grad=False)
        self.rate_groups["sharpness"] = SHARPNESS
        self.pairs = VoicePairs(num_voices, hidden) if num_voices else None
        self.none = nn.Linear(hidden, 1) if may_be_none else None

    @abstractmethod
    def free_keys(self, keys: Tensor, drawn: DrawnVoices) -> Tensor:
        """Which of the keys `[P]` may be chosen, bool `[N, P]`."""

    def allowed_keys(self, allowed: AllowedKeys, free: Tensor) -> Tensor:
        """Which of the keys may be chosen among those that are allowed, bool `[N, P]`."""
        return allowed.keys

    def limited(
        self, none: Tensor, scores: Tensor, free: Tensor, allowed: AllowedKeys
    ) -> tuple[Tensor, Tensor]:
        """The log-probabilities of none `[..., N, 1]` and of keys `[..., N, P]` within a limit."""
        return none, only_allowed(scores, free, self.allowed_keys(allowed, free))

    def decided(self, keys: Tensor, drawn: DrawnVoices) -> Tensor:
        """The bits that this turn decides on for now: of keys, then of onsets, bool `[N, 2 P]`."""
        return keys.new_ones(len(drawn.keys), 2 * len(keys), dtype=torch.bool)

    def chosen(self, sounding: Tensor, free: Tensor) -> Tensor:
        """The key that was chosen, `[N]`: the highest free one that sounds, bool `[N, P]`."""
        return highest_key(sounding & free)

    @abstractmethod
    def copied(self, copies: Copies, free: Tensor) -> Tensor:
        """What the copies would choose among the free keys, `[N, C, 1 + P]`."""

    def as_logits(self, none: Tensor, scores: Tensor, temperature: float) -> Tensor:
        """The choice as logits of single keys; see `one_by_one`."""
        return one_by_one(none, scores, temperature)

    def inputs(
        self, tables: PairTables | None, voice: int, state: FrameState
    ) -> tuple[Tensor, Tensor | None]:
        """The sum of the inputs of each key's units, and what rules of voices add to its score.

        They are `[..., N, P, hidden]` and `[N, P]`. A turn before any voice is drawn has no rules.
        """
        if tables is None:
            return state.units + self.from_move(state.cases[:, voice]), None
        of_pairs, rules = self._of_pairs(tables, voice, state)
        return of_pairs + state.units + state.of_voices, rules

    def _of_pairs(self, tables: PairTables, voice: int, state: FrameState) -> tuple[Tensor, Tensor]:
        """What the units read of the voices drawn so far, and what rules add to the scores."""
        assert self.pairs is not None
        found: tuple[Tensor, Tensor] = self.pairs(tables, 0, state.cases[:, voice], state.drawn)
        return found

    def hidden_units(self, units: Tensor, dropout: nn.Module) -> Tensor:
        """The hidden units of each key from the sum of all its inputs, `[..., P, hidden]`."""
        h = gelu(units)
        for mix in self.mix:
            h = h + gelu(mix(dropout(h)))
        return dropout(h)

    def scores(self, h: Tensor, parts: Tensor) -> tuple[Tensor, Tensor]:
        """The scores of the keys and the logits of their onsets, `[..., N, P]` each.

        Without onsets both are the same. `parts` `[N]` are the parts that the frames are of.
        """
        bias = self.key_bias if self.key_bias.dim() == 2 else self.key_bias[parts]
        found = self.out(h) + bias
        return found[..., 0], found[..., -1]

    def sharpened(
        self, none: Tensor, scores: Tensor, onset: Tensor, parts: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The scores of none and of the keys and the logits of onsets, times the sharpness.

        The sharpness of a part is 1 after training, which is right for true music. In its own music
        a model errs more often, so calibration raises it, as a temperature below 1 would.
        """
        factors = self.sharpness.exp()[parts]  # [N, 2]
        of_choice = factors[:, None, 0]
        return none * of_choice, scores * of_choice, onset * factors[:, None, 1]

    def tables(self, *others: Tensor) -> PairTables | None:
        """What follows from the weights alone; see `VoicePairs.tables`."""
        if self.pairs is None:
            return None
        return self.pairs.tables(self.from_move.weight, *others)


class HighestKey(Turn):
    """The choice of the highest key, or of silence."""

    def __init__(self, num_keys: int, hidden: int, bits: int, parts: int) -> None:
        super().__init__(num_keys, hidden, bits, parts, num_voices=0, may_be_none=True)

    def free_keys(self, keys: Tensor, drawn: DrawnVoices) -> Tensor:
        return keys.new_ones(len(drawn.keys), len(keys), dtype=torch.bool)

    def allowed_keys(self, allowed: AllowedKeys, free: Tensor) -> Tensor:
        """Those that have a key at or below them which may be the lowest one."""
        num_below = (allowed.keys & allowed.lowest).cumsum(-1)
        return allowed.keys & (num_below > 0)

    def limited(
        self, none: Tensor, scores: Tensor, free: Tensor, allowed: AllowedKeys
    ) -> tuple[Tensor, Tensor]:
        none, scores = super().limited(none, scores, free, allowed)
        return torch.where(allowed.silence, none, FORBIDDEN), scores

    def copied(self, copies: Copies, free: Tensor) -> Tensor:
        return copies.highest_choice()


class LowestKey(Turn):
    """The choice of the lowest key, up to the highest one. The last turn draws its onset."""

    draws_onsets = False

    def __init__(self, num_keys: int, hidden: int, parts: int) -> None:
        super().__init__(num_keys, hidden, 1, parts, num_voices=1, may_be_none=False)

    def free_keys(self, keys: Tensor, drawn: DrawnVoices) -> Tensor:
        return keys <= drawn.keys[:, :1]

    def allowed_keys(self, allowed: AllowedKeys, free: Tensor) -> Tensor:
        """Those that may be the lowest; all if none may, as below a highest key that is known."""
        lowest = allowed.keys & allowed.lowest
        has_any = (lowest & free).any(-1, keepdim=True)
        return lowest | ~has_any

    def decided(self, keys: Tensor, drawn: DrawnVoices) -> Tensor:
        below = keys < drawn.keys[:, :1]
        return torch.cat([below, torch.zeros_like(below)], -1)

    def chosen(self, sounding: Tensor, free: Tensor) -> Tensor:
        return lowest_key(sounding)

    def copied(self, copies: Copies, free: Tensor) -> Tensor:
        return copies.lowest_choice(free)

    def as_logits(self, none: Tensor, scores: Tensor, temperature: float) -> Tensor:
        """The choice as logits of single keys, each given that none below it is chosen."""
        return one_by_one(none, scores.flip(-1), temperature).flip(-1)


class NextKey(Turn):
    """The choice of the next key down between the last one drawn and the lowest one, or of none."""

    def __init__(self, num_keys: int, hidden: int, bits: int, parts: int) -> None:
        super().__init__(num_keys, hidden, bits, parts, num_voices=NUM_VOICES, may_be_none=True)

    def free_keys(self, keys: Tensor, drawn: DrawnVoices) -> Tensor:
        return (keys > drawn.keys[:, 1:2]) & (keys < last_from_above(drawn)[:, None])

    def decided(self, keys: Tensor, drawn: DrawnVoices) -> Tensor:
        free = self.free_keys(keys, drawn)
        is_lowest = keys == drawn.keys[:, 1:2]
        return torch.cat([free, free | is_lowest], -1)

    def copied(self, copies: Copies, free: Tensor) -> Tensor:
        return copies.next_choice(free)

    def _of_pairs(self, tables: PairTables, voice: int, state: FrameState) -> tuple[Tensor, Tensor]:
        assert self.pairs is not None
        # With the number of the voice, this gives how many voices are still to come.
        counts = state.below * NUM_VOICES + voice
        own = state.cases[:, voice]
        found: tuple[Tensor, Tensor] = self.pairs(tables, voice, own, state.drawn, counts)
        return found


def last_from_above(drawn: DrawnVoices) -> Tensor:
    """The lowest key of those drawn from the top down, which is not the lowest one: `[N]`."""
    num_drawn = drawn.keys.shape[1]
    return drawn.keys[:, 0] if num_drawn <= 2 else drawn.keys[:, -1]


def goes_on(drawn: DrawnVoices) -> Tensor:
    """Which frames may have keys below those drawn from the top down, bool `[N]`."""
    if drawn.keys.shape[1] == 1:
        return drawn.keys[:, 0] > 0
    return last_from_above(drawn) > drawn.keys[:, 1]


def only_allowed(scores: Tensor, free: Tensor, allowed: Tensor) -> Tensor:
    """The log-probabilities of free keys `[..., N, P]` if only some of them are allowed.

    Those that are share the probability of all, so that of no key stays, unless none is allowed.
    Which keys are free and allowed is bool `[N, P]`.
    """
    of_free = torch.where(free, scores, FORBIDDEN).logsumexp(-1, keepdim=True)
    of_allowed = torch.where(free & allowed, scores, FORBIDDEN).logsumexp(-1, keepdim=True)
    return torch.where(allowed, scores + (of_free - of_allowed), FORBIDDEN)


def one_by_one(none: Tensor, scores: Tensor, temperature: float) -> Tensor:
    """A choice by softmax as logits of single keys, from the top down, `[..., P]`.

    It is made of scores of none `[..., 1]` and of keys `[..., P]`, and tempered as one choice, so
    that temperature 0 gives the likeliest key. The logit of key i is that of
    `p(i) / p(i or one below or none)`: given that none above it is chosen.
    """
    every = tempered(torch.cat([none, scores], -1), temperature)
    return every[..., 1:] - torch.logcumsumexp(every, -1)[..., :-1]
