"""Passages that two pieces have note for note, in any key: long copies, and related pieces.

The idea is that of the originality report: Z. Yin, F. Reuben, S. Stepney and T. Collins, "'A Good
Algorithm Does Not Steal - It Imitates'", EvoMUSART 2021, who also count notes that nearly agree.
Here every step must agree. All rolls have one part, R = 1, and are on one grid.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lnfgen.music.pianoroll import PianoRoll

MIN_CHORDS = 4
"""The number of different chords that a passage needs to relate two pieces.

One held or repeated chord, or two that alternate, is in any two pieces of a style, however long it
lasts, and so is a closing cadence of three.
"""


@dataclass(frozen=True)
class _Steps:
    """The N steps of several rolls, one roll after the other, as numbers and marks, all [N]."""

    owner: np.ndarray  # int: of which song each step is; the steps of two owners may share passages
    is_asked: np.ndarray  # bool: copies are sought of passages of these steps
    is_known: np.ndarray  # bool: and among these steps
    ends: np.ndarray  # int: the step after the last one of its roll
    sounds: np.ndarray  # bool: where any key sounds
    chords: np.ndarray  # int: the keys above the lowest one; 0 is silence
    moves: np.ndarray  # int: the same with the move of the lowest key


def longest_copies(
    pieces: Sequence[PianoRoll],
    corpus: Sequence[PianoRoll],
    songs: Sequence[int] | None = None,
    songs_of_corpus: Sequence[int] | None = None,
) -> list[float]:
    """For each of one or more pieces, the quarters of its longest passage that is in the corpus.

    The passage may be transposed. It starts and ends with steps that sound.

    Args:
        songs: the number of the song of each piece, if they are of the corpus. Copies are not
            searched for in that song.
        songs_of_corpus: those of the rolls of the corpus; by default each roll is a song.
    """
    rolls = [*pieces, *corpus]
    if songs is None:
        songs = range(-len(pieces), 0)
    if songs_of_corpus is None:
        songs_of_corpus = range(len(corpus))
    lengths = np.array([roll.num_steps for roll in rolls])
    num_asked = lengths[: len(pieces)].sum()
    is_asked = np.arange(lengths.sum()) < num_asked
    owner = np.repeat([*songs, *songs_of_corpus], lengths)
    steps = _steps_of(rolls, owner, is_asked, ~is_asked, with_onsets=True)
    # of each step, how long the longest shared passage is that starts there
    longest = np.zeros(len(owner), np.int64)
    for length, starts, _ in _shared_passages(steps):
        longest[starts] = length
    firsts = np.cumsum(lengths[: len(pieces)]) - lengths[: len(pieces)]
    of_pieces = np.maximum.reduceat(longest[:num_asked], firsts)
    return (of_pieces / pieces[0].steps_per_quarter).tolist()


def related_pieces(rolls: Sequence[PianoRoll], num_steps: int) -> list[int]:
    """For each of one or more pieces, the index of the first one that it is related to.

    That may be its own. Two pieces are related if they share a passage of `num_steps` or more,
    transposed or not, or if both are related to a third one. The passage starts and ends with steps
    that sound, and has `MIN_CHORDS` different chords. Its onsets may differ, because a melody with
    other words has other repeated notes.
    """
    lengths = [roll.num_steps for roll in rolls]
    owner = np.repeat(np.arange(len(rolls)), lengths)
    offsets = np.cumsum([0, *lengths])
    every_step = np.ones(len(owner), np.bool_)
    steps = _steps_of(rolls, owner, every_step, every_step, with_onsets=False)

    def has_enough_chords(start: int, length: int) -> bool:
        roll = rolls[owner[start]]
        first = start - offsets[owner[start]]
        passage = roll.sounding[first : first + length, 0]
        different = {keys.tobytes() for keys in passage if keys.any()}
        return len(different) >= MIN_CHORDS

    group = np.arange(len(rolls))
    for length, starts, names in _shared_passages(steps):
        if length < num_steps:
            continue
        for name in np.unique(names):
            same = starts[names == name]
            members = np.unique(group[owner[same]])
            if len(members) > 1 and has_enough_chords(same[0], length):
                group[np.isin(group, members)] = members[0]
    return group.tolist()


def _shared_passages(steps: _Steps) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The shared passages of each length, from one step on: (length, starts, names).

    Their first and last steps sound. Starts and names are int [passages]. Passages that are equal
    in some key have one name. One that is asked for is shared if a known one of another owner is
    equal; then that one is shared too. A shared passage begins with a shared passage that is
    shorter by a step, so that few are left soon.
    """
    starts = np.flatnonzero(steps.sounds)
    names = steps.chords[starts]
    num_moves = steps.moves.max() + 1
    length = 1
    while len(starts):
        _, names = np.unique(names, return_inverse=True)
        shared = _is_shared(steps, starts, names)
        starts = starts[shared]
        names = names[shared]
        ends_sounding = steps.sounds[starts + length - 1]
        yield length, starts[ends_sounding], names[ends_sounding]
        inside = starts + length < steps.ends[starts]
        starts = starts[inside]
        names = names[inside] * num_moves + steps.moves[starts + length]
        length += 1


