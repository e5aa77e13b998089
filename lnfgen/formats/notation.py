"""Write piano-rolls as MusicXML scores, with music21 as the writer. A voice is first divided into
notes with ties.

Music of four voices becomes a score for a choir, with each voice apart; any other piece becomes a
score for a piano. A
choir has two staves, as in a hymnal: soprano and alto, with stems up and down, above tenor and
bass. A band has a staff for each part, the melody above the drums.
"""

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from operator import itemgetter
from typing import Any

from lnfgen.errors import LnfgenError, UnreadableFileError
from lnfgen.formats.sandbox import in_child, restart_clock
from lnfgen.formats.scores import quiet
from lnfgen.formats.song import drawn_parts, file_parts
from lnfgen.music.drums import drum_of
from lnfgen.music.instruments import INSTRUMENTS
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import Note, PianoRoll, bar_length
from lnfgen.music.separation import separate_voices, voice_names, with_unisons
from lnfgen.music.tonality import find_key, spelled
from lnfgen.music.tracks import DRUMS

MIDDLE_C = 60
CHOIR = 4  # the voices of a choir: soprano, alto, tenor and bass
MAX_BARS = 4000  # of a score; for more, the writer takes minutes
# the share of steps with no more keys than a choir has voices, and of them half have 3 or 4
_CHORAL = 0.95


@dataclass(frozen=True)
class Symbol:
    """A note, chord or rest within a bar. Times are in quarters."""

    offset: Fraction  # from the start of the bar on
    length: Fraction
    pitches: tuple[int, ...] = ()  # MIDI pitches from the lowest one up; none for a rest
    from_before: frozenset[int] = frozenset()  # those that are tied to the symbol before
    goes_on: frozenset[int] = frozenset()  # those that are tied to the next one


@dataclass(frozen=True)
class _Staff:
    """A staff: its name, its clef and the notes of each of its voices. With `stems`, these go up
    and down by voice."""

    name: str
    clef: str  # treble, bass, or percussion, whose pitches are keys of drums
    voices: Sequence[Sequence[Note]]
    stems: bool = False
    program: int | None = None  # of General MIDI


def musicxml_bytes(
    roll: PianoRoll, *, voices: int | None = None, title: str = "", drawn_name: str = "drawn"
) -> bytes:
    """A MusicXML score, in the key that is found, in bars with ties over their lines.

    `read_score` gives the same `roll.merged` again; onsets that are not known are those of
    `roll.struck()` then.

    Notes that a model drew in a person's piece have staves of their own, below those of the tracks
    of its file.

    Args:
        voices: four is a choir's score on two staves, another number a score with a staff for each
            voice. None: a choir's score if the piece is for one (see `is_choral`), else a piano's,
            divided at middle C.
        title: stands above the music, without characters that cannot be printed.
        drawn_name: names the staves of drawn notes.

    Raises:
        LnfgenError: if notation has no note value for a step of this grid, there are over
            `MAX_VOICES` voices or `MAX_BARS` bars, or writing takes more time or memory than a
            child process may use.
    """
    bars = math.ceil(roll.num_steps / bar_length(roll.time_signature, roll.steps_per_quarter))
    if bars > MAX_BARS:
        raise LnfgenError(
            f"cannot write a score of {bars:,} bars; expected at most {MAX_BARS:,}; write .mid instead"
        )
    try:
        return in_child(_write, roll, voices, title, drawn_name, name="it")
    except UnreadableFileError as error:
        raise LnfgenError(f"cannot write a score: {error}, or write .mid instead") from error


def _write(roll: PianoRoll, voices: int | None, title: str, drawn_name: str) -> bytes:
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    restart_clock()
    title = "".join(filter(str.isprintable, title))
    if roll.parts:
        staves = [
            _staff_of_band(part, roll.part(number))
            for number, part in [*enumerate(roll.parts)][::-1]
        ]
    elif roll.is_own_file:
        parts = [*file_parts(roll), *drawn_parts(roll, voices or 1, drawn_name)]
        staves = [staff for name, notes in parts for staff in _staves_of_part(name, notes)]
    else:
        voices = CHOIR if voices is None and is_choral(roll) else voices
        staves = _staves(roll, voices)
    try:
        with quiet():
            score = _score(
                roll.merged,
                staves,
                title,
                piano=voices is None and not (roll.is_own_file or roll.parts),
            )
            content = _with_drums(bytes(GeneralObjectExporter(score).parse()))
    # music21 raises errors of many kinds for a duration without a note value
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        grid = f"{roll.steps_per_quarter} steps per quarter"
        raise LnfgenError(
            f"cannot spell a piano-roll of {grid} as a score: {reason}; write .mid instead"
        ) from error
    # Without the date, the same roll gives the same bytes on any day. For a composer or a title
    # that is not given, music21 writes its own name.
    unknown = "encoding-date|creator" if title else "encoding-date|creator|movement-title"
    return re.sub(rf"\s*<({unknown})\b.*?</\1>".encode(), b"", content)


