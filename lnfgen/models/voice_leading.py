"""How voices move from one frame to the next.

A piano-roll does not say which key belongs to which voice. Here voices are the sounding keys in
order from the highest one down, so that the voice of a key has as many voices above it now as in
the frame before.
"""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from lnfgen.conventions import SOUNDING
from lnfgen.nn.parameter_groups import FAST

NUM_VOICES = 6
"""Voices with weights of their own, counted from the highest one."""

NO_KEY = -1
"""The key of a voice that is silent."""

FARTHEST = 12
"""A voice moves by so many semitones at most; further is one case up and one case down."""

NO_MOVE = FARTHEST + 1
"""The case that a voice does not move. Moves down have the cases before it, moves up those
after."""

NUM_MOVES = NO_MOVE + FARTHEST + 3
"""The cases of a move; the last one is that of a voice that was silent."""

PARALLEL_SIZES = (2, 5, FARTHEST)
"""Bounds of the sizes of parallel motion: steps, up to a fourth, and further."""

OBLIQUE = 0  # one of two voices stays, or both
CONTRARY = 1
SIMILAR = 2
PARALLEL = 3
"""The number of the first parallel motion, that of the smallest size."""

NUM_MOTIONS = PARALLEL + len(PARALLEL_SIZES)
"""Two voices move in oblique, contrary or similar motion, or in parallel of each size."""

OCTAVE = 12  # semitones

WIDEST = 48
"""The widest interval between two voices that has weights of its own: four octaves."""

NUM_INTERVALS = 2 * WIDEST + 1
"""The cases of an interval between two voices, in semitones down or up."""

NUM_PAIRS = NUM_INTERVALS * NUM_MOTIONS
"""The cases of an interval and a motion together."""


def highest_key(sounding: Tensor) -> Tensor:
    """The highest key that sounds, bool `[..., P]` -> `[...]`."""
    keys = torch.arange(sounding.shape[-1], device=sounding.device)
    return torch.where(sounding, keys, NO_KEY).amax(-1)


def lowest_key(sounding: Tensor) -> Tensor:
    """The lowest key that sounds, bool `[..., P]` -> `[...]`."""
    return torch.where(sounding.any(-1), sounding.to(torch.uint8).argmax(-1), NO_KEY)


def voice_keys(sounding: Tensor) -> Tensor:
    """The keys that sound, from the highest one down: bool `[..., P]` -> `[..., NUM_VOICES]`."""
    rank = sounding.flip(-1).cumsum(-1).flip(-1)[..., None, :]
    numbers = torch.arange(1, NUM_VOICES + 1, device=rank.device)
    return lowest_key(sounding[..., None, :] & (rank == numbers[:, None]))


def move_case(key: Tensor, before: Tensor) -> Tensor:
    """The case of a voice's move to a key from where it was: `NO_MOVE` plus the semitones up.

    key and before `[...]` -> `[...]`. If the voice was silent, it is the last case.
    """
    semitones = (key - before).clamp(-NO_MOVE, NO_MOVE)
    return torch.where(before == NO_KEY, NUM_MOVES - 1, semitones + NO_MOVE)


def motion(move: Tensor, other: Tensor) -> Tensor:
    """How two voices move together, as a number from 0 to NUM_MOTIONS - 1.

    Both moves are cases of `move_case`, `[...]` each. Voices that were silent do not move.
    """
    one = _semitones(move)
    two = _semitones(other)
    size = torch.zeros_like(one)
    for bound in PARALLEL_SIZES[:-1]:
        size = size + (one.abs() > bound).long()
    is_parallel = (one == two) & (one.abs() <= FARTHEST)
    same_direction = torch.where(is_parallel, PARALLEL + size, SIMILAR)
    together = torch.where(one * two < 0, CONTRARY, same_direction)
    return torch.where(one * two == 0, OBLIQUE, together)


def _semitones(move: Tensor) -> Tensor:
    """The semitones up of a case of `move_case`; 0 of a voice that was silent."""
    return torch.where(move == NUM_MOVES - 1, 0, move - NO_MOVE)


def interval_class(semitones: Tensor) -> Tensor:
    """The number of an interval `[...]`, at most `WIDEST`, by its size within an octave.

    `OCTAVE` is added if the interval goes down.
    """
    return semitones.abs().clamp(max=WIDEST) % OCTAVE + OCTAVE * (semitones < 0)


class PairTables(NamedTuple):
    """What two voices of a frame mean for each other, by the case of interval and motion."""

    # The number of the motion of two voices, by the cases of both moves, [NUM_MOVES * NUM_MOVES].
    motions: Tensor
    # Of each case, then of each move, then others that a key adds to these, [cases, hidden].
    units: Tensor
    rules: Tensor  # [num_voices, (NUM_VOICES + 1) * NUM_PAIRS]


