"""Read scores: ABC with `lnfgen.formats.abc`, MusicXML and humdrum with music21.

music21 gets the content of the file, opens no other file, and neither reads nor writes pickles of
parsed scores.
"""

import contextlib
import io
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree

from lnfgen.errors import UnreadableFileError, unreadable
from lnfgen.formats.abc import read_tunes
from lnfgen.formats.events import MAX_STEPS, Events, Sound, join_ties, with_choice
from lnfgen.formats.harmony import chords_of_part, symbol_of_xml
from lnfgen.formats.humdrum_chords import add_chords_of_humdrum
from lnfgen.formats.lead_sheet import (
    add_accompaniment,
    choice_of_lead_sheet,
    needs_accompaniment,
)
from lnfgen.formats.midi import midi_of_score, with_midi
from lnfgen.formats.sandbox import restart_clock
from lnfgen.music.key_signature import TONIC_OF_MODE, KeySignature
from lnfgen.music.pianoroll import MAX_BPM, MIN_BPM, STEPS_PER_QUARTER, PianoRoll
from lnfgen.music.song import Song
from lnfgen.music.time_signature import is_time_signature
from lnfgen.music.tracks import ALL

_FORMATS = {
    ".musicxml": "MusicXML",
    ".xml": "MusicXML",
    ".mxl": "MusicXML",
    ".abc": "ABC",
    ".krn": "humdrum",
}
_MAX_UNPACKED = 1 << 28  # bytes of all files in a compressed score
_CONTAINER = "META-INF/container.xml"  # names the score in a compressed file


# The arguments are those of `read_midi`, and the suffix.
def read_score(  # noqa: PLR0913
    content: bytes,
    suffix: str,
    name: str = "-",
    *,
    steps_per_quarter: int = STEPS_PER_QUARTER,
    tracks: str = ALL,
    roles: Sequence[str] = (),
) -> list[Song]:
    """The songs of a score: one, or one for each tune of an ABC or humdrum file.

    Args:
        content: the whole file. MusicXML may be compressed.
        suffix: `.musicxml`, `.xml`, `.mxl`, `.abc` or `.krn`.
        name, tracks, roles: as `read_midi` takes them; the parts of a score are its tracks. With
            roles, a lead sheet has tracks that play its chord symbols, too.

    Raises:
        UnreadableFileError: if the score is damaged, or holds no notes or none of those parts.
    """
    kind = _FORMATS[suffix]
    text = _score_text(content, kind, name)
    restart_clock()
    first: Events | None = None
    songs: list[Song] = []
    num_steps = 0
    for events in _pieces(text, kind, name):
        song = _song(events, name, steps_per_quarter, tracks, roles)
        num_steps += song.roll.num_steps
        if num_steps > MAX_STEPS:  # nor is the rest read, which may be long
            raise UnreadableFileError(
                f"{name} lasts {num_steps} steps or more; expected at most {MAX_STEPS}"
            )
        first = first or events
        songs.append(song)
    if first is not None and len(songs) == 1:
        songs = [with_midi(songs[0], midi_of_score(first, songs[0].roll))]
    with_notes = [song for song in songs if _has_notes(song)]
    if with_notes:
        return with_notes
    # A piece of silence is a piece, but one without any length is not.
    if first is not None and first.end:
        return songs[:1]
    raise UnreadableFileError(f"{name} holds no notes; expected {kind} with at least one")


def _pieces(text: str, kind: str, name: str) -> Iterator[Events]:
    """The pieces of a score, each read when it is asked for, as far as its reader can do that."""
    with unreadable(f"{name} is no readable {kind} score"):
        if kind == "ABC":
            yield from read_tunes(text)
        else:
            yield from _read_with_music21(text, kind)


def _has_notes(song: Song) -> bool:
    """True if notes sound, or would if the roll had more keys."""
    return bool(song.origin.report["out_of_range"] or song.roll.sounding.any())


def roll_of_score(
    score: Any, name: str = "-", *, steps_per_quarter: int = STEPS_PER_QUARTER
) -> PianoRoll:
    """The piano-roll of a music21 score as it sounds.

    Repeats are played, and transposing instruments transpose. Tied notes are one note. Grace notes,
    unpitched percussion and chord symbols are left out, for they have no length, no pitch or no
    notes. Repeats that music21 cannot follow are played once.
    """
    return _song(_events(score), name, steps_per_quarter, ALL).roll


def _song(
    events: Events, name: str, steps_per_quarter: int, tracks: str, roles: Sequence[str] = ()
) -> Song:
    if not needs_accompaniment(events, roles):
        chosen = with_choice([track for track, _ in events.tracks], tracks, roles, name)
        return events.song(chosen, roles, Fraction(1), steps_per_quarter, name)
    alone = [track for track, _ in events.tracks]
    add_accompaniment(events, events.song(alone, (), Fraction(1), steps_per_quarter, name))
    chosen = choice_of_lead_sheet([track for track, _ in events.tracks], tracks, roles, name)
    return events.song(chosen, roles, Fraction(1), steps_per_quarter, name)


