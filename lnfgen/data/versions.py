"""Which pieces are versions of one song.

Two pieces are versions of one song if they share passages of two bars. A passage is what one part
plays, without its drums, whatever the other parts do and in whatever key. So an arrangement for
other instruments is a version, and so is a song to which somebody has added a part.

Figures of one bar are common property, and so are roots in eighths, and the same changes in whole
bars. Pieces that share one passage or two are of different songs; versions share many.
"""

from collections.abc import Set

import numpy as np

from lnfgen.music.parts import are_pitched
from lnfgen.music.pianoroll import PianoRoll

PASSAGE_BARS = 2

LEAST_KEYS = 4
"""The different keys that a passage needs to be known by."""

LEAST_STRIKES = 6
"""The different steps of a passage at which notes begin, at least."""

LEAST_SHARED = 4
"""The passages that two versions share at least,"""

LEAST_SHARE = 0.1
"""and this share of the different passages of the one that has fewer."""


class Versions:
    """The songs of pieces that come one after the other."""

    def __init__(self) -> None:
        self._songs: list[int] = []  # of each piece
        self._num_passages: list[int] = []  # of each piece
        self._pieces_with: dict[int, list[int]] = {}  # by the hash of a passage

    def related(self, passages: Set[int]) -> list[int]:
        """The songs of which a piece with these passages is a version, the most alike first.

        They are those of the pieces that were added.
        """
        shared: dict[int, int] = {}  # by piece
        for passage in passages:
            for piece in self._pieces_with.get(passage, ()):
                shared[piece] = shared.get(piece, 0) + 1
        likeness: dict[int, float] = {}  # by song
        for piece, count in shared.items():
            share = count / min(self._num_passages[piece], len(passages))
            if count >= LEAST_SHARED and share >= LEAST_SHARE:
                song = self._songs[piece]
                likeness[song] = max(likeness.get(song, 0.0), share)
        return sorted(likeness, key=lambda song: -likeness[song])

    def add(self, passages: Set[int], song: int) -> None:
        """Add a piece of this song that has these passages."""
        piece = len(self._songs)
        self._songs.append(song)
        self._num_passages.append(len(passages))
        for passage in passages:
            self._pieces_with.setdefault(passage, []).append(piece)


def passages_of(roll: PianoRoll) -> set[int]:
    """The hashes of the passages of a piece, which do not depend on its key."""
    found: set[int] = set()
    lines = [*roll.bars().values(), roll.num_steps]
    struck = roll.struck()
    for part in np.flatnonzero(are_pitched(roll.roles)):
        for start, end in zip(lines, lines[PASSAGE_BARS:], strict=False):
            cells = struck[start:end, part]
            keys = np.flatnonzero(cells.any(axis=0))
            num_strikes = int(cells.any(axis=1).sum())
            if len(keys) >= LEAST_KEYS and num_strikes >= LEAST_STRIKES:
                from_lowest = cells[:, keys[0] : keys[-1] + 1]
                found.add(hash((from_lowest.shape, from_lowest.tobytes())))
    return found