def is_choral(roll: PianoRoll) -> bool:
    """True if a choir can sing it: of the sounding steps, 95 % have at most 4 keys, and half have 3
    or 4."""
    counts = roll.sounding.sum(axis=1)
    counts = counts[counts > 0]
    if not len(counts):
        return False
    fits = counts <= CHOIR
    return bool(fits.mean() >= _CHORAL and (fits & (counts >= CHOIR - 1)).mean() >= 0.5)


def _staves(roll: PianoRoll, voices: int | None) -> list[_Staff]:
    """A piano's staves with None, a choir's with four voices, and else one for each voice."""
    if voices is None:
        high, low = (
            [note for note in roll.notes() if (note[2] >= MIDDLE_C) == above]
            for above in (True, False)
        )
        return [_Staff("Piano", "treble", _layers(high)), _Staff("Piano", "bass", _layers(low))]
    separated = separate_voices(roll, voices)
    if voices == CHOIR:
        soprano, alto, tenor, bass = with_unisons(separated)
        upper = _Staff("Soprano, Alto", "treble", [soprano, alto], stems=True)
        return [upper, _Staff("Tenor, Bass", "bass", [tenor, bass], stems=True)]
    return [
        _staff_of(name, notes, [notes])
        for name, notes in zip(voice_names(voices), separated, strict=True)
    ]


def _staff_of(name: str, notes: Sequence[Note], layers: Sequence[Sequence[Note]]) -> _Staff:
    """A staff in the clef that most of the notes fit."""
    sounding = sum(length for _, length, _ in notes)
    mean = sum(length * pitch for _, length, pitch in notes) / sounding if sounding else MIDDLE_C
    return _Staff(name, "treble" if mean >= MIDDLE_C else "bass", layers)


def _staves_of_part(name: str, notes: Sequence[Note]) -> list[_Staff]:
    """A staff for a line, and for chords on both sides of middle C one for each hand, as a piano
    has them."""
    hands = [
        [note for note in notes if (note[2] >= MIDDLE_C) == is_high] for is_high in (True, False)
    ]
    parts = hands if len(_layers(notes)) > 1 and all(hands) else [notes]
    return [_staff_of(name, part, _layers(part)) for part in parts]


