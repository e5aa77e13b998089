"""The drums of General MIDI (RP-003) by their keys: their names, and their places on a staff."""

import numpy as np

from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tonality import pitch_number
from lnfgen.music.tracks import DRUMS

_TABLE = """
click B5 slash, bell C6 slash, kick 2 E4 normal, kick F4 normal, side stick C5 x, snare C5 normal,
clap B4 x, snare 2 C5 normal, floor tom 2 G4 normal, closed hat G5 x, floor tom A4 normal,
pedal hat D4 x, low tom B4 normal, open hat G5 circle-x, mid tom D5 normal, mid tom 2 E5 normal,
crash A5 x, high tom F5 normal, ride F5 x, china C6 x, ride bell F5 diamond, tambourine B4 triangle,
splash D6 x, cowbell E5 triangle, crash 2 B5 x, vibraslap B4 diamond, ride 2 E5 x,
high bongo F5 slash, low bongo E5 slash, muted conga D5 slash, high conga C5 slash,
low conga B4 slash, timbale A4 slash, low timbale G4 slash, agogo G5 triangle,
low agogo F5 triangle, cabasa D5 triangle, maracas C5 triangle, whistle A5 triangle,
long whistle B5 triangle, guiro A4 triangle, long guiro G4 triangle, claves D5 diamond,
wood block C5 diamond, wood block 2 A4 diamond, cuica G4 diamond, open cuica F4 diamond,
damped triangle A5 diamond, triangle B5 diamond
"""
_DRUMS = dict(enumerate(_TABLE.strip().replace("\n", " ").split(", "), start=33))


def drum_of(key: int) -> tuple[str, ...]:
    """The name of a drum, its place on a staff, and its note head.

    The place is that in a treble clef, as `C5`; the note head is named as in MusicXML.
    """
    words = _DRUMS.get(key, f"drum {key} B4 normal")
    return tuple(words.rsplit(" ", 2))


def drum_rows(roll: PianoRoll) -> dict[int, str]:
    """The key of each drum that a band plays, and its name, from the top of a staff down."""
    if DRUMS not in roll.roles:
        return {}
    played = roll.sounding[:, roll.roles.index(DRUMS)]
    keys = np.flatnonzero(played.any(axis=0)) + roll.lowest_pitch
    rows = []
    for key in keys.tolist():
        name, place, _ = drum_of(key)
        rows.append((pitch_number(place), key, name))
    return {key: name for _, key, name in sorted(rows, reverse=True)}
