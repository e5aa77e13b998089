"""Names of pitches and keys, the key of a piece, and how a pitch is spelled in a key."""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lnfgen.errors import LnfgenError
from lnfgen.music.pianoroll import PianoRoll

NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
FIFTHS = "FCGDAEB"  # the naturals, a fifth from one to the next
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_PITCH = re.compile(r"([A-Ga-g])(##|#|bb|b|)(-?\d{1,2})")
_TONIC = re.compile(r"([a-g])(?:(#|♯|-?sharp)|(b|♭|-?flat))?(?:-?(m|min|minor|maj|major))?")
MODES = ("major", "minor")
_MODES = {"m": "minor", "min": "minor", "minor": "minor", "maj": "major", "major": "major"}
_ALTER = {"": 0, "#": 1, "##": 2, "b": -1, "bb": -2}


def pitch_name(pitch: int) -> str:
    """The name of a MIDI pitch, such as `C4` for 60. Black keys are sharps."""
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def pitch_number(name: str) -> int:
    """The MIDI pitch with this name, such as `C4`, `F#3` or ` Bb-1 `.

    For another text it is a `ValueError`.
    """
    match = _PITCH.fullmatch(name.strip())
    if not match:
        raise ValueError(f"{name!r} is no pitch; expected a name such as C4, F#3 or Bb5")
    letter, accidental, octave = match.groups()
    return NATURALS[letter.upper()] + _ALTER[accidental] + 12 * (int(octave) + 1)


@dataclass(frozen=True)
class Key:
    """A key, such as G major."""

    tonic: int  # its pitch class, 0 (C) to 11
    mode: str  # one of `MODES`

    @property
    def sharps(self) -> int:
        """The sharps of its signature, or minus the flats: -6 to 5.

        Where both would do, six flats.
        """
        relative_major = self.tonic + 3 if self.mode == "minor" else self.tonic
        return (relative_major * 7 + 6) % 12 - 6

    def __str__(self) -> str:
        return f"{name_on_fifths(fifths_from_c(self.tonic, self.sharps))} {self.mode}"


def key_of(text: str) -> tuple[int, str | None]:
    """The pitch class of the tonic that words name, and the mode if they have one.

    Such words are `G`, `f sharp` or `Bb minor`. If they name no key, it is a `ValueError` with what
    is expected.
    """
    found = _TONIC.fullmatch("".join(text.lower().split()))
    if not found:
        raise ValueError("a tonic, such as G, F# or B-flat")
    letter, sharp, flat, mode = found.groups()
    tonic = NATURALS[letter.upper()]
    if sharp:
        tonic += 1
    if flat:
        tonic -= 1
    return tonic % 12, _MODES.get(mode)


def tonic_of(text: str) -> int:
    """The pitch class of the tonic that words name.

    It is an `LnfgenError` if they name none, or a mode as well.
    """
    try:
        tonic, mode = key_of(text)
    except ValueError as error:
        raise LnfgenError(f"the key {text!r}; expected {error}") from None
    if mode:
        alone = str(Key(tonic, mode)).split()[0]
        raise LnfgenError(
            f"the key {text!r} has a mode, but a piece keeps its own; "
            f"expected a tonic alone, as {alone}"
        )
    return tonic


def key_profiles(roll: PianoRoll) -> np.ndarray:
    """How much the pitch classes of a piece are like the profile of each key: float [2, 12].

    They are correlations of how long each class sounds in all parts, with the major keys and the
    minor keys from C on; nan if nothing sounds. This is music21's default analysis: the algorithm
    of C. Krumhansl and M. Schmuckler ("Cognitive Foundations of Musical Pitch", 1990) with the
    profiles of B. Aarden (2003) from folk songs.
    """
    classes = (roll.lowest_pitch + np.arange(roll.num_pitches)) % 12
    return profile_likeness(np.bincount(classes, roll.sounding.sum(axis=(0, 1)), minlength=12))


def profile_likeness(durations: np.ndarray) -> np.ndarray:
    """`key_profiles` of how long each pitch class sounds, float [12]; nan if none does."""
    if not durations.any():
        return np.full((2, 12), np.nan)
    centred = durations - durations.mean()
    return _profiles() @ centred / max(float(np.linalg.norm(centred)), 1e-12)


@lru_cache(maxsize=1)
def _profiles() -> np.ndarray:
    """The profiles of the 24 keys, float [2, 12, 12], each with mean 0 and norm 1."""
    from music21.analysis.discrete import AardenEssen

    profiles = np.zeros((2, 12, 12))
    for number, mode in enumerate(MODES):
        weights = AardenEssen().getWeights(mode)
        for tonic in range(12):
            profiles[number, tonic] = np.roll(weights, tonic)
    profiles -= profiles.mean(axis=-1, keepdims=True)
    return profiles / np.linalg.norm(profiles, axis=-1, keepdims=True)


def find_key(roll: PianoRoll) -> Key | None:
    """The key whose profile is most like the pitch classes of the piece.

    A piece that sounds nowhere has no key.
    """
    return most_like(key_profiles(roll))


def most_like(likeness: np.ndarray) -> Key | None:
    """The key with the greatest of the correlations of `key_profiles`, float [2, 12].

    It is none if they are nan.
    """
    if np.isnan(likeness).any():
        return None
    mode, tonic = divmod(int(likeness.argmax()), 12)
    return Key(tonic, MODES[mode])


def spelled(pitch: int, sharps: int) -> tuple[str, int, int]:
    """A MIDI pitch as it is written under a signature: (step, alteration in semitones, octave)."""
    step, alter = step_on_fifths(fifths_from_c(pitch, sharps))
    return step, alter, (pitch - alter) // 12 - 1


def fifths_from_c(pitch: int, sharps: int) -> int:
    """How many fifths above C a pitch is written under a signature.

    Under an empty signature, a pitch is one of the notes from 3 fifths below C (E flat) to 8 above
    it (G sharp). Other signatures move this range by their fifths. So leading notes of minor keys
    are sharp, sevenths of dominants flat.
    """
    return (pitch * 7 + 3 - sharps) % 12 - 3 + sharps


def step_on_fifths(fifths: int) -> tuple[str, int]:
    """The note so many fifths above C: (step, alteration in semitones)."""
    alter, place = divmod(fifths + 1, 7)
    return FIFTHS[place], alter


def name_on_fifths(fifths: int) -> str:
    """The name of the note so many fifths above C, as `F#`."""
    step, alter = step_on_fifths(fifths)
    return f"{step}{'#' * alter}{'b' * -alter}"
