"""Write piano-rolls as MusicXML scores, with music21 as the writer."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator
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
    from music21 import clef, instrument, meter, stream, tempo

    beats, unit = roll.time_signature
    bar_quarters = Fraction(4 * beats, unit)
    part = stream.PartStaff(id=clef_name)
    lines = [*roll.bar_lines(), roll.num_steps]
    bars: list[list[tuple[int, int, int, str | None]]] = [[] for _ in lines[1:]]
    for start, length, pitch in notes:
        bar, now, stop = bisect.bisect(lines, start) - 1, start, start + length
        while now < stop:
            cut = min(stop, lines[bar + 1])
            is_first, is_last = now == start, cut == stop
            tie = (None if is_last else "start") if is_first else ("stop" if is_last else "continue")
            bars[bar].append((now, cut - now, pitch, tie))
            now, bar = cut, bar + 1
    for number, (first, after) in enumerate(itertools.pairwise(lines), start=1):
        measure = stream.Measure(number=number)
        if number == 1:
            piano = instrument.Piano()
            piano.partId, piano.instrumentId = "P1", "P1-I1"  # otherwise music21 gives random ones
            part.insert(0, piano)
            measure.insert(0, clef.TrebleClef() if clef_name == "treble" else clef.BassClef())
            measure.insert(0, meter.TimeSignature(f"{beats}/{unit}"))
            if clef_name == "treble":
                measure.insert(0, tempo.MetronomeMark(number=roll.tempo_bpm))
        missing = bar_quarters - Fraction(after - first, roll.steps_per_quarter)
        if missing > 0:
            measure.paddingRight = missing  # otherwise music21 fills the last bar with rests
        voices = list(_voices(bars[number - 1], first, after, roll.steps_per_quarter))
        for voice in voices:
            if len(voices) == 1:
                measure.append(voice)
            else:
                measure.insert(0, stream.Voice(voice))
        part.append(measure)
    return part


def _voices(
    notes: list[tuple[int, int, int, str | None]], first: int, after: int, steps_per_quarter: int
) -> Iterator[list[Any]]:
    """The voices of a bar from step `first` to `after`: lists of chords, notes and rests, each as long as the bar.

    `notes` are (start, length, MIDI pitch, kind of tie).
    """
    from music21 import chord, note, tie

    def quarters(steps: int) -> Fraction:
        return Fraction(steps, steps_per_quarter)

    chords: dict[tuple[int, int], list[Any]] = {}
    # Higher notes come first, so that the first voice is the upper one.
    for start, length, pitch, tied in sorted(notes, key=lambda item: (item[0], -item[2])):
        sound = note.Note(pitch, quarterLength=quarters(length))
        if tied:
            sound.tie = tie.Tie(tied)
        chords.setdefault((start, length), []).append(sound)
    voices: list[list[Any]] = []
    ends: list[int] = []
    for (start, length), members in chords.items():
        index = next((index for index, end in enumerate(ends) if end <= start), len(voices))
        if index == len(voices):
            voices.append([])
            ends.append(first)
        if ends[index] < start:
            voices[index].append(note.Rest(quarterLength=quarters(start - ends[index])))
        together = members[0] if len(members) == 1 else chord.Chord(members, quarterLength=quarters(length))
        voices[index].append(together)
        ends[index] = start + length
    if not voices:
        voices, ends = [[]], [first]
    for voice, end in zip(voices, ends, strict=True):
        if end < after:
            voice.append(note.Rest(quarterLength=quarters(after - end)))
        yield voice
