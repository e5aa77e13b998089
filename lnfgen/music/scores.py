"""Scores (MusicXML, ABC, humdrum) to piano-rolls and back, parsed and spelt by music21.

music21 parses what it is handed, from memory: it neither reads nor leaves pickles, and opens no other file.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import warnings
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree

from lnfgen.errors import LnfgenError, UnreadableFileError
from lnfgen.music.midi import MAX_STEPS, longest_tempo
from lnfgen.music.pianoroll import MAX_BPM, MIN_BPM, STEPS_PER_QUARTER, PianoRoll, is_time_signature

MIDDLE_C = 60
_FORMATS = {".musicxml": "musicxml", ".xml": "musicxml", ".mxl": "musicxml", ".abc": "abc", ".krn": "humdrum"}
_WORDS = {"musicxml": "MusicXML", "abc": "ABC", "humdrum": "humdrum"}
_MAX_XML = 1 << 28  # bytes of a compressed score once inflated


def read_score(
    content: bytes, suffix: str, name: str = "-", *, steps_per_quarter: int = STEPS_PER_QUARTER
) -> list[PianoRoll]:
    """The piano-rolls of a score's bytes: one, or one for each tune of an ABC or humdrum file with several.

    Args:
        content: the whole file; compressed MusicXML too.
        suffix: `.musicxml`, `.xml`, `.mxl`, `.abc` or `.krn`.
        name: what errors call it.

    Raises:
        UnreadableFileError: if music21 cannot make sense of it, or it holds no notes.
    """
    from music21 import converter, stream

    kind = _FORMATS[suffix]
    text = _score_text(content, kind, name)
    try:
        with _silence():
            parser = converter.Converter()
            parser.parseData(text, format=kind, forceSource=True)
        parsed = parser.stream
        scores = list(parsed.scores) if isinstance(parsed, stream.Opus) else [parsed]
        rolls = [roll_of_score(score, name, steps_per_quarter=steps_per_quarter) for score in scores]
    except LnfgenError:
        raise
    except Exception as error:  # on a damaged score music21 raises whatever the wrong turn leads to
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UnreadableFileError(f"{name} is no readable {_WORDS[kind]} score: {reason}") from error
    rolls = [roll for roll in rolls if roll.out_of_range or roll.sounding.any()] or rolls[:1]
    if not rolls or not (rolls[0].out_of_range or rolls[0].num_steps > 1 or rolls[0].sounding.any()):
        raise UnreadableFileError(f"{name} holds no notes; expected a {_WORDS[kind]} score with at least one")
    return rolls


def roll_of_score(score: Any, name: str = "-", *, steps_per_quarter: int = STEPS_PER_QUARTER) -> PianoRoll:
    """The piano-roll of a music21 score, as it sounds: repeats played, transposing instruments at their pitch.

    Offsets are rounded to the nearest step and a note lasts at least one. A tied note is not struck again. Grace notes,
    unpitched percussion and chord symbols have no place on the grid. Repeats that music21 cannot follow are played
    once. The tempo is the one that lasts longest, the time signature the first.
    """
    from music21 import meter, tempo

    score = _as_it_sounds(score)
    notes = []
    end = Fraction(0)
    tempos: list[tuple[Fraction, float]] = []
    signatures: list[tuple[Fraction, tuple[int, int]]] = []
    for part in list(score.parts) or [score]:
        flat = part.flatten()
        end = max(end, Fraction(flat.highestTime))
        notes += _tied(flat)
        signatures += [
            (Fraction(mark.offset), (mark.numerator, mark.denominator))
            for mark in flat.getElementsByClass(meter.TimeSignature)
            if mark.numerator and is_time_signature((mark.numerator, mark.denominator))
        ]
    for mark in score.flatten().getElementsByClass(tempo.MetronomeMark):
        bpm = mark.getQuarterBPM()
        if bpm and MIN_BPM <= bpm <= MAX_BPM:
            tempos.append((Fraction(mark.offset), float(bpm)))

    def step(offset: Fraction) -> int:
        return int(offset * steps_per_quarter + Fraction(1, 2))

    if step(end) > MAX_STEPS:
        raise UnreadableFileError(f"{name} lasts {step(end)} steps; expected at most {MAX_STEPS}")
    return PianoRoll.from_notes(
        [(step(start), step(stop) - step(start), pitch) for start, stop, pitch in notes],
        num_steps=step(end),
        steps_per_quarter=steps_per_quarter,
        tempo_bpm=longest_tempo(tempos, end),
        time_signature=min(signatures)[1] if signatures else (4, 4),
    )


def musicxml_bytes(roll: PianoRoll) -> bytes:
    """A MusicXML score of two staves, split at middle C; notes that outlast a bar are tied.

    Reading it gives the same sounding, length and (where they are known) onsets.

    Raises:
        LnfgenError: if the grid has steps that notation cannot spell.
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
        with _silence():
            content = bytes(GeneralObjectExporter(score).parse())
    except Exception as error:  # music21 has many ways to say that a duration has no notation
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        grid = f"{roll.steps_per_quarter} steps per quarter"
        raise LnfgenError(f"cannot spell a piano-roll of {grid} as a score: {reason}; write .mid instead") from error
    return re.sub(rb"\s*<encoding-date>.*?</encoding-date>", b"", content)  # the same roll, the same bytes, any day


