"""Write songs as MusicXML scores, with music21 as the writer."""

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import Any
from xml.etree.ElementTree import Element

from lnfgen.errors import LnfgenError, UnreadableFileError
from lnfgen.formats.harmony import add_chords
from lnfgen.formats.sandbox import in_child, restart_clock
from lnfgen.formats.scores import quiet
from lnfgen.formats.staves import PERCUSSION, Staff, staves_of
from lnfgen.formats.symbols import Symbol, bars_of_voice
from lnfgen.music.drums import drum_of
from lnfgen.music.instruments import INSTRUMENTS
from lnfgen.music.key_signature import KeySignature, signature_for
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song, as_song
from lnfgen.music.time_signature import bar_length
from lnfgen.music.tonality import spelled

MAX_BARS = 4000  # of a score; for more, the writer takes minutes

_DRUM_ID = "drum-"  # the ids of drums begin with it; the key of the drum follows
_ANY_DRUM = "drums"  # the id of the instrument that music21 writes for all drums


def musicxml_bytes(
    piece: Song | PianoRoll,
    *,
    voices: int | None = None,
    title: str = "",
    drawn_name: str = "drawn",
) -> bytes:
    """A MusicXML score, in the key of `signature_for`, in bars with ties over their lines.

    `read_score` gives the same `roll.merged` again; onsets that are not known are those of
    `roll.struck()` then. A band has a staff for each of its parts, the drums among them.

    Notes that a model drew in a person's piece have staves of their own, below those of the tracks
    of its file. The chord symbols of a song stand above its first staff.

    Args:
        voices: four is a choir's score on two staves, another number a score with a staff for each
            voice. None: a choir's score if the piece is for one (see `is_choral`), a staff for a
            line with chord symbols, else a piano's, divided at middle C.
        title: stands above the music, without characters that cannot be printed.
        drawn_name: names the staves of drawn notes.

    Raises:
        LnfgenError: if notation has no note value for a step of this grid, there are over
            `MAX_VOICES` voices or `MAX_BARS` bars, or writing takes more time or memory than a
            child process may use.
    """
    song = as_song(piece)
    roll = song.roll
    bars = math.ceil(roll.num_steps / bar_length(roll.time_signature, roll.steps_per_quarter))
    if bars > MAX_BARS:
        raise LnfgenError(
            f"cannot write a score of {bars:,} bars; expected at most {MAX_BARS:,}; "
            "write .mid instead"
        )
    try:
        return in_child(_write, song, voices, title, drawn_name, name="it")
    except UnreadableFileError as error:
        raise LnfgenError(f"cannot write a score: {error}, or write .mid instead") from error


def _write(song: Song, voices: int | None, title: str, drawn_name: str) -> bytes:
    restart_clock()
    title = "".join(filter(str.isprintable, title))
    roll = song.roll
    staves = staves_of(song, voices, drawn_name)
    is_for_piano = all(staff.is_hand for staff in staves)
    try:
        with quiet():
            key = signature_for(roll, song.origin.key)
            score = _score(roll.merged, staves, title, key, is_for_piano=is_for_piano)
            return _xml_of(score, song, key.sharps, has_title=bool(title))
    # music21 raises errors of many kinds for a duration without a note value.
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        grid = f"{roll.steps_per_quarter} steps per quarter"
        raise LnfgenError(
            f"cannot spell a piano-roll of {grid} as a score: {reason}; write .mid instead"
        ) from error


def _score(
    roll: PianoRoll,
    staves: Sequence[Staff],
    title: str,
    key: KeySignature,
    *,
    is_for_piano: bool,
) -> Any:
    """A score of music21. A piano's staves are one part with a brace."""
    from music21 import layout, metadata, stream

    score = stream.Score()
    score.metadata = metadata.Metadata(title=title or None)
    parts = []
    for number, staff in enumerate(staves, start=1):
        part = _empty_part(staff, number, is_for_piano=is_for_piano)
        key_of_staff = None if staff.clef == PERCUSSION else key
        for offset, measure in _measures(roll, staff, key_of_staff, has_tempo=number == 1):
            part.insert(offset, measure, ignoreSort=True)
        parts.append(part)
        score.insert(0, part)
    if len(parts) > 1:
        group = layout.StaffGroup(parts, symbol="bracket", barTogether=True)
        if is_for_piano:
            group.symbol = "brace"
        score.insert(0, group)
    return score


