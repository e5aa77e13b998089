"""Read scores as piano-rolls: ABC with `lnfgen.formats.abc`, MusicXML and humdrum with music21.

music21 gets the content of the file, opens no other file, and neither reads nor writes pickles of
parsed scores.
"""

import contextlib
import io
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree

from lnfgen.errors import UnreadableFileError, unreadable
from lnfgen.formats.abc import read_tunes
from lnfgen.formats.events import MAX_STEPS, Events, Sound, join_ties, with_choice
from lnfgen.formats.sandbox import restart_clock
from lnfgen.formats.song import song_of
from lnfgen.music.pianoroll import MAX_BPM, MIN_BPM, STEPS_PER_QUARTER, PianoRoll, is_time_signature
from lnfgen.music.tracks import ALL

_FORMATS = {
    ".musicxml": "MusicXML",
    ".xml": "MusicXML",
    ".mxl": "MusicXML",
    ".abc": "ABC",
    ".krn": "humdrum",
}
_MAX_UNPACKED = 1 << 28  # bytes of all files in a compressed score


def read_score(
    content: bytes,
    suffix: str,
    name: str = "-",
    *,
    steps_per_quarter: int = STEPS_PER_QUARTER,
    tracks: str = ALL,
    roles: Sequence[str] = (),
) -> list[PianoRoll]:
    """The piano-rolls of a score: one, or one for each tune where an ABC or humdrum file holds
    several.

    Args:
        content: the whole file. MusicXML may be compressed.
        suffix: `.musicxml`, `.xml`, `.mxl`, `.abc` or `.krn`.
        name, tracks, roles: as `read_midi` takes them; the parts of a score are its tracks.

    Raises:
        UnreadableFileError: if the score is damaged, or holds no notes or none of those parts.
    """
    kind = _FORMATS[suffix]
    text = _score_text(content, kind, name)
    restart_clock()
    with unreadable(f"{name} is no readable {kind} score"):
        pieces = read_tunes(text) if kind == "ABC" else _read_with_music21(text, kind)
    rolls = [_roll(events, name, steps_per_quarter, tracks, roles) for events in pieces]
    if len(pieces) == 1:
        rolls = [replace(rolls[0], song=song_of(pieces[0], rolls[0]))]
    if (steps := sum(roll.num_steps for roll in rolls)) > MAX_STEPS:
        raise UnreadableFileError(f"{name} lasts {steps} steps; expected at most {MAX_STEPS}")
    rolls = [roll for roll in rolls if roll.losses["out_of_range"] or roll.sounding.any()] or rolls[
        :1
    ]
    if not rolls or not (
        rolls[0].losses["out_of_range"] or pieces[0].end or rolls[0].sounding.any()
    ):
        raise UnreadableFileError(f"{name} holds no notes; expected {kind} with at least one")
    return rolls


def roll_of_score(
    score: Any, name: str = "-", *, steps_per_quarter: int = STEPS_PER_QUARTER
) -> PianoRoll:
    """The piano-roll of a music21 score as it sounds: repeats are played, and transposing
    instruments transpose.

    Tied notes are one note. Grace notes, unpitched percussion and chord symbols are left out, for
    they have no length, no pitch or no notes. Repeats that music21 cannot follow are played once.
    """
    return _roll(_events(score), name, steps_per_quarter, ALL)


def _roll(
    events: Events, name: str, steps_per_quarter: int, tracks: str, roles: Sequence[str] = ()
) -> PianoRoll:
    chosen = with_choice([track for track, _ in events.tracks], tracks, roles, name)
    return events.piece(chosen, roles, Fraction(1), steps_per_quarter, name)


def _read_with_music21(text: str, kind: str) -> list[Events]:
    from music21 import converter, stream

    restart_clock()
    with quiet(), _rests_as_written():
        parsed = converter.parseData(text, format=kind.lower(), forceSource=True)
        return [
            _events(score)
            for score in (parsed.scores if isinstance(parsed, stream.Opus) else [parsed])
        ]


def _events(score: Any) -> Events:
    """The notes, tempos and time signatures of a music21 score as it sounds. Times are in
    quarters."""
    from music21 import instrument, stream, tempo

    events = Events(title=str(getattr(score.metadata, "bestTitle", None) or ""))
    score = _as_it_sounds(score)
    for part in list(score.parts) or [score]:
        flat = part.flatten()
        events.end = max(events.end, Fraction(flat.highestTime))
        if notes := join_ties(_sounds(flat)):
            player = next(iter(part.recurse().getElementsByClass(instrument.Instrument)), None)
            name = str(getattr(part, "partName", None) or "")
            events.add(notes, name, program=getattr(player, "midiProgram", None))
        events.signatures += _signatures(part)
        lines = [
            Fraction(bar.offset) for bar in part.getElementsByClass(stream.Measure) if bar.offset
        ]
        events.lines = events.lines or lines[:2]
    marks = score.flatten().getElementsByClass(tempo.MetronomeMark)
    tempos = [
        (Fraction(mark.offset), round(float(mark.getQuarterBPM() or 0), 10)) for mark in marks
    ]
    events.tempos = [(offset, bpm) for offset, bpm in tempos if MIN_BPM <= bpm <= MAX_BPM]
    return events