def _read_with_music21(text: str, kind: str) -> list[Events]:
    from music21 import converter, stream

    restart_clock()
    with quiet(), _as_written():
        parsed = converter.parseData(text, format=kind.lower(), forceSource=True)
        scores = list(parsed.scores) if isinstance(parsed, stream.Opus) else [parsed]
        if kind == "humdrum":
            add_chords_of_humdrum(text, scores)
        return [_events(score) for score in scores]


def _events(score: Any) -> Events:
    """The notes, tempos and time signatures of a music21 score as it sounds.

    Times are in quarters.
    """
    from music21 import tempo

    events = Events(title=str(getattr(score.metadata, "bestTitle", None) or ""))
    score = _as_it_sounds(score)
    for part in _parts_of(score):
        _add_part(events, part)
    for mark in score.flatten().getElementsByClass(tempo.MetronomeMark):
        bpm = round(float(mark.getQuarterBPM() or 0), 10)
        if MIN_BPM <= bpm <= MAX_BPM:
            events.tempos.append((Fraction(mark.offset), bpm))
    return events


def _parts_of(score: Any) -> list[Any]:
    """The parts of a music21 score; one without parts is a part itself."""
    return list(score.parts) or [score]


def _add_part(events: Events, part: Any) -> None:
    """Add the notes, time signatures and first bar lines of a part of music21.

    The chord symbols are those of the first part that has any.
    """
    from music21 import instrument, stream

    flat = part.flatten()
    events.end = max(events.end, Fraction(flat.highestTime))
    if not events.chords:
        events.chords = chords_of_part(flat)
    notes = join_ties(_sounds(flat))
    if notes:
        player = next(iter(part.recurse().getElementsByClass(instrument.Instrument)), None)
        name = str(getattr(part, "partName", None) or "")
        events.add(notes, name, program=getattr(player, "midiProgram", None))
        if not events.keys:
            events.keys = _keys(part)
    events.signatures += _signatures(part)
    if not events.lines:
        starts = [Fraction(bar.offset) for bar in part.getElementsByClass(stream.Measure)]
        lines = [start for start in starts if start != 0]
        events.lines = lines[:2]


def _signatures(part: Any) -> list[tuple[Fraction, tuple[int, int]]]:
    """The time signatures of a part, with offsets in quarters.

    They are searched bar by bar, as music21 may have one object in several bars.
    """
    from music21 import meter

    signatures = []
    for start, bar in _bars_of(part):
        for mark in bar.getElementsByClass(meter.TimeSignature):
            signature = (mark.numerator, mark.denominator)
            if mark.numerator and is_time_signature(signature):
                signatures.append((start + Fraction(mark.offset), signature))
    return signatures


def _keys(part: Any) -> list[tuple[Fraction, KeySignature]]:
    """The key signatures of a part, with offsets in quarters.

    Where humdrum has a signature and a key, the key comes last, for it has the mode.
    """
    from music21 import key

    found = []
    for start, bar in _bars_of(part):
        for mark in bar.getElementsByClass(key.KeySignature):
            if mark.sharps is None or abs(mark.sharps) > 7:
                continue
            mode = getattr(mark, "mode", None) or ""
            if mode not in TONIC_OF_MODE:
                mode = ""
            found.append((start + Fraction(mark.offset), KeySignature(mark.sharps, mode)))
    return sorted(found, key=lambda change: (change[0], bool(change[1].mode)))


def _bars_of(part: Any) -> list[tuple[Fraction, Any]]:
    """A part of music21 and its bars, with their offsets in quarters, to search for marks."""
    from music21 import stream

    bars = [(Fraction(0), part)]
    for bar in part.getElementsByClass(stream.Measure):
        bars.append((Fraction(bar.offset), bar))
    return bars


def _sounds(flat: Any) -> list[Sound]:
    """The notes of a part of music21, with its ties. Times are in quarters."""
    from music21 import harmony

    sounds: list[Sound] = []
    for element in flat.notes:
        if isinstance(element, harmony.Harmony) and not element.writeAsChord:
            continue
        start = Fraction(element.offset)
        end = start + Fraction(element.duration.quarterLength)
        if end <= start:
            continue
        for sound in getattr(element, "notes", None) or (element,):
            if not hasattr(sound, "pitch"):
                continue
            # The pitch space, as the attribute `midi` would move a pitch by octaves into its range.
            pitch = round(sound.pitch.ps)
            tie = getattr(sound.tie, "type", None)
            comes_from_before = tie in ("stop", "continue")
            goes_on = tie in ("start", "continue")
            sounds.append((start, end, pitch, comes_from_before, goes_on))
    return sounds


def _as_it_sounds(score: Any) -> Any:
    """The score with its instruments transposed and its repeats written out.

    What music21 cannot transpose or write out stays as it is.
    """
    from music21 import bar, instrument, repeat

    players = score.recurse().getElementsByClass(instrument.Instrument)
    if any(player.transposition is not None for player in players):
        # If that fails, the pitches stay as they are written.
        with contextlib.suppress(Exception):
            score = score.toSoundingPitch()
    if score.recurse().getElementsByClass((bar.Repeat, repeat.RepeatMark)):
        _pair_repeats(score)
        # If the signs do not pair up or a part has no bars, the piece is played once.
        with contextlib.suppress(Exception):
            score = score.expandRepeats()
    return score