def _empty_part(staff: Staff, number: int, *, is_for_piano: bool) -> Any:
    """A part of music21 with its instrument and its names, but without bars."""
    from music21 import stream

    player = _player(staff, is_for_piano=is_for_piano)
    # Otherwise music21 gives random ids. A piano's staves are one part.
    player.partId = "P1" if is_for_piano else f"P{number}"
    player.instrumentId = f"{player.partId}-I1"
    if staff.clef == PERCUSSION:
        player.instrumentId = _ANY_DRUM
    if is_for_piano:
        part: Any = stream.PartStaff(id=staff.clef)
    else:
        part = stream.Part(id=f"staff-{number}")
        part.partName = staff.name
        player.partName = staff.name
        # From the second line on the staff has initials: S. A. for Soprano, Alto, and 2. for
        # Voice 2.
        words = staff.name.replace("Voice", "").split()
        initials = " ".join(f"{word[0]}." for word in words)
        part.partAbbreviation = initials
        player.partAbbreviation = initials
    part.insert(0, player)
    return part


def _player(staff: Staff, *, is_for_piano: bool) -> Any:
    """The instrument of a staff, of music21."""
    from music21 import instrument

    if staff.program is None:
        return instrument.Piano() if is_for_piano else instrument.Vocalist()
    if staff.clef == PERCUSSION:
        player: Any = instrument.UnpitchedPercussion()
        player.instrumentName = "Drums"
        player.percMapPitch = 0
    else:
        player = instrument.Instrument()
        player.instrumentName = INSTRUMENTS[staff.program]
    player.midiProgram = staff.program
    player.instrumentAbbreviation = None
    return player


def _measures(
    roll: PianoRoll, staff: Staff, key: KeySignature | None, *, has_tempo: bool
) -> list[tuple[Fraction, Any]]:
    """The bars of a staff as measures of music21, each with its offset in quarters.

    Without a key signature, the staff is of drums.
    """
    from music21 import stream

    sharps = None if key is None else key.sharps
    grid = roll.steps_per_quarter
    bar = bar_length(roll.time_signature, 1)
    missing = Fraction(0)  # what the upbeat lacks at the start of its bar
    if roll.upbeat:
        missing = bar - Fraction(roll.upbeat, grid)
    first_number = 0 if roll.upbeat else 1
    voices = [
        bars_of_voice(notes, roll.num_steps, grid, roll.time_signature, roll.upbeat)
        for notes in staff.voices
    ]
    measures = []
    for index, symbols in enumerate(zip(*voices, strict=True)):
        measure = stream.Measure(number=first_number + index)
        if measure.number == 0:
            measure.paddingLeft = missing
            measure.showNumber = stream.enums.ShowNumber.NEVER
        if index == 0:
            _insert_head(measure, roll, staff, key or KeySignature(0), has_tempo=has_tempo)
        _fill(measure, symbols, sharps, staff.has_stems_by_voice, bar)
        measures.append((max(index * bar - missing, Fraction(0)), measure))
    _, last = measures[-1]
    last.rightBarline = "final"
    # Otherwise music21 fills the last bar with rests.
    last.paddingRight = len(measures) * bar - missing - Fraction(roll.num_steps, grid)
    return measures


def _insert_head(
    measure: Any, roll: PianoRoll, staff: Staff, signature: KeySignature, *, has_tempo: bool
) -> None:
    """Put the clef, key and time signature into the first measure of a staff, and the tempo."""
    from music21 import clef, key, meter, tempo

    clefs = {"treble": clef.TrebleClef, "bass": clef.BassClef, PERCUSSION: clef.PercussionClef}
    beats, unit = roll.time_signature
    measure.insert(0, clefs[staff.clef]())
    written = key.KeySignature(signature.sharps)
    if signature.mode:
        written = written.asKey(signature.mode)
    measure.insert(0, written)
    measure.insert(0, meter.TimeSignature(f"{beats}/{unit}"))
    if has_tempo:
        measure.insert(0, tempo.MetronomeMark(number=roll.tempo_bpm))


