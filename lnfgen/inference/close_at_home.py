"""A harmony of a melody that closes at home closes there as well.

A model ends most harmonies of these melodies on the tonic chord, and its training data nearly all,
but who harmonises one melody hears one end. So this wish is set by itself. It is gentle: where the
model hardly ever closes so, the nearest of a few harmonies is taken.
"""

from functools import partial

import numpy as np

from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import KnownPart
from lnfgen.inference.wish_measures import Measured
from lnfgen.inference.wishes import Wish, Wishes
from lnfgen.music.endings import TRIADS
from lnfgen.music.home import last_step, pitches_at
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tonality import pitch_name

WORDS = "an end on the tonic chord"
"""The name of the wish."""


def with_close(wishes: Wishes, part: KnownPart) -> Wishes:
    """The wishes, and that for an end on the tonic chord if a melody of one part asks for one.

    It does if its last note is in a triad on the tonic of its home, and what sounds below it is
    hidden. A wish of a person's own for the end or for chords takes its place, and one for the key
    gives the home.
    """
    if not isinstance(part, KnownMusic) or part.encoding.roles:
        return wishes
    if wishes.chart or any(wish.words.startswith("ends") for wish in wishes.wishes):
        return wishes
    home = part.home_among(wishes.homes) if wishes.homes else part.home
    if home is None or not _may_close(part, home.tonic):
        return wishes
    return wishes.and_gentle(Wish(WORDS, partial(_last_chord, home.tonic)))


def _may_close(part: KnownMusic, tonic: int) -> bool:
    """True if the last known note may sound above the tonic, which is to be drawn."""
    known = part.known_notes
    step = last_step(known)
    pitches = pitches_at(known, step)
    is_drawn_below = part.hidden_cells[step, 0, : pitches[0] - known.lowest_pitch].any()
    return bool(is_drawn_below) and _are_of_triad(pitches, tonic)


def _last_chord(tonic: int, roll: PianoRoll) -> Measured:
    """The last pitches, and 1 if the lowest is not the tonic, or else 0.5 if they are no triad."""
    pitches = pitches_at(roll, last_step(roll))
    found = " ".join(map(pitch_name, pitches.tolist()))
    if pitches[0] % 12 != tonic:
        return found, 1.0
    return found, 0.0 if _are_of_triad(pitches, tonic) else 0.5


def _are_of_triad(pitches: np.ndarray, tonic: int) -> bool:
    """True if all are of the major or all of the minor triad: a piece in minor may end in major."""
    degrees = set(((pitches - tonic) % 12).tolist())
    return any(degrees <= triad for triad in TRIADS)
