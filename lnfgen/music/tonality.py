"""Names of pitches and keys, the key of a piece, and how a pitch is spelled in a key."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lnfgen.errors import LnfgenError
from lnfgen.music.pianoroll import PianoRoll

_NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_FIFTHS = "FCGDAEB"  # the naturals, a fifth from one to the next
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_PITCH = re.compile(r"([A-Ga-g])(##|#|bb|b|)(-?\d{1,2})")
_TONIC = re.compile(r"([a-g])(?:(#|♯|-?sharp)|(b|♭|-?flat))?(?:-?(m|min|minor|maj|major))?")
_ALTER = {"": 0, "#": 1, "##": 2, "b": -1, "bb": -2}


def pitch_name(pitch: int) -> str:
    """The name of a MIDI pitch, such as `C4` for 60. Black keys are sharps."""
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def pitch_number(name: str) -> int:
    """The MIDI pitch with this name, such as `C4`, `F#3` or `Bb-1`; there may be space around it.

    Raises:
        ValueError: if this is not the name of a pitch.
    """
    match = _PITCH.fullmatch(name.strip())
    if not match:
        raise ValueError(f"{name!r} is no pitch; expected a name such as C4, F#3 or Bb5")
    letter, accidental, octave = match.groups()
    return _NATURALS[letter.upper()] + _ALTER[accidental] + 12 * (int(octave) + 1)


@dataclass(frozen=True)
class Key:
    """A key, such as G major.

    Attributes:
        tonic: its pitch class, 0 (C) to 11.
        mode: `major` or `minor`.
    """

    tonic: int
    mode: str

    @property
    def sharps(self) -> int:
        """The sharps of its signature, or minus the flats: -6 to 5. Where both would do, six flats."""
        return ((self.tonic + (3 if self.mode == "minor" else 0)) * 7 + 6) % 12 - 6

    def __str__(self) -> str:
        step, alter, _ = spelled(self.tonic, self.sharps)
        return f"{step}{'#' * alter}{'b' * -alter} {self.mode}"


def tonic_of(text: str) -> int:
    """The pitch class of the tonic that words name: `G`, `Bb`, `B-flat` or `f sharp`.

    Raises:
        LnfgenError: if they name none, or a mode as well.
    """
    found = _TONIC.fullmatch("".join(text.lower().split()))
    if not found:
        raise LnfgenError(f"the key {text!r}; expected a tonic, such as G, F# or B-flat")
    letter, sharp, flat, mode = found.groups()
    if mode:
        alone = letter.upper() + ("#" if sharp else "b" if flat else "")
        raise LnfgenError(f"the key {text!r} has a mode, but a piece keeps its own; expected a tonic alone, as {alone}")
    return (_NATURALS[letter.upper()] + bool(sharp) - bool(flat)) % 12


def find_key(roll: PianoRoll) -> Key | None:
    """The key whose profile is most like the pitch classes of the piece, weighed by how long they sound.

    It is music21's default analysis: the algorithm of C. Krumhansl and M. Schmuckler ("Cognitive Foundations of Musical
    Pitch", 1990) with the profiles of B. Aarden (2003) from folk songs. A piece that sounds nowhere has no key.
    """
    from music21 import note, stream

    durations = [0] * 12
    for column, steps in enumerate(roll.sounding.sum(axis=0).tolist()):
        durations[(roll.lowest_pitch + column) % 12] += steps
    if not any(durations):
        return None
    # A note for each pitch class is as good as all the notes, and much faster.
    classes = [note.Note(60 + number, quarterLength=steps) for number, steps in enumerate(durations) if steps]
    found = stream.Stream(classes).analyze("key")
    return Key(found.tonic.pitchClass, found.mode)


def spelled(pitch: int, sharps: int) -> tuple[str, int, int]:
    """A MIDI pitch as it is written under a signature: (step, alteration in semitones, octave).

    Under an empty signature, a pitch is one of the notes from 3 fifths below C (E flat) to 8 above it (G sharp). Other
    signatures move this range by their fifths. So leading notes of minor keys are sharp, sevenths of dominants flat.
    """
    place = (pitch * 7 + 3 - sharps) % 12 - 3 + sharps  # on the line of fifths
    step = _FIFTHS[(place + 1) % 7]
    alter = (place + 1) // 7
    return step, alter, (pitch - alter) // 12 - 1
