"""Pieces, and of which song each is.

A dataset cuts long songs into stretches, and a folder may hold several versions of a song. Such
pieces are alike. Whoever asks how much two sets of music differ must not count them as so many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lnfgen.music.pianoroll import PianoRoll


@dataclass(frozen=True)
class Repertoire:
    """Pieces of music, each with the number of its song."""

    pieces: Sequence[PianoRoll]
    songs: Sequence[int]

    def __len__(self) -> int:
        return len(self.pieces)

    @classmethod
    def of(cls, pieces: Repertoire | Iterable[PianoRoll]) -> Repertoire:
        """A repertoire as it is, or pieces of which each is a song."""
        if isinstance(pieces, Repertoire):
            return pieces
        kept = list(pieces)
        return cls(kept, range(len(kept)))

    def of_each_song(self) -> list[list[PianoRoll]]:
        """The pieces of each song, the songs in the order of their first pieces."""
        found: dict[int, list[PianoRoll]] = {}
        for piece, song in zip(self.pieces, self.songs, strict=True):
            found.setdefault(song, []).append(piece)
        return list(found.values())
