"""The instruments of General MIDI 1 (MIDI Manufacturers Association, RP-003) by number and name."""

import re
from collections.abc import Sequence

from lnfgen.errors import LnfgenError

Programs = int | str | Sequence[int | str]
"""An instrument, or one for each voice from the highest one down: numbers from 0 to 127, or
names."""

_TABLE = """
Acoustic Grand Piano, Bright Acoustic Piano, Electric Grand Piano, Honky-tonk Piano,
Electric Piano 1, Electric Piano 2, Harpsichord, Clavinet, Celesta, Glockenspiel, Music Box,
Vibraphone, Marimba, Xylophone, Tubular Bells, Dulcimer, Drawbar Organ, Percussive Organ,
Rock Organ, Church Organ, Reed Organ, Accordion, Harmonica, Tango Accordion,
Acoustic Guitar (nylon), Acoustic Guitar (steel), Electric Guitar (jazz), Electric Guitar (clean),
Electric Guitar (muted), Overdriven Guitar, Distortion Guitar, Guitar Harmonics, Acoustic Bass,
Electric Bass (finger), Electric Bass (pick), Fretless Bass, Slap Bass 1, Slap Bass 2, Synth Bass 1,
Synth Bass 2, Violin, Viola, Cello, Contrabass, Tremolo Strings, Pizzicato Strings, Orchestral Harp,
Timpani, String Ensemble 1, String Ensemble 2, Synth Strings 1, Synth Strings 2, Choir Aahs,
Voice Oohs, Synth Voice, Orchestra Hit, Trumpet, Trombone, Tuba, Muted Trumpet, French Horn,
Brass Section, Synth Brass 1, Synth Brass 2, Soprano Sax, Alto Sax, Tenor Sax, Baritone Sax, Oboe,
English Horn, Bassoon, Clarinet, Piccolo, Flute, Recorder, Pan Flute, Blown Bottle, Shakuhachi,
Whistle, Ocarina, Lead 1 (square), Lead 2 (sawtooth), Lead 3 (calliope), Lead 4 (chiff),
Lead 5 (charang), Lead 6 (voice), Lead 7 (fifths), Lead 8 (bass and lead), Pad 1 (new age),
Pad 2 (warm), Pad 3 (polysynth), Pad 4 (choir), Pad 5 (bowed), Pad 6 (metallic), Pad 7 (halo),
Pad 8 (sweep), FX 1 (rain), FX 2 (soundtrack), FX 3 (crystal), FX 4 (atmosphere), FX 5 (brightness),
FX 6 (goblins), FX 7 (echoes), FX 8 (sci-fi), Sitar, Banjo, Shamisen, Koto, Kalimba, Bagpipe,
Fiddle, Shanai, Tinkle Bell, Agogo, Steel Drums, Woodblock, Taiko Drum, Melodic Tom, Synth Drum,
Reverse Cymbal, Guitar Fret Noise, Breath Noise, Seashore, Bird Tweet, Telephone Ring, Helicopter,
Applause, Gunshot
"""
# the names of the programs 0 to 127
INSTRUMENTS = tuple(_TABLE.strip().replace("\n", " ").split(", "))
_NUMBERS = tuple(str(number) for number in range(len(INSTRUMENTS)))
_MOST_LISTED = 20  # an error that would list so many instruments lists none


def programs_of(instruments: Programs) -> list[int]:
    """The program of each instrument, 0 to 127. A text may hold several, with commas.

    A name is a whole one, as `flute`, or a part that no other name has, as `nylon`. Letters and
    digits alone count. If it may be several, the `LnfgenError` lists these.
    """
    if isinstance(instruments, int | str):
        several = str(instruments).split(",")
    else:
        several = [str(instrument) for instrument in instruments]
    return [_program_of(instrument.strip()) for instrument in several]


def _program_of(instrument: str) -> int:
    if instrument in _NUMBERS:
        return int(instrument)
    wanted = _plain(instrument)
    names = [_plain(name) for name in INSTRUMENTS]
    found = [number for number, name in enumerate(names) if name == wanted]
    if not found and re.search("[a-z]", wanted):
        found = [number for number, name in enumerate(names) if wanted in name]
    if len(found) == 1:
        return found[0]
    listed = "0 to 127 or a name of General MIDI, as flute or acoustic bass"
    if 0 < len(found) < _MOST_LISTED:
        listed = "one of " + ", ".join(f"{number} {INSTRUMENTS[number]}" for number in found)
    raise LnfgenError(f"the instrument {instrument!r:.40}; expected {listed}")


def _plain(name: str) -> str:
    """The letters and digits of a name, in lower case."""
    return re.sub("[^a-z0-9]", "", name.lower())
