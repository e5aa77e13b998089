"""Read scores (MusicXML, ABC, humdrum) as piano-rolls, with music21 as the parser.

music21 gets the content of the file, from memory. It opens no other file, and neither reads nor writes the pickles in
which it usually keeps parsed scores.
"""

from __future__ import annotations

import contextlib
import io
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree

from lnfgen.errors import LnfgenError, UnreadableFileError
from lnfgen.music.midi import MAX_STEPS, longest_tempo
from lnfgen.music.pianoroll import MAX_BPM, MIN_BPM, STEPS_PER_QUARTER, PianoRoll, is_time_signature

_FORMATS = {".musicxml": "musicxml", ".xml": "musicxml", ".mxl": "musicxml", ".abc": "abc", ".krn": "humdrum"}
_WORDS = {"musicxml": "MusicXML", "abc": "ABC", "humdrum": "humdrum"}
_MAX_XML = 1 << 28  # bytes of a compressed score once inflated


def read_score(
    content: bytes, suffix: str, name: str = "-", *, steps_per_quarter: int = STEPS_PER_QUARTER
) -> list[PianoRoll]:
    """The piano-rolls of a score: one, or one for each tune where an ABC or humdrum file holds several.

    Args:
        content: the whole file. MusicXML may be compressed.
        suffix: `.musicxml`, `.xml`, `.mxl`, `.abc` or `.krn`.
        name: what errors call it.

    Raises:
        UnreadableFileError: if music21 cannot read it, or it holds no notes.
    """
    from music21 import converter, stream

    kind = _FORMATS[suffix]
    text = _score_text(content, kind, name)
    try:
        with quiet():
            parser = converter.Converter()
            parser.parseData(text, format=kind, forceSource=True)
        parsed = parser.stream
        scores = list(parsed.scores) if isinstance(parsed, stream.Opus) else [parsed]
        rolls = [roll_of_score(score, name, steps_per_quarter=steps_per_quarter) for score in scores]
    except LnfgenError:
        raise
    except Exception as error:  # music21 raises errors of many kinds on a damaged score
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UnreadableFileError(f"{name} is no readable {_WORDS[kind]} score: {reason}") from error
    rolls = [roll for roll in rolls if roll.out_of_range or roll.sounding.any()] or rolls[:1]
    if not rolls or not (rolls[0].out_of_range or rolls[0].num_steps > 1 or rolls[0].sounding.any()):
        raise UnreadableFileError(f"{name} holds no notes; expected a {_WORDS[kind]} score with at least one")
    return rolls


def roll_of_score(score: Any, name: str = "-", *, steps_per_quarter: int = STEPS_PER_QUARTER) -> PianoRoll:
    """The piano-roll of a music21 score as it sounds: repeats are played, and transposing instruments transpose.

    Times are rounded to the nearest step, and a note lasts at least one step. Tied notes are one note. Grace notes,
    unpitched percussion and chord symbols are left out, for they have no length, no pitch or no notes. Repeats that
    music21 cannot follow are played once. The tempo is the one that lasts longest, the time signature the first.
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
    roll = PianoRoll.from_notes(
        [(step(start), step(stop) - step(start), pitch) for start, stop, pitch in notes],
        num_steps=step(end),
        steps_per_quarter=steps_per_quarter,
        tempo_bpm=longest_tempo(tempos, end),
        time_signature=min(signatures)[1] if signatures else (4, 4),
    )
    times = (offset for start, stop, _ in notes for offset in (start, stop))
    return replace(roll, rounded=sum((offset * steps_per_quarter).denominator != 1 for offset in times))


def _tied(flat: Any) -> list[tuple[Fraction, Fraction, int]]:
    """The notes of a part as (start, end, MIDI pitch), in quarters. Tied notes are joined to one."""
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
    """The score with its instruments transposed and its repeats written out, as far as music21 can do that."""
    from music21 import bar, instrument, repeat

    if any(player.transposition is not None for player in score.recurse().getElementsByClass(instrument.Instrument)):
        with contextlib.suppress(Exception):  # then the pitches stay as they are written
            score = score.toSoundingPitch()
    if any(True for _ in score.recurse().getElementsByClass((bar.Repeat, repeat.RepeatMark))):
        with contextlib.suppress(Exception):  # the signs do not pair up or a part has no bars: play once
            score = score.expandRepeats()
    return score


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the remarks of music21, which come as warnings and on stderr, out of the output of a command."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _score_text(content: bytes, kind: str, name: str) -> str:
    """The text of a score, unpacked and decoded."""
    if kind == "musicxml" and content.startswith(b"PK\x03\x04"):
        content = _unpacked(content, name)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # only titles in older files need this; the music is ASCII
    if kind == "musicxml" and "<score-" not in text:
        raise UnreadableFileError(
            f"{name} is no MusicXML score: found {text[:20]!r}; expected a <score-partwise> element"
        )
    if not text.strip():
        raise UnreadableFileError(f"{name} is empty; expected a {_WORDS[kind]} score")
    return text


def _unpacked(content: bytes, name: str) -> bytes:
    """The score in a compressed MusicXML file: the file that its container names, or without one the first .xml."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            scores = [item for item in names if item.endswith((".xml", ".musicxml")) and "META-INF/" not in item]
            if "META-INF/container.xml" in names:
                container = ElementTree.fromstring(archive.read("META-INF/container.xml"))
                scores = [item.get("full-path", "") for item in container.iter() if item.tag.endswith("rootfile")]
            root = scores[0]
            if archive.getinfo(root).file_size > _MAX_XML:
                raise UnreadableFileError(f"{name} unpacks to over {_MAX_XML} bytes; expected a score")
            return archive.read(root)
    except UnreadableFileError:
        raise
    except Exception as error:  # zipfile and the XML parser raise errors of many kinds
        reason = "no score in it" if isinstance(error, IndexError) else error
        raise UnreadableFileError(f"{name} is a damaged compressed score: {reason}; expected MusicXML in it") from error