def _pair_repeats(score: Any) -> None:
    """Give a start to each repeat without one, and drop a start without an end.

    A start goes after the repeat before it and its endings. music21 would go back to the first bar,
    and play `A :| B :|` as A A B A A B. Where an end is missing, as after the last repeat of a
    humdrum score, it would play no repeat at all.
    """
    for part in _parts_of(score):
        _pair_repeats_of_part(part)


def _pair_repeats_of_part(part: Any) -> None:
    from music21 import bar, spanner, stream

    bars_of_endings: set[int] = set()  # their ids
    for bracket in part.recurse().getElementsByClass(spanner.RepeatBracket):
        bars_of_endings |= {id(measure) for measure in bracket.getSpannedElements()}
    needs_start: Any = None  # the bar where a repeat without a start begins
    opened: Any = None  # the bar with a start whose end has not come yet
    has_ended = False  # a repeat has ended, and nothing begins after it so far
    for measure in part.getElementsByClass(stream.Measure):
        lines = (measure.leftBarline, measure.rightBarline)
        signs = [getattr(line, "direction", None) for line in lines]
        if "start" in signs:
            needs_start = None
            opened = measure
            has_ended = False
        elif has_ended and id(measure) not in bars_of_endings:
            needs_start = measure
            has_ended = False
        if "end" in signs:
            if needs_start is not None:
                needs_start.leftBarline = bar.Repeat("start")
            needs_start = None
            opened = None
            has_ended = True
    if opened is not None:
        opened.leftBarline = None


@contextlib.contextmanager
def _as_written() -> Iterator[None]:
    """Make music21 read whole rests and chord symbols of MusicXML as they are written.

    A whole rest is stretched to its bar only where it is alone in the bar. Where one staff of a bar
    is empty, music21 would stretch the first rest of any staff.
    """
    from music21.musicxml import xmlToM21

    parser: Any = xmlToM21.MeasureParser
    parse = parser.parse
    read_symbol = parser.xmlToChordSymbol

    def parse_strictly(self: Any) -> None:
        parse(self)
        self.fullMeasureRest &= self.restAndNoteCount == {"rest": 1, "note": 0}

    parser.parse = parse_strictly
    parser.xmlToChordSymbol = lambda _, harmony: symbol_of_xml(harmony)
    try:
        yield
    finally:
        parser.parse = parse
        parser.xmlToChordSymbol = read_symbol


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the remarks of music21 out of the output: it warns, and writes to stderr."""
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
        # Only titles in older files need this; the music is ASCII.
        text = content.decode("latin-1")
    if kind == "MusicXML" and "<score-" not in text:
        found = f"found {text[:20]!r}; expected a <score-partwise> element"
        raise UnreadableFileError(f"{name} is no MusicXML score: {found}")
    if not text.strip():
        raise UnreadableFileError(f"{name} is empty; expected {kind}")
    return text


def _unpacked(content: bytes, name: str) -> bytes:
    """The score in a compressed MusicXML file.

    It is the file that the container names. It is the only score where the container is damaged,
    and the first one where there is no container.
    """
    with (
        unreadable(f"{name} is a damaged compressed score", "expected MusicXML in it"),
        zipfile.ZipFile(io.BytesIO(content)) as archive,
    ):
        size = sum(member.file_size for member in archive.infolist())
        if size > _MAX_UNPACKED:
            raise UnreadableFileError(
                f"{name} unpacks to {size} bytes; expected a score of at most {_MAX_UNPACKED}"
            )
        return archive.read(_name_of_score(archive))


def _name_of_score(archive: zipfile.ZipFile) -> str:
    """The name of the score among the files of an archive.

    Raises:
        ValueError: if it holds none, or several of which no readable container names one.
    """
    names = archive.namelist()
    scores: list[str] = []
    for name in names:
        folder, _, _ = name.partition("/")
        if name.endswith((".xml", ".musicxml")) and folder not in ("META-INF", "__MACOSX"):
            scores.append(name)
    if _CONTAINER in names:
        named = _named_by(archive.read(_CONTAINER))
        if named in names:
            return named
        if len(scores) > 1:
            raise ValueError(f"{len(scores)} scores, and a damaged {_CONTAINER}")
    if not scores:
        raise ValueError("no score in it")
    return scores[0]


def _named_by(container: bytes) -> str:
    """The file that a container names; empty if it names none.

    It is empty too if the container is no XML: some programs write an apostrophe of a title into an
    attribute as it is.
    """
    try:
        tree = ElementTree.fromstring(container)
    except (ElementTree.ParseError, LookupError, ValueError):
        return ""
    for item in tree.iter():
        if item.tag.endswith("rootfile"):
            return item.get("full-path", "")
    return ""
