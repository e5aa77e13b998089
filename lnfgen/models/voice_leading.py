"""How voices move from one frame to the next.

A piano-roll does not say which key belongs to which voice. Here voices are the sounding keys in
order from the highest one down, so that the voice of a key has as many voices above it now as in
the frame before.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, gelu

NUM_VOICES = 6
"""Voices with weights of their own, counted from the highest one."""

NO_KEY = -1
"""The key of a voice that is silent."""

FARTHEST = 12
"""A voice moves by so many semitones at most; further is one case up and one case down."""

NO_MOVE = FARTHEST + 1
"""The number of the case that a voice does not move; those of moves down are before it, those of
moves up after it."""

NUM_MOVES = NO_MOVE + FARTHEST + 3
"""The cases of a move; the last one is that of a voice that was silent."""

PARALLEL_SIZES = (2, 5, FARTHEST)
"""Bounds of the sizes of parallel motion: steps, up to a fourth, and further."""

PARALLEL = 3
"""The number of the first parallel motion, after oblique (one of two voices stays, or both),
contrary and similar."""

NUM_MOTIONS = PARALLEL + len(PARALLEL_SIZES)
"""Two voices move in oblique, contrary or similar motion, or in parallel of each size."""


def highest_key(sounding: Tensor) -> Tensor:
    """The highest key that sounds, bool `[..., P]` -> `[...]`."""
    return torch.where(
        sounding, torch.arange(sounding.shape[-1], device=sounding.device), NO_KEY
    ).amax(-1)


def lowest_key(sounding: Tensor) -> Tensor:
    """The lowest key that sounds, bool `[..., P]` -> `[...]`."""
    return torch.where(sounding.any(-1), sounding.to(torch.uint8).argmax(-1), NO_KEY)


def voice_keys(sounding: Tensor) -> Tensor:
    """The keys that sound, from the highest one down: bool `[..., P]` -> `[..., NUM_VOICES]`."""
    rank = sounding.flip(-1).cumsum(-1).flip(-1)[..., None, :]
    return lowest_key(
        sounding[..., None, :]
        & (rank == torch.arange(1, NUM_VOICES + 1, device=rank.device)[:, None])
    )


def move_case(key: Tensor, before: Tensor) -> Tensor:
    """The number of the case of a voice's move to a key from where it was: `NO_MOVE` plus the
    semitones up.

    key and before `[...]` -> `[...]`. If the voice was silent, it is the last case, `NUM_MOVES -
    1`.
    """
    return torch.where(
        before == NO_KEY, NUM_MOVES - 1, (key - before).clamp(-NO_MOVE, NO_MOVE) + NO_MOVE
    )


def motion(move: Tensor, other: Tensor) -> Tensor:
    """How two voices move together, from the cases of their moves: the number of the motion, from 0
    to NUM_MOTIONS - 1.

    Both cases are those of `move_case`, `[...]` each. Voices that were silent do not move.
    """
    # in semitones
    one, two = (torch.where(case == NUM_MOVES - 1, 0, case - NO_MOVE) for case in (move, other))
    size = sum((one.abs() > bound).long() for bound in PARALLEL_SIZES[:-1])
    parallel = (one == two) & (one.abs() <= FARTHEST)
    together = torch.where(one * two < 0, 1, torch.where(parallel, PARALLEL + size, 2))
    return torch.where(one * two == 0, 0, together)


OCTAVE = 12  # semitones

WIDEST = 48
"""The widest interval between two voices that has weights of its own: four octaves."""

NUM_INTERVALS = 2 * WIDEST + 1
"""The cases of an interval between two voices, in semitones down or up."""

NUM_PAIRS = NUM_INTERVALS * NUM_MOTIONS
"""The cases of an interval and a motion together."""

RULES_RATE = 10.0
"""The weights of rules are multiplied by this. With Adam all weights move equally fast, so the
rules move faster."""

NUM_MIXES = 2
"""Residual layers that combine the inputs of a key, as that a move is in parallel and that one
voice is to come."""


class VoiceChoice(nn.Module):
    """The choice of a key for a voice."""

    def __init__(self, num_keys: int, hidden: int, bits: int, parts: int = 1) -> None:
        super().__init__()
        self.from_move = nn.Embedding(NUM_MOVES, hidden)
        self.mix = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(NUM_MIXES))
        self.out = nn.Linear(hidden, bits, bias=False)
        self.key_bias = nn.Parameter(
            torch.zeros(num_keys, bits) if parts == 1 else torch.zeros(parts, num_keys, bits)
        )

    def forward(self, units: Tensor, dropout: nn.Module) -> Tensor:
        """The hidden units of each key from the sum of all its inputs, `from_move` included: `[...,
        P, hidden]`."""
        h = gelu(units)
        for mix in self.mix:
            h = h + gelu(mix(dropout(h)))
        return dropout(h)

    def scores(self, h: Tensor, parts: Tensor) -> tuple[Tensor, Tensor]:
        """The scores of the keys, and the logits of their onsets if there are any, `[..., R, P]`
        each.

        `parts` `[R]` are the parts that the rows are of.
        """
        found = self.out(h) + (
            self.key_bias if self.key_bias.dim() == 2 else RULES_RATE * self.key_bias[parts]
        )
        return found[..., 0], found[..., -1]


class PairTables(NamedTuple):
    """What two voices of a frame mean for each other, by the case of their interval and their
    motion."""

    # the number of the motion of two voices, by the cases of both moves, [NUM_MOVES * NUM_MOVES]
    motions: Tensor
    # of each case, then of each move, then others that a key adds to these, [N, hidden]
    units: Tensor
    rules: Tensor  # [num_voices, (NUM_VOICES + 1) * NUM_PAIRS]


class VoicePairs(nn.Module):
    """The inputs of each key from the voices drawn so far: the interval to each of them, and how it
    would move with it.

    For motion, intervals count by their size within an octave, because a fifth and a twelfth have
    the same rules. Motion also adds to the scores, because some motions hardly ever occur, whatever
    else speaks for a key: a rule for each voice, and each number of keys in the frame before,
    because voices are found by that. Such motions are rare to learn from, so rules change
    `RULES_RATE` times as fast as other weights.

    A rule of parallels learns only from frames that have as many keys as the one before. There each
    voice has the number that it had before; elsewhere it often has another, and what looks like a
    parallel is none.
    """

    def __init__(self, num_voices: int, hidden: int) -> None:
        super().__init__()
        self.interval = nn.Parameter(0.5 * torch.randn(NUM_INTERVALS, hidden))
        self.motion = nn.Parameter(torch.zeros(2 * OCTAVE, NUM_MOTIONS, hidden))
        self.rules = nn.Parameter(torch.zeros(num_voices, NUM_VOICES + 1, 2 * OCTAVE, NUM_MOTIONS))

    def tables(self, of_moves: Tensor, *others: Tensor) -> PairTables:
        """The units and rules of each interval and motion, then units of moves `[NUM_MOVES,
        hidden]`, then others."""
        classes = interval_class(torch.arange(-WIDEST, WIDEST + 1, device=self.rules.device))
        moves = torch.arange(NUM_MOVES, device=self.rules.device)
        units = self.interval[:, None] + self.motion[classes]
        rules = RULES_RATE * self.rules[:, :, classes]
        units = torch.cat([units.flatten(0, 1), of_moves, *others])
        return PairTables(motion(moves[:, None], moves).flatten(), units, rules.flatten(1))

    def forward(
        self,
        tables: PairTables,
        number: int,
        own: Tensor,
        num_before: Tensor,
        drawn: Tensor,
        moves: Tensor,
        as_many: Tensor | None,
        *others: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Units `[R, P, hidden]` and scores `[R, P]` to add for the voice of a number, by the cases
        `own` of its moves.

        `own` `[R, P]` are those of moves to each key. `drawn` and `moves` are the keys of the
        voices drawn so far and the cases of their moves, `[R, V]` each. In training, `as_many`
        `[R]` says which frames have as many keys as the one before. `others` `[R, P]` are numbers
        of other units of the tables, counted from the end of the moves. One call adds up all units
        of a key, because that takes less time than a sum for each.
        """
        here, own = torch.arange(own.shape[-1], device=own.device), own[..., None]
        together = tables.motions[own * NUM_MOVES + moves[:, None]]  # [R, P, V]
        interval = (drawn[:, None] - here[:, None]).clamp(-WIDEST, WIDEST) + WIDEST
        case = interval * NUM_MOTIONS + together
        rules = tables.rules[number][num_before[:, None, None] * NUM_PAIRS + case]
        if as_many is not None:
            rules = torch.where(
                as_many[:, None, None] | (together < PARALLEL), rules, rules.detach()
            )
        rows = [
            case,
            NUM_PAIRS + own,
            *(NUM_PAIRS + NUM_MOVES + other[..., None] for other in others),
        ]
        units = embedding_bag(
            torch.cat(rows, -1).flatten(0, 1), tables.units, mode="sum"
        ).unflatten(0, case.shape[:2])
        return units, rules.sum(-1)


def interval_class(semitones: Tensor) -> Tensor:
    """The number of an interval `[...]`, `WIDEST` at most: its size within an octave, plus `OCTAVE`
    if it goes down."""
    return semitones.abs().clamp(max=WIDEST) % OCTAVE + OCTAVE * (semitones < 0)