def _fill(
    measure: Any,
    voices: Sequence[Sequence[Symbol]],
    sharps: int | None,
    has_stems_by_voice: bool,
    bar: Fraction,
) -> None:
    """Put the voices of a bar into a measure of music21.

    Without `sharps`, the voices are of drums. On a staff whose stems do not show the voices, silent
    voices are left out.
    """
    from music21 import stream

    if not has_stems_by_voice:
        heard = [symbols for symbols in voices if any(symbol.pitches for symbol in symbols)]
        voices = heard or voices[:1]
    voices = _with_halved_rest(voices, bar)
    for number, symbols in enumerate(voices, start=1):
        into = measure
        if len(voices) > 1:
            into = stream.Voice(id=str(number))
        for symbol in symbols:
            # A choir's voices that rest together have one rest; a piano's hand has those of its
            # first voice.
            is_hidden = number > 1 and (not has_stems_by_voice or symbol in voices[0])
            for offset, element in _elements(symbol, sharps, bar):
                if element.isRest:
                    # Otherwise music21 reads a rest that fills an upbeat or a short last bar as a
                    # whole bar of rest.
                    element.fullMeasure = element.quarterLength == bar
                    element.style.hideObjectOnPrint = is_hidden
                elif has_stems_by_voice:
                    element.stemDirection = "up" if number == 1 else "down"
                into.insert(offset, element)
        if into is not measure:
            measure.insert(0, into)


def _with_halved_rest(
    voices: Sequence[Sequence[Symbol]], bar: Fraction
) -> Sequence[Sequence[Symbol]]:
    """The voices of a bar, where a half or whole rest that is alone in a shorter bar is two rests.

    music21 reads a rest of these values that is alone as a whole bar of rest, as in an upbeat of
    6/4.
    """
    if len(voices) != 1 or len(voices[0]) != 1:
        return voices
    (symbol,) = voices[0]
    if symbol.pitches or symbol.length not in (4, 8) or symbol.length == bar:
        return voices
    half = symbol.length / 2
    first = replace(symbol, length=half)
    second = replace(symbol, offset=symbol.offset + half, length=half)
    return [[first, second]]


def _elements(symbol: Symbol, sharps: int | None, bar: Fraction) -> list[tuple[Fraction, Any]]:
    """The notes, chords or rests of music21 that a symbol is written as, each with its offset.

    Without `sharps`, they are of drums.
    """
    if not symbol.pitches and symbol.length == bar:
        lengths: tuple[Fraction, ...] = (bar,)
    else:
        lengths = _note_values(symbol.length)
    all_pitches = frozenset(symbol.pitches)
    elements = []
    offset = symbol.offset
    for index, length in enumerate(lengths):
        is_first = index == 0
        is_last = index == len(lengths) - 1
        value = Symbol(
            offset,
            length,
            symbol.pitches,
            from_before=symbol.from_before if is_first else all_pitches,
            goes_on=symbol.goes_on if is_last else all_pitches,
        )
        elements.append((offset, _element(value, sharps)))
        offset += length
    return elements


def _element(symbol: Symbol, sharps: int | None) -> Any:
    """The note, chord or rest of music21 that has the one note value of a symbol."""
    from music21 import chord, note, percussion

    if sharps is None:
        notes = _strokes(symbol)
    else:
        notes = [_note(pitch, symbol, sharps) for pitch in symbol.pitches]
    if not notes:
        return note.Rest(quarterLength=symbol.length)
    if len(notes) == 1:
        element = notes[0]
    elif sharps is None:
        element = percussion.PercussionChord(notes, quarterLength=symbol.length)
    else:
        element = chord.Chord(notes, quarterLength=symbol.length)
    if element.duration.type:  # music21 finds the type when it is asked for
        # Otherwise music21 makes one note of tied triplets, and loses the onset of one that is
        # tied on both sides.
        element.duration.expressionIsInferred = False
    return element


