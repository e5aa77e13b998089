"""The longest passage of a piece that another piece has note for note, in any key.

The idea is that of the originality report: Z. Yin, F. Reuben, S. Stepney and T. Collins, "'A Good Algorithm Does Not
Steal - It Imitates'", EvoMUSART 2021. Their score is of notes that nearly agree. Here every key must agree at every
step, and so must what is struck there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lnfgen.music.pianoroll import PianoRoll


def longest_copies(
    pieces: Sequence[PianoRoll], corpus: Sequence[PianoRoll], owners: Sequence[int] | None = None
) -> list[float]:
    """For each piece, the quarters of its longest passage that is somewhere in the corpus, transposed or not.

    A passage starts and ends with steps that sound. All rolls must be on one grid.

    Args:
        owners: for each piece the index of the roll in the corpus that it comes from, which is left out for it.
    """
    if not pieces:
        return []
    rolls = [*pieces, *corpus]
    lengths = np.array([roll.num_steps for roll in rolls])
    ends = np.repeat(np.cumsum(lengths), lengths)  # of each step, the step after the last one of its roll
    is_asked = np.arange(len(ends)) < lengths[: len(pieces)].sum()
    own = range(-len(pieces), 0) if owners is None else owners
    owner = np.repeat([*own, *range(len(corpus))], lengths)
    chords, moves = _numbered_steps(rolls)
    sounds = chords > 0

    # Passages of one length that are the same have the same name. Only those that a piece and the corpus share can be
    # longer ones that they share, so that few are left soon.
    longest = np.zeros(len(ends), np.int64)  # of each step, how long the shared passage is that starts there
    starts = np.flatnonzero(sounds)
    names, length = chords[starts], 1
    while len(starts):
        names = np.unique(names, return_inverse=True)[1]
        shared = _shared(names, is_asked[starts], owner[starts])
        starts, names = starts[shared], names[shared]
        longest[starts] = length
        inside = starts + length < ends[starts]
        starts, names = starts[inside], names[inside]
        names = names * (moves.max() + 1) + moves[starts + length]
        length += 1
    steps = np.arange(len(ends))
    last_sounding = np.maximum.accumulate(np.where(sounds, steps, -1))
    trimmed = last_sounding[np.maximum(steps + longest - 1, 0)] - steps + 1  # without silence at the end
    longest = np.where(longest > 0, trimmed, 0)
    firsts = np.cumsum(lengths[: len(pieces)]) - lengths[: len(pieces)]
    return (np.maximum.reduceat(longest[is_asked], firsts) / pieces[0].steps_per_quarter).tolist()


def _shared(names: np.ndarray, is_asked: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Which passages are in a piece and in the corpus: bool, for passages with these names, from 0 on, and owners."""
    count = int(names.max()) + 1
    in_corpus = ~is_asked
    lowest, highest = np.full(count, len(owner)), np.full(count, -1)
    np.minimum.at(lowest, names[in_corpus], owner[in_corpus])
    np.maximum.at(highest, names[in_corpus], owner[in_corpus])
    # A passage of a piece is shared if the corpus has it in a roll that is not the piece's own one.
    found = is_asked & (highest[names] >= 0) & ((lowest[names] != owner) | (highest[names] != owner))
    wanted = np.zeros(count, np.bool_)
    wanted[names[found]] = True
    return found | (in_corpus & wanted[names])


def _numbered_steps(rolls: Sequence[PianoRoll]) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers for each step of all rolls, one roll after the other, that are the same in every key.

    The first is of the keys counted from the lowest one, and which of them are struck; 0 is silence. The second is of
    that and of the move of the lowest key since the last step that sounded.
    """
    width = max(roll.num_pitches for roll in rolls)
    numbers: dict[bytes, int] = {bytes(width): 0}
    chords: list[int] = []
    moves: list[np.ndarray] = []
    for roll in rolls:
        values = roll.sounding + 2 * roll.struck().astype(np.uint8)
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
