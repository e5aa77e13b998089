"""Free pieces end on the tonic of their home, and harmonies where a melody closes at home.

The home of a training piece is the key in which it closes, and a model reads it, but ends some
pieces elsewhere; and who draws one piece hears one end. So these wishes are set by themselves. They
are gentle: where the model hardly ever closes so, the nearest of a few pieces is taken.
"""

from functools import partial

import numpy as np

from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import KnownPart
from lnfgen.inference.wish_measures import Measured
from lnfgen.inference.wishes import Wish, Wishes
from lnfgen.music.endings import TRIADS
from lnfgen.music.home import last_bass, last_step, pitches_at
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tonality import Key, pitch_name

CHORD = "an end on the tonic chord"
BASS = "an end on the tonic"
"""The names of the wishes: that of a harmony, and that of a free piece."""


def with_close(wishes: Wishes, part: KnownPart) -> Wishes:
    """The wishes, and that for an end on the tonic chord if a melody of one part asks for one.

    It does if its last note is in a triad on the tonic of its home, and what sounds below it is
    hidden. A wish of a person's own for the end or for chords takes its place, and one for the key
    gives the home.
    """
    if not isinstance(part, KnownMusic) or part.encoding.roles:
        return wishes
    if _asks_for_an_end(wishes):
        return wishes
    home = part.home_among(wishes.homes) if wishes.homes else part.home
    if home is None or not _may_close(part, home.tonic):
        return wishes
    return wishes.and_gentle(Wish(CHORD, partial(_last_chord, home.tonic)))


def close_of(wishes: Wishes, home: Key | None) -> Wish | None:
    """The wish that a free piece with this home ends on its tonic, if a piece is to.

    A wish of a person's own for the end or for chords takes its place.
    """
    if home is None or _asks_for_an_end(wishes):
        return None
    return Wish(BASS, partial(_last_bass, home.tonic))


def _asks_for_an_end(wishes: Wishes) -> bool:
    return bool(wishes.chart) or any(wish.words.startswith("ends") for wish in wishes.wishes)


def _may_close(part: KnownMusic, tonic: int) -> bool:
    """True if the last known note may sound above the tonic, which is to be drawn."""
    known = part.known_notes
    step = last_step(known)
    pitches = pitches_at(known, step)
    is_drawn_below = part.hidden_cells[step, 0, : pitches[0] - known.lowest_pitch].any()
    return bool(is_drawn_below) and _are_of_triad(pitches, tonic)


def _last_bass(tonic: int, roll: PianoRoll) -> Measured:
    """The last bass note, and 1 if it is not the tonic."""
    if not roll.sounding.any():
        return None, 1.0
    found = last_bass(roll)
    return pitch_name(found), float(found % 12 != tonic)


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
