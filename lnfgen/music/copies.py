"""Passages that two pieces have note for note, in any key: how long copies are, and which pieces
are related.

The idea is that of the originality report: Z. Yin, F. Reuben, S. Stepney and T. Collins, "'A Good
Algorithm Does Not Steal - It Imitates'", EvoMUSART 2021, who also count notes that nearly agree.
Here every step must agree.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from lnfgen.music.pianoroll import PianoRoll

MIN_CHORDS = 4
"""The number of different chords that a passage needs to relate two pieces. One held or repeated
chord, or two that alternate, is in any two pieces of a style, however long it lasts, and so is a
closing cadence of three."""


def longest_copies(
    pieces: Sequence[PianoRoll], corpus: Sequence[PianoRoll], owners: Sequence[int] | None = None
) -> list[float]:
    """For each of one or more pieces, the quarters of its longest passage that is in the corpus,
    transposed or not.

    A passage starts and ends with steps that sound. All rolls must be on one grid.

    Args:
        owners: for each piece the index of the roll in the corpus that it comes from, which is left
            out for it.
    """
    rolls = [*pieces, *corpus]
    lengths = np.array([roll.num_steps for roll in rolls])
    is_asked = np.arange(lengths.sum()) < lengths[: len(pieces)].sum()
    left_out = range(-len(pieces), 0) if owners is None else owners
    owner = np.repeat([*left_out, *range(len(corpus))], lengths)
    # of each step, how long the longest shared passage is that starts there
    longest = np.zeros(len(owner), np.int64)
    for length, starts, _ in _shared_passages(rolls, owner, is_asked, ~is_asked, with_onsets=True):
        longest[starts] = length
    firsts = np.cumsum(lengths[: len(pieces)]) - lengths[: len(pieces)]
    return (np.maximum.reduceat(longest[is_asked], firsts) / pieces[0].steps_per_quarter).tolist()


def related_pieces(rolls: Sequence[PianoRoll], num_steps: int) -> list[int]:
    """For each of one or more pieces, the index of the first one that it is related to; its own, if
    that is the first.

    Two pieces are related if they share a passage of `num_steps` or more, transposed or not, or if
    both are related to a third one. The passage starts and ends with steps that sound, and has
    `MIN_CHORDS` different chords. Its onsets may differ, because a melody with other words has
    other repeated notes. All rolls must be on one grid.
    """
    lengths = [roll.num_steps for roll in rolls]
    owner = np.repeat(np.arange(len(rolls)), lengths)
    offsets = np.cumsum([0, *lengths])
    every_step = np.ones(len(owner), np.bool_)

    def has_enough_chords(start: int, length: int) -> bool:
        first = start - offsets[owner[start]]
        steps = rolls[owner[start]].sounding[first : first + length]
        return len({keys.tobytes() for keys in steps if keys.any()}) >= MIN_CHORDS

    group = np.arange(len(rolls))
    for length, starts, names in _shared_passages(
        rolls, owner, every_step, every_step, with_onsets=False
    ):
        if length < num_steps:
            continue
        for name in np.unique(names):
            same = starts[names == name]
            members = np.unique(group[owner[same]])
            if len(members) > 1 and has_enough_chords(same[0], length):
                group[np.isin(group, members)] = members[0]
    return group.tolist()


def _shared_passages(
    rolls: Sequence[PianoRoll],
    owner: np.ndarray,
    is_asked: np.ndarray,
    is_known: np.ndarray,
    *,
    with_onsets: bool,
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The shared passages of each length, from one step on: (length, starts, names). Their first
    and last steps sound.

    Starts are steps of all rolls, one roll after the other. Passages that are equal in some key
    have one name. One that is asked for is shared if a known one of another owner is equal; then
    that one is shared too. A shared passage begins with a shared passage that is shorter by a step,
    so that few are left soon.
    """
    lengths = np.array([roll.num_steps for roll in rolls])
    # of each step, the step after the last one of its roll
    ends = np.repeat(np.cumsum(lengths), lengths)
    chords, moves = _numbered_steps(rolls, with_onsets)
    sounds = np.concatenate([roll.sounding.any(axis=1) for roll in rolls])
    starts = np.flatnonzero(sounds)
    names, length = chords[starts], 1
    while len(starts):
        names = np.unique(names, return_inverse=True)[1]
        own, known = owner[starts], is_known[starts]
        # Of each name, the lowest and the highest owner of a known passage; the highest is -1 if
        # none has one.
        lowest, highest = np.full(len(names), np.iinfo(np.int64).max), np.full(len(names), -1)
        np.minimum.at(lowest, names[known], own[known])
        np.maximum.at(highest, names[known], own[known])
        found = (
            is_asked[starts]
            & (highest[names] >= 0)
            & ((lowest[names] != own) | (highest[names] != own))
        )
        shared = found | (known & np.isin(names, names[found]))
        starts, names = starts[shared], names[shared]
        ends_sounding = sounds[starts + length - 1]
        yield length, starts[ends_sounding], names[ends_sounding]
        inside = starts + length < ends[starts]
        starts, names = starts[inside], names[inside]
        names = names * (moves.max() + 1) + moves[starts + length]
        length += 1


def _numbered_steps(rolls: Sequence[PianoRoll], with_onsets: bool) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers for each step of all rolls, one roll after the other, that do not change if a
    roll is transposed.

    The first names the keys above the lowest one (0: silence), the second the first and the move of
    the lowest key.
    """
    width = max(roll.num_pitches for roll in rolls)
    numbers: dict[bytes, int] = {bytes(width): 0}
    chords: list[int] = []
    moves: list[np.ndarray] = []
    for roll in rolls:
        values = roll.sounding.astype(np.uint8)
        if with_onsets:
            values += 2 * roll.struck().astype(np.uint8)
        lowest = roll.sounding.argmax(axis=1)
        padded = np.pad(values, ((0, 0), (0, width)))
        shifted = np.take_along_axis(padded, lowest[:, None] + np.arange(width), axis=1)
        chords += [numbers.setdefault(row.tobytes(), len(numbers)) for row in shifted]
        sounding = np.flatnonzero(roll.sounding.any(axis=1))
        move = np.zeros(roll.num_steps, np.int64)
        move[sounding[1:]] = np.diff(lowest[sounding])
        moves.append(move)
    joined = np.array(chords, np.int64)
    return joined, joined * 256 + np.concatenate(moves) + 128
