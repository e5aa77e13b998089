"""Wishes: figures that a person wants pieces to have, and how far a piece is from them.

The distance of a piece from a wish is 0 if its figure has a wanted value, and otherwise how far it
is from the nearest one, in units of the figure. `wish_steering` draws pieces whose wishes hold, and
steers by the distance where plain pieces hardly ever have what is wanted. A figure of a whole piece
counts little at first, as the rest may still mend it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from lnfgen.conventions import TimeSignature
from lnfgen.inference.wanted_chords import with_wanted_changes
from lnfgen.inference.wish_measures import FAR, Measured
from lnfgen.music.chart import Bar
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song, as_song
from lnfgen.music.tonality import Key

# A wish counts by the share of the steps drawn, to this power.
GROWING = 3.0
IN_FULL = 0.0
AT_THE_END = math.inf


class Wish(NamedTuple):
    """A wish."""

    words: str
    # of a piece: its figure, and its distance in units of the figure; nan if there is no figure
    measured: Callable[[Any], Measured]
    power: float = GROWING  # says when the wish counts
    # the same of a piece that is not whole yet, if it is measured otherwise
    on_the_way: Callable[[Any], Measured] | None = None
    # if a song is measured as a whole, because it knows what was drawn, and not its roll alone
    of_song: bool = False

    def found_in(self, piece: Song | PianoRoll | str) -> Measured:
        """The figure of a piece and its distance; nan if there is no figure."""
        return self.measured(piece if self.of_song else roll_or_text(piece))

    def distance(self, piece: Song | PianoRoll | str, *, is_whole: bool) -> float:
        """How far a piece is from the wish; 0 for nothing to measure before the piece is whole."""
        if self.on_the_way is not None and not is_whole:
            _, distance = self.on_the_way(roll_or_text(piece))
        else:
            _, distance = self.found_in(piece)
        if not math.isnan(distance):
            return distance
        return FAR if is_whole else 0.0


@dataclass(frozen=True)
class Wishes:
    """All wishes for a piece."""

    wishes: tuple[Wish, ...] = ()
    sure: tuple[Wish, ...] = ()  # those that hold for whatever is drawn
    gentle: tuple[Wish, ...] = ()  # those that nobody asked for, which are given up after a while
    keys: range = range(128)  # the MIDI pitches that may sound
    contained: tuple[str, ...] = ()  # characters that a text has
    time_signature: TimeSignature | None = None  # that of the piece, if there is a wish for it
    homes: tuple[Key, ...] = ()  # the keys that are wanted, if there is a wish for the key
    chart: tuple[Bar, ...] = ()  # the chords that are wanted, if there is a wish for them

    @property
    def steers(self) -> bool:
        """True if pieces must be drawn towards the wishes."""
        return bool(self.wishes or self.gentle)

    def and_wish(self, wish: Wish) -> "Wishes":
        """These wishes and one more."""
        return replace(self, wishes=(*self.wishes, wish))

    def and_gentle(self, wish: Wish) -> "Wishes":
        """These wishes and a gentle one more."""
        return replace(self, gentle=(*self.gentle, wish))

    def count_at(self, share: float) -> bool:
        """True if any wish counts when this share of the steps is drawn."""
        return any(share**wish.power > 0 for wish in self.wishes)

    def distance(self, piece: Song | PianoRoll | str, share: float = 1.0) -> float:
        """The sum of the distances, each by how much it counts.

        `share` is the share of the steps that are drawn.
        """
        total = 0.0
        for wish in self.wishes:
            weight = share**wish.power
            if weight > 0:
                total += weight * wish.distance(piece, is_whole=share == 1)
        return total

    def gentle_distance(self, piece: Song | PianoRoll | str) -> float:
        """The sum of the distances of a whole piece from the gentle wishes."""
        return sum(wish.distance(piece, is_whole=True) for wish in self.gentle)

    def with_chords(self, piece: Song | PianoRoll) -> Song:
        """A piece with the chords that were wished for, which its file then names.

        Outside of the bars that were drawn it keeps those of its own.
        """
        song = as_song(piece)
        if not self.chart:
            return song
        return with_wanted_changes(self.chart, song)

    def report(self, piece: Song | PianoRoll | str) -> dict[str, dict[str, Any]]:
        """For each wish the figure that the piece has, and if it holds, as plain JSON values."""
        found = {}
        for wish in (*self.sure, *self.wishes):
            value, distance = wish.found_in(piece)
            found[wish.words] = {"value": value, "held": distance == 0}
        return found


NO_WISHES = Wishes()


def roll_or_text(piece: Song | PianoRoll | str) -> PianoRoll | str:
    """The roll of a song; other pieces stay."""
    return piece.roll if isinstance(piece, Song) else piece