def _staff(roll: PianoRoll, notes: list[tuple[int, int, int]], clef_name: str) -> Any:
    """A measured part: in each bar, notes of one start and length are a chord, and overlapping chords are voices."""
    from music21 import clef, instrument, meter, stream, tempo

    beats, unit = roll.time_signature
    bar_quarters = Fraction(4 * beats, unit)
    part = stream.PartStaff(id=clef_name)
    lines = [*roll.bar_lines(), roll.num_steps]
    bars: list[list[tuple[int, int, int, str | None]]] = [[] for _ in lines[1:]]
    index = 0
    for start, length, pitch in notes:
        while lines[index + 1] <= start:
            index += 1
        bar, now, stop = index, start, start + length
        while now < stop:
            cut = min(stop, lines[bar + 1])
            tie = {(True, True): None, (True, False): "start", (False, False): "continue", (False, True): "stop"}[
                (now == start, cut == stop)
            ]
            bars[bar].append((now, cut - now, pitch, tie))
            now, bar = cut, bar + 1
    for number, (first, after) in enumerate(itertools.pairwise(lines), start=1):
        measure = stream.Measure(number=number)
        if number == 1:
            piano = instrument.Piano()
            piano.partId, piano.instrumentId = "P1", "P1-I1"  # music21 would draw them at random
            part.insert(0, piano)
            measure.insert(0, clef.TrebleClef() if clef_name == "treble" else clef.BassClef())
            measure.insert(0, meter.TimeSignature(f"{beats}/{unit}"))
            if clef_name == "treble":
                measure.insert(0, tempo.MetronomeMark(number=roll.tempo_bpm))
        missing = bar_quarters - Fraction(after - first, roll.steps_per_quarter)
        if missing > 0:
            measure.paddingRight = missing  # or else music21 fills the last bar up
        voices = list(_voices(bars[number - 1], first, after, roll.steps_per_quarter))
        for voice in voices:
            if len(voices) == 1:
                for element in voice:
                    measure.append(element)
            else:
                measure.insert(0, stream.Voice(voice))
        part.append(measure)
    return part


