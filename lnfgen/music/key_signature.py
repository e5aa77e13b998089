"""The key signature of a file, how it fits the notes, and the home that both give a piece."""

from dataclasses import dataclass

import numpy as np

from lnfgen.music.home import home_likeness
from lnfgen.music.pianoroll import PianoRoll, pitched_parts
from lnfgen.music.tonality import MODES, NATURALS, Key, find_key, most_like

MAJOR = "major"
TONIC_OF_MODE = {
    MAJOR: 0,
    "ionian": 0,
    "dorian": 2,
    "phrygian": 4,
    "lydian": 5,
    "mixolydian": 7,
    "minor": 9,
    "aeolian": 9,
    "locrian": 11,
}
"""The semitones from the tonic of the major key of a signature up to the tonic of each mode."""

# So much more of the notes may be in the scale of another signature. An empty one has less leave,
# because many programs write it whatever the key is.
_LEAVE = 0.15
_LEAVE_OF_EMPTY = 0.05


@dataclass(frozen=True)
class KeySignature:
    """The key signature of a file, and the mode if the file has one."""

    sharps: int  # or minus the flats: -7 to 7
    mode: str = ""  # one of `TONIC_OF_MODE`; empty: not known

    def transposed(self, semitones: int) -> "KeySignature":
        """The signature of the music moved up by semitones: -6 to 5 sharps, if it is another."""
        if semitones % 12 == 0:
            return self
        sharps = (self.sharps + 7 * semitones + 6) % 12 - 6
        return KeySignature(sharps, self.mode)

    @property
    def keys(self) -> list[Key]:
        """The keys that it may mean, as major and minor keys.

        A mode but major means the one key of its tonic and its third. Major, which many programs
        and people write whatever the mode is, and no mode mean all four keys that are usual:
        major, minor, dorian and mixolydian.
        """
        modes = [self.mode]
        if self.mode in ("", MAJOR):
            modes = [MAJOR, "minor", "dorian", "mixolydian"]
        return [self._key_of(mode) for mode in modes]

    def _key_of(self, mode: str) -> Key:
        above_tonic = sorted((step - TONIC_OF_MODE[mode]) % 12 for step in NATURALS.values())
        third = "minor" if above_tonic[2] == 3 else MAJOR
        return Key((7 * self.sharps + TONIC_OF_MODE[mode]) % 12, third)

    def fits(self, roll: PianoRoll) -> bool:
        """True unless the scale of another signature has clearly more of the notes of a piece."""
        pitched = pitched_parts(roll)
        classes = (pitched.lowest_pitch + np.arange(pitched.num_pitches)) % 12
        durations = np.bincount(classes, pitched.sounding.sum(axis=(0, 1)), minlength=12)
        scales = (np.arange(12)[:, None] + tuple(NATURALS.values())) % 12
        in_scale = durations[scales].sum(axis=1)
        own = in_scale[7 * self.sharps % 12]
        leave = _LEAVE if self.sharps else _LEAVE_OF_EMPTY
        return bool(own >= in_scale.max() - leave * durations.sum())


def signature_for(roll: PianoRoll, own: KeySignature | None) -> KeySignature:
    """The signature to write a piece in: its own, if it fits, and else that of the key found."""
    if own is not None and own.fits(roll):
        return own
    found = find_key(roll.merged)
    return KeySignature(0 if found is None else found.sharps)


def home_under(
    roll: PianoRoll, signature: KeySignature | None, *, closes: bool = True
) -> Key | None:
    """The home of a piece: of the keys that its signature may mean, the one that fits the notes.

    Without a signature, or with one that does not fit the notes, it is that of `find_home`.
    """
    likeness = home_likeness(roll, closes=closes)
    if signature is None or not signature.fits(roll):
        return most_like(likeness)
    meant = np.full_like(likeness, -np.inf)
    for key in signature.keys:
        place = MODES.index(key.mode), key.tonic
        meant[place] = likeness[place]
    return most_like(meant)
