"""Divide a piece into the staves of a score, and each staff into voices.

Music of four voices is for a choir, with two staves, as in a hymnal: soprano and alto, with stems
up and down, above tenor and bass. A band has a staff for each part, the melody above the drums. A
person's file has staves for each of its tracks. A line with chord symbols has one staff. Any other
piece is for a piano.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lnfgen.formats.drawn_notes import drawn_by_track
from lnfgen.formats.file_notes import file_parts, opened_file
from lnfgen.formats.song import drawn_parts
from lnfgen.formats.symbols import beat_length
from lnfgen.music.notes import Note
from lnfgen.music.parts import MELODY, Part
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.separation import separate_voices, voice_names, with_unisons
from lnfgen.music.song import Song
from lnfgen.music.tracks import DRUMS

CHOIR = 4  # the voices of a choir: soprano, alto, tenor and bass
PERCUSSION = "percussion"

_MIDDLE_C = 60
# The share of steps with no more keys than a choir has voices, and of them half have 3 or 4.
_CHORAL = 0.95


@dataclass(frozen=True)
class Staff:
    """A staff: its name, its clef and the notes of each of its voices."""

    name: str
    clef: str  # treble, bass, or `PERCUSSION`, whose pitches are keys of drums
    voices: Sequence[Sequence[Note]]
    has_stems_by_voice: bool = False  # those of the first voice go up, and of the second one down
    program: int | None = None  # of General MIDI
    is_hand: bool = False  # of a pianist


def is_choral(roll: PianoRoll) -> bool:
    """True if a choir can sing a piece.

    Then 95 % of the sounding steps have at most 4 keys, and half of them have 3 or 4.
    """
    counts = roll.sounding.sum(axis=(1, 2))
    counts = counts[counts > 0]
    if len(counts) == 0:
        return False
    fits = counts <= CHOIR
    is_full = fits & (counts >= CHOIR - 1)
    return bool(fits.mean() >= _CHORAL and is_full.mean() >= 0.5)


def staves_of(song: Song, voices: int | None, drawn_name: str) -> list[Staff]:
    """The staves of a song, as `musicxml_bytes` has them."""
    roll = song.roll
    if roll.parts:
        return staves_of_band(roll)
    if song.is_own_file:
        return staves_of_file(song, voices, drawn_name)
    if voices is not None:
        return staves_of_voices(roll, voices)
    if is_choral(roll):
        return staves_of_voices(roll, CHOIR)
    if song.origin.chords and len(_layers(roll.notes())) == 1:
        return [Staff(MELODY.title(), _clef_of(roll.notes()), [roll.notes()])]
    return staves_of_piano(roll)


def staves_of_piano(roll: PianoRoll) -> list[Staff]:
    """The staves of both hands, divided at middle C."""
    high, low = _hands(roll.notes())
    right = Staff("Piano", "treble", _layers(high), is_hand=True)
    left = Staff("Piano", "bass", _layers(low), is_hand=True)
    return [right, left]


def staves_of_voices(roll: PianoRoll, voices: int) -> list[Staff]:
    """The two staves of a choir with four voices, and else one for each voice."""
    separated = separate_voices(roll, voices)
    if voices == CHOIR:
        soprano, alto, tenor, bass = with_unisons(separated)
        upper = Staff("Soprano, Alto", "treble", [soprano, alto], has_stems_by_voice=True)
        lower = Staff("Tenor, Bass", "bass", [tenor, bass], has_stems_by_voice=True)
        return [upper, lower]
    named = zip(voice_names(voices), separated, strict=True)
    return [Staff(name, _clef_of(notes), [notes]) for name, notes in named]


def staves_of_file(song: Song, voices: int | None, drawn_name: str) -> list[Staff]:
    """The staves of the tracks of a person's file, and below them those of drawn notes.

    Drawn notes are divided into `voices` voices, or by the tracks whose place they take.
    `drawn_name` names them.
    """
    if voices is None:
        divided = drawn_by_track(song, opened_file(song), drawn_name)
        drawn = [(one.name, one.notes) for one in divided]
    else:
        drawn = drawn_parts(song, voices, drawn_name)
    staves: list[Staff] = []
    for name, notes in [*file_parts(song), *drawn]:
        staves += _staves_of_track(name, notes)
    return staves


def staves_of_band(roll: PianoRoll) -> list[Staff]:
    """A staff for each part of a band, the last part first."""
    staves = [_staff_of_part(part, roll.part(number)) for number, part in enumerate(roll.parts)]
    return staves[::-1]


def _staves_of_track(name: str, notes: Sequence[Note]) -> list[Staff]:
    """A staff for a line, and one for each hand if there are chords on both sides of middle C."""
    high, low = _hands(notes)
    is_line = len(_layers(notes)) == 1
    if is_line or not high or not low:
        return [Staff(name, _clef_of(notes), _layers(notes))]
    return [Staff(name, _clef_of(hand), _layers(hand)) for hand in (high, low)]


def _staff_of_part(part: Part, roll: PianoRoll) -> Staff:
    if part.role == DRUMS:
        return Staff("Drums", PERCUSSION, [_strokes(roll)], program=part.program)
    notes = roll.notes()
    staff = Staff(part.role.title(), _clef_of(notes), _layers(notes))
    return replace(staff, program=part.program)


def _strokes(roll: PianoRoll) -> list[Note]:
    """The notes of drums, each up to the next stroke or beat, so that there are few rests."""
    notes = roll.notes()
    beat = beat_length(roll.time_signature) * roll.steps_per_quarter
    starts = sorted({start for start, _, _ in notes})
    next_stroke = dict(itertools.pairwise([*starts, roll.num_steps]))
    strokes: list[Note] = []
    for start, _, key in notes:
        beats_before = (start - roll.upbeat) // beat
        next_beat = roll.upbeat + math.ceil((beats_before + 1) * beat)
        end = min(next_stroke[start], next_beat)
        strokes.append((start, end - start, key))
    return strokes


def _clef_of(notes: Sequence[Note]) -> str:
    """The clef that most of the notes fit, by their mean pitch while they sound."""
    sounding = sum(length for _, length, _ in notes)
    if sounding == 0:
        return "treble"
    mean = sum(length * pitch for _, length, pitch in notes) / sounding
    return "treble" if mean >= _MIDDLE_C else "bass"


def _hands(notes: Sequence[Note]) -> tuple[list[Note], list[Note]]:
    """The notes from middle C up, and those below."""
    high = [note for note in notes if note[2] >= _MIDDLE_C]
    low = [note for note in notes if note[2] < _MIDDLE_C]
    return high, low


def _layers(notes: Sequence[Note]) -> list[list[Note]]:
    """Notes in as few voices as hold them, the higher first.

    Equal starts and lengths make a chord; no chords of a voice overlap.
    """
    chords: dict[tuple[int, int], list[Note]] = {}
    for note in sorted(notes, key=lambda note: (note[0], -note[2])):
        chords.setdefault(note[:2], []).append(note)
    layers: list[list[Note]] = []
    for (start, _), chord in chords.items():
        free = next((layer for layer in layers if _end(layer) <= start), None)
        if free is None:
            layers.append(chord)
        else:
            free += chord
    return layers or [[]]


def _end(layer: Sequence[Note]) -> int:
    """The step where the last note of a voice ends."""
    start, length, _ = layer[-1]
    return start + length
