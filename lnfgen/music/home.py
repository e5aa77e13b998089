"""The home of a piece: the key that it is in and in which it closes."""

import numpy as np

from lnfgen.music.pianoroll import PianoRoll, pitched_parts
from lnfgen.music.tonality import MODES, Key, key_profiles, most_like

AT_THE_CLOSE = 0.5
"""What a key gains, in correlation, if the last bass note is its tonic."""


def find_home(roll: PianoRoll, *, closes: bool = True) -> Key | None:
    """The key that fits the pitch classes of the whole piece and its last bass note best.

    `home_likeness` is the fit. A piece without pitches has no home.
    """
    return most_like(home_likeness(roll, closes=closes))


def home_likeness(roll: PianoRoll, *, closes: bool = True) -> np.ndarray:
    """How well each key fits as the home of a piece, float [2, 12]; nan without pitches.

    The fit is the correlation of `key_profiles`. Those of a piece and of its dominant or relative
    key are often near each other, and then the close decides, if the piece `closes`. Music with
    parts has no close, because it mostly is a stretch of a longer song.
    """
    pitched = pitched_parts(roll)
    likeness = key_profiles(pitched)
    if closes and not roll.parts and not np.isnan(likeness).any():
        likeness[:, last_bass(pitched) % 12] += AT_THE_CLOSE
    return likeness


def last_bass(roll: PianoRoll) -> int:
    """The MIDI pitch of the lowest key at the last step that sounds, in a roll of one part."""
    return int(pitches_at(roll, last_step(roll))[0])


def last_step(roll: PianoRoll) -> int:
    """The last step that sounds, in a roll that is not silent."""
    return int(np.flatnonzero(roll.sounding.any(axis=(1, 2)))[-1])


def pitches_at(roll: PianoRoll, step: int) -> np.ndarray:
    """The MIDI pitches that sound at a step, int [N], from below, in a roll of one part."""
    pitches: np.ndarray = roll.lowest_pitch + np.flatnonzero(roll.sounding[step, 0])
    return pitches


def home_number(home: Key | None, lowest_pitch: int) -> int:
    """The number of a home for a model whose keys begin at a pitch: 0 to 23, 24 for none.

    Major keys come first, each by the place of its tonic among the first twelve keys.
    """
    if home is None:
        return 2 * 12
    return 12 * MODES.index(home.mode) + (home.tonic - lowest_pitch) % 12


def numbered_home(number: int, lowest_pitch: int) -> Key | None:
    """The home that has this number in `home_number`."""
    if number >= 2 * 12:
        return None
    mode, place = divmod(number, 12)
    return Key((place + lowest_pitch) % 12, MODES[mode])
