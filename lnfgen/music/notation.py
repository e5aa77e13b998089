"""Write piano-rolls as MusicXML scores, with music21 as the writer."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from lnfgen.errors import LnfgenError
from lnfgen.music.pianoroll import Note, PianoRoll
from lnfgen.music.scores import quiet

MIDDLE_C = 60


def musicxml_bytes(roll: PianoRoll) -> bytes:
    """A MusicXML score on two staves, treble from middle C up and bass below. Notes that go over a bar line are tied.

    Reading it again gives the same length, the same keys that sound and, where they are known, the same onsets.

    Raises:
        LnfgenError: if notation has no note value for a step of this grid.
    """
    from music21 import layout, metadata, stream
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    notes = roll.notes()
    high = [note for note in notes if note[2] >= MIDDLE_C]
    low = [note for note in notes if note[2] < MIDDLE_C]
    score = stream.Score()
    score.metadata = metadata.Metadata(title="Piano-roll", composer="lnfgen")
    staves = [_staff(roll, high, "treble"), _staff(roll, low, "bass")]
    for staff in staves:
        score.insert(0, staff)
    score.insert(0, layout.StaffGroup(staves, symbol="brace", barTogether=True))
    try:
        with quiet():
            content = bytes(GeneralObjectExporter(score).parse())
    except Exception as error:  # music21 raises errors of many kinds for a duration without a note value
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        grid = f"{roll.steps_per_quarter} steps per quarter"
        raise LnfgenError(f"cannot spell a piano-roll of {grid} as a score: {reason}; write .mid instead") from error
    # Without the date, the same roll gives the same bytes on any day.
    return re.sub(rb"\s*<encoding-date>.*?</encoding-date>", b"", content)


def _staff(roll: PianoRoll, notes: list[Note], clef_name: str) -> Any:
    """A part in bars. Notes with the same start and length are one chord; chords that overlap are different voices."""
    from music21 import chord, clef, instrument, meter, note, stream, tempo

    def quarters(steps: int) -> Fraction:
        return Fraction(steps, roll.steps_per_quarter)

    part = stream.PartStaff(id=clef_name)
    piano = instrument.Piano()
    piano.partId, piano.instrumentId = "P1", "P1-I1"  # otherwise music21 gives random ones
    part.insert(0, piano)
    part.insert(0, clef.TrebleClef() if clef_name == "treble" else clef.BassClef())
    beats, unit = roll.time_signature
    part.insert(0, meter.TimeSignature(f"{beats}/{unit}"))
    if clef_name == "treble":
        part.insert(0, tempo.MetronomeMark(number=roll.tempo_bpm))
    chords: dict[tuple[int, int], list[Any]] = {}
    # Higher notes come first, so that the first voice is the upper one.
    for start, length, pitch in sorted(notes, key=lambda item: (item[0], -item[2])):
        chords.setdefault((start, length), []).append(note.Note(pitch, quarterLength=quarters(length)))
    for (start, length), members in chords.items():
        together = members[0] if len(members) == 1 else chord.Chord(members, quarterLength=quarters(length))
        part.insert(quarters(start), together)
    if silence := roll.num_steps - max((start + length for start, length, _ in notes), default=0):
        part.insert(quarters(roll.num_steps - silence), note.Rest(quarterLength=quarters(silence)))
    bars = part.makeMeasures(bestClef=False, finalBarline=None)
    bars.makeTies(inPlace=True)
    measures = list(bars.getElementsByClass(stream.Measure))
    # Otherwise music21 fills the last bar with rests.
    measures[-1].paddingRight = measures[-1].offset + Fraction(4 * beats, unit) - quarters(roll.num_steps)
    for measure in measures:
        measure.makeVoices(inPlace=True, fillGaps=True)
    return bars