def _is_shared(steps: _Steps, starts: np.ndarray, names: np.ndarray) -> np.ndarray:
    """bool [passages]: which of the passages with these starts and names are shared."""
    own = steps.owner[starts]
    known = steps.is_known[starts]
    # Of each name, the lowest and the highest owner of a known passage; the highest is -1 if none
    # has one.
    lowest = np.full(len(names), np.iinfo(np.int64).max)
    highest = np.full(len(names), -1)
    np.minimum.at(lowest, names[known], own[known])
    np.maximum.at(highest, names[known], own[known])
    is_of_another = (lowest[names] != own) | (highest[names] != own)
    found = steps.is_asked[starts] & (highest[names] >= 0) & is_of_another
    return found | (known & np.isin(names, names[found]))


def _steps_of(
    rolls: Sequence[PianoRoll],
    owner: np.ndarray,
    is_asked: np.ndarray,
    is_known: np.ndarray,
    *,
    with_onsets: bool,
) -> _Steps:
    lengths = np.array([roll.num_steps for roll in rolls])
    chords, moves = _numbered_steps(rolls, with_onsets)
    return _Steps(
        owner=owner,
        is_asked=is_asked,
        is_known=is_known,
        ends=np.repeat(np.cumsum(lengths), lengths),
        sounds=np.concatenate([roll.sounding.any(axis=(1, 2)) for roll in rolls]),
        chords=chords,
        moves=moves,
    )


def _numbered_steps(rolls: Sequence[PianoRoll], with_onsets: bool) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers for each step of all rolls, int [N], that do not change if a roll is transposed.

    The first names the keys above the lowest one (0: silence), the second the first and the move of
    the lowest key.
    """
    width = max(roll.num_pitches for roll in rolls)
    numbers: dict[bytes, int] = {bytes(width): 0}
    chords: list[int] = []
    moves: list[np.ndarray] = []
    for roll in rolls:
        values = roll.sounding[:, 0].astype(np.uint8)
        if with_onsets:
            values += 2 * roll.struck()[:, 0].astype(np.uint8)
        lowest = roll.sounding[:, 0].argmax(axis=1)
        padded = np.pad(values, ((0, 0), (0, width)))
        shifted = np.take_along_axis(padded, lowest[:, None] + np.arange(width), axis=1)
        for keys in shifted:
            chords.append(numbers.setdefault(keys.tobytes(), len(numbers)))
        sounding = np.flatnonzero(values.any(axis=1))
        move = np.zeros(roll.num_steps, np.int64)
        move[sounding[1:]] = np.diff(lowest[sounding])
        moves.append(move)
    joined = np.array(chords, np.int64)
    return joined, joined * 256 + np.concatenate(moves) + 128
