"""A harmony of a melody that closes at home closes there as well.

A model ends most harmonies of these melodies on the tonic, and its training data nearly all, but
who harmonises one melody hears one end. So this wish is set by itself.
"""

from functools import partial

import numpy as np

from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import KnownPart
from lnfgen.inference.wish_measures import Measured
from lnfgen.inference.wishes import AT_THE_END, Wish, Wishes
from lnfgen.music.home import last_bass
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tonality import Key, pitch_name

WORDS = "an end on the tonic"
"""The name of the wish in warnings and in JSON."""

_FIFTH = 7
_THIRDS = {"major": 4, "minor": 3}


def with_close(wishes: Wishes, part: KnownPart) -> Wishes:
    """The wishes, and that for an end on the tonic if a melody of one part asks for one.

    It does if its last note is in the tonic triad of its home, and what sounds below it is hidden.
    A wish of a person's own for the end takes its place, and one for the key gives the home.
    """
    if not isinstance(part, KnownMusic) or part.encoding.roles:
        return wishes
    if any(wish.words.startswith("ends") for wish in wishes.wishes):
        return wishes
    home = part.home_among(wishes.homes) if wishes.homes else part.home
    if home is None or not _closes_on(part, home):
        return wishes
    return wishes.and_wish(Wish(WORDS, partial(_last_bass, home.tonic), AT_THE_END))


def _closes_on(part: KnownMusic, home: Key) -> bool:
    """True if the last known note may be above the tonic, which is to be drawn."""
    known = part.known_notes.sounding[:, 0]
    last = int(np.flatnonzero(known.any(axis=1))[-1])
    key = int(known[last].argmax())
    degree = (key - home.tonic) % 12
    is_of_triad = degree in (0, _THIRDS[home.mode], _FIFTH)
    return is_of_triad and bool(part.hidden_cells[last, 0, :key].any())


def _last_bass(tonic: int, roll: PianoRoll) -> Measured:
    """The last bass note, and 1 if it is not the tonic."""
    bass = last_bass(roll)
    return pitch_name(bass), float(bass % 12 != tonic)