def _staff_of_band(part: Part, roll: PianoRoll) -> _Staff:
    notes = roll.notes()
    if part.role != DRUMS:
        return replace(_staff_of(part.role.title(), notes, _layers(notes)), program=part.program)
    # Each drum is written up to the next stroke or beat, so that there are few rests.
    beat = _beat(roll.time_signature) * roll.steps_per_quarter
    ends = dict(itertools.pairwise(sorted({roll.num_steps, *(start for start, _, _ in notes)})))
    beats = {
        start: roll.upbeat + math.ceil((start - roll.upbeat) // beat * beat + beat)
        for start in ends
    }
    voice = [(start, min(ends[start], beats[start]) - start, key) for start, _, key in notes]
    return _Staff("Drums", "percussion", [voice], program=part.program)


def _layers(notes: Sequence[Note]) -> list[list[Note]]:
    """Notes in as few voices as hold them, the higher first. Equal starts and lengths make a chord;
    none overlap."""
    chords: dict[tuple[int, int], list[Note]] = {}
    for note in sorted(notes, key=lambda note: (note[0], -note[2])):
        chords.setdefault(note[:2], []).append(note)
    layers: list[list[Note]] = []
    for (start, _), chord in chords.items():
        free = next((layer for layer in layers if layer[-1][0] + layer[-1][1] <= start), None)
        if free is None:
            layers.append(chord)
        else:
            free += chord
    return layers or [[]]


def _score(roll: PianoRoll, staves: Sequence[_Staff], title: str, *, piano: bool) -> Any:
    from music21 import layout, metadata, stream

    score = stream.Score()
    score.metadata = metadata.Metadata(title=title or None)
    key = find_key(roll)
    sharps = 0 if key is None else key.sharps
    parts = [
        _part(roll, staff, number, sharps, piano) for number, staff in enumerate(staves, start=1)
    ]
    for part in parts:
        score.insert(0, part)
    if len(parts) > 1:
        score.insert(
            0, layout.StaffGroup(parts, symbol="brace" if piano else "bracket", barTogether=True)
        )
    return score


def _part(roll: PianoRoll, staff: _Staff, number: int, sharps: int, piano: bool) -> Any:
    """A staff in bars, of music21."""
    from music21 import clef, instrument, key, meter, stream, tempo

    player: Any = instrument.Piano() if piano else instrument.Vocalist()
    is_drums = staff.clef == "percussion"
    if staff.program is not None:
        player = instrument.UnpitchedPercussion() if is_drums else instrument.Instrument()
        player.instrumentName = "%(name)s" if is_drums else INSTRUMENTS[staff.program]
        player.midiProgram, player.percMapPitch, player.instrumentAbbreviation = (
            staff.program,
            0,
            None,
        )
    # Otherwise music21 gives random ones. A piano's staves are one part.
    player.partId = "P1" if piano else f"P{number}"
    player.instrumentId = "drum-%(key)d" if is_drums else f"{player.partId}-I1"
    part = stream.PartStaff(id=staff.clef) if piano else stream.Part(id=f"staff-{number}")
    if not piano:
        part.partName = player.partName = staff.name
        # From the second line on the staff has initials: S. A. for Soprano, Alto, and 2. for Voice
        # 2.
        initials = " ".join(f"{word[0]}." for word in staff.name.replace("Voice", "").split())
        part.partAbbreviation = player.partAbbreviation = initials
    part.insert(0, player)
    bar, grid = bar_length(roll.time_signature, 1), roll.steps_per_quarter
    voices = [
        bars_of_voice(notes, roll.num_steps, grid, roll.time_signature, roll.upbeat)
        for notes in staff.voices
    ]
    missing = bar - Fraction(roll.upbeat, grid) if roll.upbeat else Fraction(0)
    for index, symbols in enumerate(zip(*voices, strict=True)):
        measure = stream.Measure(number=index if roll.upbeat else index + 1)
        if measure.number == 0:
            measure.paddingLeft = missing
            measure.showNumber = stream.enums.ShowNumber.NEVER
        if index == 0:
            measure.insert(0, getattr(clef, f"{staff.clef.title()}Clef")())
            measure.insert(0, key.KeySignature(0 if is_drums else sharps))
            measure.insert(0, meter.TimeSignature("{}/{}".format(*roll.time_signature)))
            if number == 1:
                measure.insert(0, tempo.MetronomeMark(number=roll.tempo_bpm))
        _fill(measure, symbols, None if is_drums else sharps, staff.stems, bar)
        part.insert(max(index * bar - missing, 0), measure, ignoreSort=True)
    measure.rightBarline = "final"
    # Otherwise music21 fills the last bar with rests.
    measure.paddingRight = (index + 1) * bar - missing - Fraction(roll.num_steps, grid)
    return part


def _fill(
    measure: Any, voices: Sequence[Sequence[Symbol]], sharps: int | None, stems: bool, bar: Fraction
) -> None:
    """Put the voices of a bar into a measure of music21. On a piano's staff, silent ones are left
    out."""
    from music21 import stream

    if not stems:
        voices = [
            symbols for symbols in voices if any(symbol.pitches for symbol in symbols)
        ] or voices[:1]
    (first, *more), *others = voices
    if not (more or others or first.pitches) and first.length in (4, 8) and first.length != bar:
        # music21 reads a rest of this value that is alone in its bar as a whole bar of rest, as in
        # an upbeat of 6/4.
        half = first.length / 2
        voices = [
            [replace(first, length=half), replace(first, offset=first.offset + half, length=half)]
        ]
    for number, symbols in enumerate(voices, start=1):
        into = stream.Voice(id=str(number)) if len(voices) > 1 else measure
        for symbol in symbols:
            for offset, element in _elements(symbol, sharps, bar):
                if element.isRest:
                    # Otherwise music21 reads a rest that fills an upbeat or a short last bar as a
                    # whole bar of rest.
                    element.fullMeasure = element.quarterLength == bar
                    # A choir's voices that rest together have one rest; a piano's hand has those of
                    # its first voice.
                    element.style.hideObjectOnPrint = number > 1 and (
                        not stems or symbol in voices[0]
                    )
                elif stems:
                    element.stemDirection = "up" if number == 1 else "down"
                into.insert(offset, element)
        if into is not measure:
            measure.insert(0, into)


def _elements(symbol: Symbol, sharps: int | None, bar: Fraction) -> list[tuple[Fraction, Any]]:
    """The notes, chords or rests of music21, with their offsets, that a symbol is written as; no
    `sharps`: of drums."""
    from music21 import chord, note, percussion, tie

    made: list[tuple[Fraction, Any]] = []
    offset = symbol.offset
    is_whole_rest = not symbol.pitches and symbol.length == bar
    values = (bar,) if is_whole_rest else _note_values(symbol.length)
    for index, length in enumerate(values):
        members = []
        for pitch in symbol.pitches:
            before = index > 0 or pitch in symbol.from_before
            after = index < len(values) - 1 or pitch in symbol.goes_on
            if sharps is None:
                member: Any = note.Unpitched(drum_of(pitch)[1], quarterLength=length)
                member.notehead, member.id = drum_of(pitch)[2], f"drum-{pitch}"
                members += [] if before else [member]  # a drum is struck and never held
                continue
            step, alter, octave = spelled(pitch, sharps)
            name = f"{step}{'#' * alter}{'-' * -alter}{octave}"  # B-4 is B flat
            member = note.Note(name, quarterLength=length)
            if before or after:
                member.tie = tie.Tie(
                    "continue" if before and after else "stop" if before else "start"
                )
            members.append(member)
        one: Any = members[0] if members else note.Rest(quarterLength=length)
        if len(members) > 1:
            one = (percussion.PercussionChord if sharps is None else chord.Chord)(
                members, quarterLength=length
            )
        if members and one.duration.type:  # asking for the type has it found
            # Otherwise music21 makes one note of tied triplets, and loses the onset of one that is
            # tied on both sides.
            one.duration.expressionIsInferred = False
        made.append((offset, one))
        offset += length
    return made


def _with_drums(score: bytes) -> bytes:
    """A score in which each drum is an instrument of its own; music21 writes one for all drums of a
    part."""
    keys = sorted({*map(int, re.findall(rb'<note id="drum-(\d+)">', score))})
    for one in re.findall(
        rb'\s*<(?:score|midi)-instrument id="drum-%.*?-instrument>', score, re.DOTALL
    ):
        any_drum = one.replace(b">1</midi-u", b">%(number)d</midi-u")
        drums = [
            {b"key": key, b"number": key + 1, b"name": drum_of(key)[0].encode()} for key in keys
        ]
        score = score.replace(one, b"".join(any_drum % drum for drum in drums))
    note = rb'<note id="(drum-\d+)">(.*?</duration>)(\s*)'
    return re.sub(note, rb'<note>\2\3<instrument id="\1" />\3', score, flags=re.DOTALL)


@lru_cache(maxsize=4096)
def _note_values(length: Fraction) -> tuple[Fraction, ...]:
    """The note values that last so long together: one, but on grids finer than triplets."""
    from music21 import duration

    whole = duration.Duration(length)
    if whole.type != "complex":
        return (length,)
    values = tuple(Fraction(part.quarterLength) for part in whole.components)
    return values if sum(values) == length else (length,)


def bars_of_voice(
    notes: Sequence[Note],
    num_steps: int,
    steps_per_quarter: int,
    time_signature: tuple[int, int],
    upbeat: int = 0,
) -> list[list[Symbol]]:
    """The symbols of a voice in each bar, which fill it; the last bar ends with the piece.

    An upbeat of `upbeat` steps is the first bar, and is written as the end of one.

    Notes that sound together are a chord. Where one of them starts or ends alone, the others are
    tied there. So are notes at bar lines, and where a reader of this metre expects to see a beat.
    """
    edges = sorted(
        {0, num_steps, *(edge for start, length, _ in notes for edge in (start, start + length))}
    )
    starting = {
        start: list(own) for start, own in itertools.groupby(sorted(notes), key=itemgetter(0))
    }
    bar = bar_length(time_signature, 1)
    # of the first bar, before the piece
    missing = bar - Fraction(upbeat, steps_per_quarter) if upbeat else Fraction(0)
    end = missing + Fraction(num_steps, steps_per_quarter)
    bars: list[list[Symbol]] = [[] for _ in range(math.ceil(end / bar))]
    sounding: list[Note] = []
    for start, stop in itertools.pairwise(edges):
        sounding = [note for note in sounding if note[0] + note[1] > start] + starting.get(
            start, []
        )
        pitches = tuple(sorted({note[2] for note in sounding}))
        before = frozenset(note[2] for note in sounding if note[0] < start)
        after = frozenset(note[2] for note in sounding if note[0] + note[1] > stop)
        position, until = (missing + Fraction(step, steps_per_quarter) for step in (start, stop))
        while position < until:
            index = int(position // bar)
            inside = min(until, (index + 1) * bar)
            whole_rest = not pitches and inside - position == bar
            inner = position - index * bar, inside - position
            for offset, length in [inner] if whole_rest else split(*inner, time_signature):
                last = index * bar + offset + length == until
                offset -= 0 if index else missing
                bars[index].append(
                    Symbol(offset, length, pitches, before, after if last else frozenset(pitches))
                )
                before = frozenset(pitches)
            position = inside
    return bars


def split(
    offset: Fraction, length: Fraction, time_signature: tuple[int, int]
) -> list[tuple[Fraction, Fraction]]:
    """A stretch of a bar in parts (offset, length) that show its beats.

    A part has no dot or one. It passes over a stronger place of the bar than its start only as a
    plain syncopation (a quarter between two eighths), or as a dotted half that starts on a beat.
    Triplets and their like end with the beat.
    """
    crossed = _places(offset, length, time_signature)
    strongest = max((level for _, level in crossed), default=None)
    if strongest is None:
        return [(offset, length)]
    plain, dotted = _is_power_of_two(length), _is_power_of_two(length / 3)
    start = _level(offset, time_signature)
    syncopated = plain or (length >= 3 and start >= 0)
    if _is_binary(offset) and (plain or dotted) and strongest <= start + int(syncopated):
        return [(offset, length)]
    places = [place for place, level in crossed if level == strongest]
    # A part that starts on the beat is the longer one, so that few parts are needed.
    place = places[-1 if start > strongest else 0]
    rest = offset + length - place
    return [*split(offset, place - offset, time_signature), *split(place, rest, time_signature)]


def _places(
    offset: Fraction, length: Fraction, time_signature: tuple[int, int]
) -> list[tuple[Fraction, int]]:
    """The places inside a stretch where it may be split, and their levels."""
    unit = _beat(time_signature)
    if _is_binary(offset) and _is_binary(length):
        unit = Fraction(1, max(offset.denominator, length.denominator, unit.denominator))
    places = (
        index * unit
        for index in range(int(offset // unit) + 1, math.ceil((offset + length) / unit))
    )
    return [(place, _level(place, time_signature)) for place in places]


def _beat(time_signature: tuple[int, int]) -> Fraction:
    """The beat in quarters: a quarter; in 6/8, 9/8 and their like, three of the units."""
    beats, unit = time_signature
    return Fraction(12, unit) if unit >= 8 and beats % 3 == 0 else Fraction(1)


def _level(offset: Fraction, time_signature: tuple[int, int]) -> int:
    """The strength of a place in a bar: 9 at its start, 0 on a beat, 1 in the middle of four, below
    0 between beats.

    Between the beats of 6/8 it is -2 at most, so that no note hides the second beat.
    """
    beats, unit = time_signature
    if offset == 0:
        return 9
    beat = _beat(time_signature)
    if (offset / beat).denominator == 1:
        return int(beats % 4 == 0 and offset == Fraction(2 * beats, unit))
    if beat == 1:
        return 1 - offset.denominator.bit_length()
    return -1 - (offset * unit / 4).denominator.bit_length()


def _is_binary(value: Fraction) -> bool:
    return value.denominator & (value.denominator - 1) == 0


def _is_power_of_two(value: Fraction) -> bool:
    return value.numerator & (value.numerator - 1) == 0 and _is_binary(value) and value > 0