class DrawnVoices(NamedTuple):
    """The voices of N frames that are drawn so far: the highest, the lowest, those between them."""

    keys: Tensor  # [N, V]
    moves: Tensor  # the cases of their moves, [N, V]
    num_before: Tensor  # the keys that sounded in the frame before, at most NUM_VOICES, [N]
    # Where as many keys sound as in the frame before, bool [N]; None if the frame is yet to be
    # drawn.
    as_many: Tensor | None

    @classmethod
    def none(cls, before: Tensor, num_before: Tensor, x: Tensor | None) -> "DrawnVoices":
        """No voices of N frames, after frames whose keys sounded `before`, bool `[N, P]`.

        num_before is `[N]`. x `[N, P]` are the frames themselves, if they are known.
        """
        none = num_before.new_empty(len(before), 0)
        as_many = None
        if x is not None:
            as_many = before.sum(-1) == ((x & SOUNDING) > 0).sum(-1)
        return cls(none, none, num_before, as_many)

    def with_voice(self, key: Tensor, move: Tensor) -> "DrawnVoices":
        """With one voice more, key and move `[N]`."""
        keys = torch.cat([self.keys, key[:, None]], -1)
        moves = torch.cat([self.moves, move[:, None]], -1)
        return self._replace(keys=keys, moves=moves)

    def of_rows(self, rows: Tensor) -> "DrawnVoices":
        """Those of some of the frames."""
        as_many = None if self.as_many is None else self.as_many[rows]
        return DrawnVoices(self.keys[rows], self.moves[rows], self.num_before[rows], as_many)


class VoicePairs(nn.Module):
    """The inputs of each key from the voices drawn so far: their intervals and motions with it.

    For motion, intervals count by their size within an octave, because a fifth and a twelfth have
    the same rules. Motion also adds to the scores, because some motions hardly ever occur, whatever
    else speaks for a key: a rule for each voice, and each number of keys in the frame before,
    because voices are found by that. Such motions are rare to learn from, so rules move faster than
    other weights.

    A rule of parallels learns only from frames that have as many keys as the one before. There each
    voice has the number that it had before; elsewhere it often has another, and what looks like a
    parallel is none.
    """

    rate_groups: ClassVar[dict[str, str]] = {"rules": FAST}

    def __init__(self, num_voices: int, hidden: int) -> None:
        super().__init__()
        self.interval = nn.Parameter(0.5 * torch.randn(NUM_INTERVALS, hidden))
        self.motion = nn.Parameter(torch.zeros(2 * OCTAVE, NUM_MOTIONS, hidden))
        self.rules = nn.Parameter(torch.zeros(num_voices, NUM_VOICES + 1, 2 * OCTAVE, NUM_MOTIONS))

    def tables(self, of_moves: Tensor, *others: Tensor) -> PairTables:
        """What follows from the weights alone, and is computed once for all frames.

        The units are those of each interval and motion, then those of moves `[NUM_MOVES, hidden]`,
        then others.
        """
        intervals = torch.arange(-WIDEST, WIDEST + 1, device=self.rules.device)
        classes = interval_class(intervals)
        moves = torch.arange(NUM_MOVES, device=self.rules.device)
        units = self.interval[:, None] + self.motion[classes]
        units = torch.cat([units.flatten(0, 1), of_moves, *others])
        rules = self.rules[:, :, classes].flatten(1)
        return PairTables(motion(moves[:, None], moves).flatten(), units, rules)

    def forward(
        self, tables: PairTables, number: int, own: Tensor, drawn: DrawnVoices, *others: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Units `[N, P, hidden]` and scores `[N, P]` to add for the voice of a number.

        `own` `[N, P]` are the cases of its move to each key. `others` `[N, P]` are numbers of other
        units of the tables, counted from the end of the moves.
        """
        own = own[..., None]
        keys = torch.arange(own.shape[-2], device=own.device)
        together = tables.motions[own * NUM_MOVES + drawn.moves[:, None]]  # [N, P, V]
        interval = (drawn.keys[:, None] - keys[:, None]).clamp(-WIDEST, WIDEST) + WIDEST
        case = interval * NUM_MOTIONS + together
        rules = tables.rules[number][drawn.num_before[:, None, None] * NUM_PAIRS + case]
        if drawn.as_many is not None:
            learns = drawn.as_many[:, None, None] | (together < PARALLEL)
            rules = torch.where(learns, rules, rules.detach())
        # One call adds up all units of a key, because that takes less time than a sum for each.
        places = [case, NUM_PAIRS + own]
        for other in others:
            places.append(NUM_PAIRS + NUM_MOVES + other[..., None])
        flat = torch.cat(places, -1).flatten(0, 1)
        units = embedding_bag(flat, tables.units, mode="sum").unflatten(0, case.shape[:2])
        return units, rules.sum(-1)