def _note(pitch: int, symbol: Symbol, sharps: int) -> Any:
    """A note of a symbol with its ties, spelled in a key of so many sharps."""
    from music21 import note, tie

    step, alter, octave = spelled(pitch, sharps)
    name = f"{step}{'#' * alter}{'-' * -alter}{octave}"  # B-4 is B flat
    made = note.Note(name, quarterLength=symbol.length)
    is_tied_before = pitch in symbol.from_before
    is_tied_after = pitch in symbol.goes_on
    if is_tied_before and is_tied_after:
        made.tie = tie.Tie("continue")
    elif is_tied_before:
        made.tie = tie.Tie("stop")
    elif is_tied_after:
        made.tie = tie.Tie("start")
    return made


def _strokes(symbol: Symbol) -> list[Any]:
    """The drums that are struck at the start of a symbol; a drum is never held."""
    from music21 import note

    strokes = []
    for key in symbol.pitches:
        if key in symbol.from_before:
            continue
        _, place, note_head = drum_of(key)
        stroke = note.Unpitched(place, quarterLength=symbol.length)
        stroke.notehead = note_head
        stroke.id = f"{_DRUM_ID}{key}"
        strokes.append(stroke)
    return strokes


@lru_cache(maxsize=4096)
def _note_values(length: Fraction) -> tuple[Fraction, ...]:
    """The note values that last so long together: one, but on grids finer than triplets."""
    from music21 import duration

    whole = duration.Duration(length)
    if whole.type == "complex":
        values = tuple(Fraction(value.quarterLength) for value in whole.components)
        if sum(values) == length:
            return values
    return (length,)


def _xml_of(score: Any, song: Song, sharps: int, *, has_title: bool) -> bytes:
    """The bytes of a score with the chord symbols of a song, the same on any day."""
    from music21.musicxml.m21ToXml import GeneralObjectExporter, ScoreExporter

    exporter = ScoreExporter(GeneralObjectExporter().fromGeneralObject(score))
    root = exporter.parse()
    identification = root.find("identification")
    if identification is not None:
        # For a composer that is not given, music21 writes its own name, as it does for a title.
        _remove(identification, "creator")
        encoding = identification.find("encoding")
        if encoding is not None:
            _remove(encoding, "encoding-date")
    if not has_title:
        _remove(root, "movement-title")
    _write_drums_apart(root)
    add_chords(root, song.origin.chords, sharps)
    content: bytes = exporter.asBytes()
    return content


def _remove(parent: Element, tag: str) -> None:
    for child in parent.findall(tag):
        parent.remove(child)


def _write_drums_apart(root: Element) -> None:
    """Make each drum an instrument of its own; music21 writes one for all drums of a part."""
    keys = set()
    for note in root.iter("note"):
        drum = note.get("id", "")
        if not drum.startswith(_DRUM_ID):
            continue
        keys.add(int(drum.removeprefix(_DRUM_ID)))
        del note.attrib["id"]
        after_duration = [child.tag for child in note].index("duration") + 1
        note.insert(after_duration, Element("instrument", id=drum))
    for part in root.iter("score-part"):
        for any_drum in part.findall(f"*[@id='{_ANY_DRUM}']"):
            place = list(part).index(any_drum)
            part.remove(any_drum)
            for key in sorted(keys, reverse=True):
                part.insert(place, _of_drum(any_drum, key))


def _of_drum(any_drum: Element, key: int) -> Element:
    """A `score-instrument` or `midi-instrument` for the drum of a key."""
    own = deepcopy(any_drum)
    own.set("id", f"{_DRUM_ID}{key}")
    name = own.find("instrument-name")
    if name is not None:
        name.text = drum_of(key)[0]
    number = own.find("midi-unpitched")
    if number is not None:
        number.text = str(key + 1)  # MusicXML counts keys from 1 on
    return own