def _voices(
    notes: list[tuple[int, int, int, str | None]], first: int, after: int, steps_per_quarter: int
) -> Iterator[list[Any]]:
    """Lists of chords, notes and rests that each fill a bar from step `first` to `after`."""
    from music21 import chord, note, tie

    def quarters(steps: int) -> Fraction:
        return Fraction(steps, steps_per_quarter)

    chords: dict[tuple[int, int], list[Any]] = {}
    # The highest first, so that the upper voice is the first one.
    for start, length, pitch, tied in sorted(notes, key=lambda item: (item[0], -item[2])):
        sound = note.Note(pitch, quarterLength=quarters(length))
        if tied:
            sound.tie = tie.Tie(tied)
        chords.setdefault((start, length), []).append(sound)
    voices: list[list[Any]] = []
    ends: list[int] = []
    for (start, length), members in chords.items():
        free = [index for index, end in enumerate(ends) if end <= start]
        if free:
            index = free[0]
        else:
            voices.append([])
            ends.append(first)
            index = len(voices) - 1
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


def _tied(flat: Any) -> list[tuple[Fraction, Fraction, int]]:
    """The notes of a part as (start, end, MIDI pitch) in quarters, tied ones joined."""
    from music21 import harmony

    notes: list[tuple[Fraction, Fraction, int]] = []
    last: dict[tuple[int, Fraction], int] = {}  # (pitch, end) -> where in `notes`
    for element in flat.notes:
        if isinstance(element, harmony.Harmony) and not element.writeAsChord:
            continue
        start = Fraction(element.offset)
        end = start + Fraction(element.duration.quarterLength)
        if end == start:
            continue
        for sound in getattr(element, "notes", None) or (element,):
            if not hasattr(sound, "pitch"):
                continue
            pitch = sound.pitch.midi
            joins = sound.tie is not None and sound.tie.type in ("stop", "continue")
            index = last.pop((pitch, start), None) if joins else None
            if index is None:
                index = len(notes)
                notes.append((start, end, pitch))
            else:
                notes[index] = (notes[index][0], end, pitch)
            last[(pitch, end)] = index
    return notes


def _as_it_sounds(score: Any) -> Any:
    from music21 import bar, instrument, repeat

    if any(player.transposition is not None for player in score.recurse().getElementsByClass(instrument.Instrument)):
        with contextlib.suppress(Exception):  # as written is then the best that is known
            score = score.toSoundingPitch()
    if any(True for _ in score.recurse().getElementsByClass((bar.Repeat, repeat.RepeatMark))):
        with contextlib.suppress(Exception):  # repeats that do not pair up, or parts without bars: played once
            score = score.expandRepeats()
    return score


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep music21's remarks, which come as warnings and on stderr, out of a command's output."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _score_text(content: bytes, kind: str, name: str) -> str:
    if kind == "musicxml" and content.startswith(b"PK\x03\x04"):
        content = _unpacked(content, name)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # older ABC and humdrum files; titles only, the music is ASCII
    if kind == "musicxml" and "<score-" not in text:
        raise UnreadableFileError(
            f"{name} is no MusicXML score: found {text[:20]!r}; expected a <score-partwise> element"
        )
    if not text.strip():
        raise UnreadableFileError(f"{name} is empty; expected a {_WORDS[kind]} score")
    return text


def _unpacked(content: bytes, name: str) -> bytes:
    """The score in a compressed MusicXML file: the root file that its container names, else its first .xml."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            root = None
            if "META-INF/container.xml" in names:
                container = ElementTree.fromstring(archive.read("META-INF/container.xml"))
                root = next((item.get("full-path") for item in container.iter() if item.tag.endswith("rootfile")), None)
            if root not in names:
                root = next(
                    item for item in names if item.endswith((".xml", ".musicxml")) and not item.startswith("META-INF")
                )
            if archive.getinfo(root).file_size > _MAX_XML:
                raise UnreadableFileError(f"{name} unpacks to over {_MAX_XML} bytes; expected a score")
            return archive.read(root)
    except UnreadableFileError:
        raise
    except Exception as error:  # zipfile and the XML parser raise a dozen kinds on damaged archives
        reason = str(error) or "no score in it"
        raise UnreadableFileError(f"{name} is a damaged compressed score: {reason}; expected MusicXML in it") from error