def _signatures(part: Any) -> list[tuple[Fraction, tuple[int, int]]]:
    """The time signatures of a part, by bars, as music21 may have one object in several; offsets in
    quarters."""
    from music21 import meter, stream

    bars = [
        (Fraction(0), part),
        *((Fraction(bar.offset), bar) for bar in part.getElementsByClass(stream.Measure)),
    ]
    return [
        (start + Fraction(mark.offset), (mark.numerator, mark.denominator))
        for start, bar in bars
        for mark in bar.getElementsByClass(meter.TimeSignature)
        if mark.numerator and is_time_signature((mark.numerator, mark.denominator))
    ]


def _sounds(flat: Any) -> list[Sound]:
    """The notes of a part of music21, with its ties. Times are in quarters."""
    from music21 import harmony

    sounds: list[Sound] = []
    for element in flat.notes:
        if isinstance(element, harmony.Harmony) and not element.writeAsChord:
            continue
        start = Fraction(element.offset)
        end = start + Fraction(element.duration.quarterLength)
        for sound in getattr(element, "notes", None) or (element,):
            if end > start and hasattr(sound, "pitch"):
                kind = getattr(sound.tie, "type", None)
                # its `midi` would be moved by octaves, from out of range into it
                pitch = round(sound.pitch.ps)
                sounds.append(
                    (start, end, pitch, kind in ("stop", "continue"), kind in ("start", "continue"))
                )
    return sounds


def _as_it_sounds(score: Any) -> Any:
    """The score with its instruments transposed and its repeats written out, as far as music21 can
    do that."""
    from music21 import bar, instrument, repeat

    if any(
        player.transposition is not None
        for player in score.recurse().getElementsByClass(instrument.Instrument)
    ):
        with contextlib.suppress(Exception):  # then the pitches stay as they are written
            score = score.toSoundingPitch()
    if any(True for _ in score.recurse().getElementsByClass((bar.Repeat, repeat.RepeatMark))):
        _pair_repeats(score)
        # the signs do not pair up or a part has no bars: play once
        with contextlib.suppress(Exception):
            score = score.expandRepeats()
    return score


def _pair_repeats(score: Any) -> None:
    """Give a start to each repeat without one, after the repeat before it and its endings, and drop
    one without an end.

    music21 would go back to the first bar, and play `A :| B :|` as A A B A A B. Where an end is
    missing, as after the last repeat of a humdrum score, it would play no repeat at all.
    """
    from music21 import bar, spanner, stream

    for part in list(score.parts) or [score]:
        brackets = part.recurse().getElementsByClass(spanner.RepeatBracket)
        in_endings = {
            id(measure) for bracket in brackets for measure in bracket.getSpannedElements()
        }
        begins, has_ended, opened = None, False, None
        for measure in part.getElementsByClass(stream.Measure):
            signs = [
                getattr(line, "direction", None)
                for line in (measure.leftBarline, measure.rightBarline)
            ]
            if "start" in signs:
                begins, has_ended, opened = None, False, measure
            elif has_ended and id(measure) not in in_endings:
                begins, has_ended = measure, False
            if "end" in signs:
                if begins is not None:
                    begins.leftBarline = bar.Repeat("start")
                begins, has_ended, opened = None, True, None
        if opened is not None:
            opened.leftBarline = None


@contextlib.contextmanager
def _rests_as_written() -> Iterator[None]:
    """In this block, music21 stretches a whole rest of MusicXML to its bar only where nothing else
    is in the bar.

    Where one staff of a bar is empty, music21 would stretch the first rest of any staff.
    """
    from music21.musicxml import xmlToM21

    parser: Any = xmlToM21.MeasureParser
    parse = parser.parse

    def parse_strictly(self: Any) -> None:
        parse(self)
        self.fullMeasureRest &= self.restAndNoteCount == {"rest": 1, "note": 0}

    parser.parse = parse_strictly
    try:
        yield
    finally:
        parser.parse = parse


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the remarks of music21, which come as warnings and on stderr, out of the output of a
    command."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _score_text(content: bytes, kind: str, name: str) -> str:
    """The text of a score, unpacked and decoded."""
    if kind == "MusicXML" and content.startswith(b"PK\x03\x04"):
        content = _unpacked(content, name)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # only titles in older files need this; the music is ASCII
    if kind == "MusicXML" and "<score-" not in text:
        found = f"found {text[:20]!r}; expected a <score-partwise> element"
        raise UnreadableFileError(f"{name} is no MusicXML score: {found}")
    if not text.strip():
        raise UnreadableFileError(f"{name} is empty; expected {kind}")
    return text


def _unpacked(content: bytes, name: str) -> bytes:
    """The score in a compressed MusicXML file: the file that its container names, or without one
    the first .xml."""
    with (
        unreadable(f"{name} is a damaged compressed score", "expected MusicXML in it"),
        zipfile.ZipFile(io.BytesIO(content)) as archive,
    ):
        size = sum(member.file_size for member in archive.infolist())
        if size > _MAX_UNPACKED:
            raise UnreadableFileError(
                f"{name} unpacks to {size} bytes; expected a score of at most {_MAX_UNPACKED}"
            )
        names = archive.namelist()
        scores = [
            item
            for item in names
            if item.endswith((".xml", ".musicxml")) and "META-INF/" not in item
        ]
        if "META-INF/container.xml" in names:
            container = ElementTree.fromstring(archive.read("META-INF/container.xml"))
            scores = [
                item.get("full-path", "")
                for item in container.iter()
                if item.tag.endswith("rootfile")
            ]
        if not scores:
            raise ValueError("no score in it")
        return archive.read(scores[0])
