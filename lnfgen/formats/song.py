"""A person's own MIDI file: notes are taken out or moved, tracks are added, and the rest stays.

The functions work on the MIDI file in `Song.origin`. A model hears the notes of the kept tracks of
`Origin.tracks` on the grid of the song's roll, and draws some anew. A note of the file is taken out
where the step at which the model hears it begin was drawn. So a note belongs to a bar even if it is
played a little before its line.

It is one file because all its functions place the notes of that file on the grid in one way.
"""

import itertools
import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from operator import itemgetter
from statistics import fmean
from typing import Any, NamedTuple

import mido
import numpy as np

from lnfgen.errors import LnfgenError
from lnfgen.formats.events import Events, nearest
from lnfgen.formats.messages import (
    DRUMS_FROM_0,
    MidiNote,
    Sound,
    TimedMessage,
    apart,
    channel_notes,
    in_order,
    last_tick,
    parsed,
    saved,
    take_out,
    tempo_message,
    ticks_per_quarter,
    time_signature_message,
    timed,
    track,
    transpose,
    used_channels,
    voice_events,
)
from lnfgen.formats.midi import (
    TICKS_PER_QUARTER,
    VELOCITY,
    midi_bytes,
    track_events,
    upbeat_signature,
    with_midi,
)
from lnfgen.music.conversion import ConversionReport
from lnfgen.music.notes import Note
from lnfgen.music.parts import Part, part_programs
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.separation import separate_voices
from lnfgen.music.song import Song, as_song
from lnfgen.music.time_signature import bar_length, is_time_signature
from lnfgen.music.tracks import DRUMS, Track
from lnfgen.wording import counted

_MOST_TICKS = 0x7FFF  # to a quarter, in the header of a MIDI file
_LONGEST_TIME = 1 << 28  # ticks between two messages of a MIDI file are fewer than these
_PITCHED = [channel for channel in range(16) if channel != DRUMS_FROM_0]


class _Played(NamedTuple):
    """A track of the song's file, with its notes."""

    track: Track
    key: tuple[int, int]  # in `channel_notes`
    notes: list[MidiNote]

    @property
    def channel(self) -> int:
        """From 0 on."""
        return self.key[1]


class _Opened(NamedTuple):
    """The song's file."""

    midi: Any  # as mido has it
    ticks_per_step: Fraction
    played: list[_Played]


class _Drawn(NamedTuple):
    """A track of drawn notes."""

    name: str
    notes: list[Note]
    program: int
    part: Part  # its role is empty if the song is of no band


def midi_of_score(events: Events, roll: PianoRoll) -> bytes | None:
    """The MIDI file that a score becomes, with its parts as tracks, its tempos and time signatures.

    The roll is that of the score, and knows its upbeat, which `midi_bytes` writes in the same way.
    Times are exact where the file's header has a number of ticks for them. A score with notes
    beyond the keys of MIDI becomes none.
    """
    for _, notes in events.tracks:
        if any(not 0 <= pitch < 128 for _, _, pitch in notes):
            return None
    ticks = _ticks_for(events)

    def tick(time: Any) -> int:
        return round(time * ticks)

    head = [(tick(time), tempo_message(bpm)) for time, bpm in events.tempos]
    for time, signature in _signatures_with_upbeat(events, roll):
        head.append((tick(time), time_signature_message(signature)))
    tracks = [head]
    for index, (own, notes) in enumerate(events.tracks):
        channel = _PITCHED[index % len(_PITCHED)]
        sounds = [(tick(start), tick(end), pitch, VELOCITY) for start, end, pitch in notes]
        tracks.append(voice_events(sounds, channel, own.program, own.name))
    file = mido.MidiFile(type=1, ticks_per_beat=ticks)
    for messages in tracks:
        file.tracks.append(track(in_order(messages, tick(events.end))))
    return saved(file)


def _ticks_for(events: Events) -> int:
    """The ticks of a quarter that make the times of all notes exact; else `TICKS_PER_QUARTER`."""
    denominators: list[int] = []
    for _, notes in events.tracks:
        for start, end, _ in notes:
            denominators += (Fraction(start).denominator, Fraction(end).denominator)
    exact = math.lcm(TICKS_PER_QUARTER, *denominators)
    if exact > _MOST_TICKS or exact * events.end >= _LONGEST_TIME:
        return TICKS_PER_QUARTER
    return exact


def _signatures_with_upbeat(events: Events, roll: PianoRoll) -> list[tuple[Any, tuple[int, int]]]:
    """The changes of the time signature that a roll may have, the first one that of the upbeat."""
    changes = [change for change in events.signatures if is_time_signature(change[1])]
    upbeat = upbeat_signature(roll)
    if upbeat is None:
        return changes
    first_line = Fraction(roll.upbeat, roll.steps_per_quarter)
    after_upbeat: list[tuple[Any, tuple[int, int]]] = [(0, upbeat)]
    for time, signature in changes or [(0, roll.time_signature)]:
        after_upbeat.append((max(time, first_line), signature))
    return after_upbeat


def file_bars(song: Song) -> dict[int, int]:
    """The step where each bar of the song's file starts, by its number.

    All changes of the time signature count. Bars are numbered as in `PianoRoll.bars`, which knows
    one time signature alone and answers for a song of no file.
    """
    roll = song.roll
    if song.origin.midi is None:
        return roll.bars()
    midi = parsed(song.origin.midi)
    quarter = ticks_per_quarter(midi)
    lines = _bar_lines(
        track_events(midi.tracks).signatures,
        quarter,
        end=Fraction(roll.num_steps, roll.steps_per_quarter) * quarter,
    )
    ticks_per_step = quarter / roll.steps_per_quarter
    last = roll.num_steps - 1
    starts: set[int] = set()
    for line in lines:
        starts.add(min(nearest(line / ticks_per_step), last))
    return dict(enumerate(sorted(starts), start=0 if roll.upbeat else 1))


def _bar_lines(
    signatures: Sequence[tuple[int, tuple[int, int]]], quarter: Fraction, end: Fraction
) -> list[Fraction]:
    """The ticks at which a bar starts before the end, from the changes (tick, time signature)."""
    changes = {0: (4, 4)}
    for tick, signature in sorted(signatures, key=itemgetter(0)):
        if is_time_signature(signature):
            changes[tick] = signature
    ends = [Fraction(tick) for tick in changes]
    ends.append(end)
    lines: list[Fraction] = []
    for (start, signature), until in zip(changes.items(), ends[1:], strict=True):
        bar = bar_length(signature, 1) * quarter
        num_bars = math.ceil((min(until, end) - start) / bar)
        for index in range(num_bars):
            lines.append(start + index * bar)
    return lines


def file_line(song: Song, top: bool, role: str = "") -> np.ndarray:
    """The cells bool [T, 128] of the notes that are the highest line of the file's kept tracks.

    With `top` False it is the lowest line. Of a band, the tracks are those with the role. A note is
    of that line if no other one is beyond it for half of its time or more. On the grid, two notes
    of a fast line may fall on one step, and one that is played legato may sound into the next.
    """
    line = np.zeros((song.roll.num_steps, 128), dtype=np.bool_)
    if song.origin.midi is None:
        return line
    opened = _opened(song)
    notes: list[MidiNote] = []
    for played in opened.played:
        if played.track.kept and role in ("", played.track.role):
            notes.extend(played.notes)
    # Not by their releases, of which some are missing.
    notes.sort(key=lambda note: (note.start, note.end, note.pitch, note.velocity, note.on))
    outermost = _outermost(notes, top)
    for note in notes:
        if 2 * outermost[note] >= note.end - note.start:
            first = nearest(note.start / opened.ticks_per_step)
            end = nearest(note.end / opened.ticks_per_step)
            line[first : max(end, first + 1), note.pitch] = True
    return line


def _outermost(notes: Sequence[MidiNote], top: bool) -> Counter[MidiNote]:
    """The ticks for which each note is the highest one, or the lowest one.

    Notes are in the order of their starts.
    """
    ticks: set[int] = set()
    for note in notes:
        ticks.update((note.start, note.end))
    outermost = Counter[MidiNote]()
    waiting = deque(notes)
    sounding: list[MidiNote] = []
    for now, until in itertools.pairwise(sorted(ticks)):
        while waiting and waiting[0].start <= now:
            sounding.append(waiting.popleft())
        sounding = [note for note in sounding if note.end > now]
        if sounding:
            edge = max(sounding, key=lambda note: note.pitch if top else -note.pitch)
            outermost[edge] += until - now
    return outermost


def transposed_song(song: Song, semitones: int) -> Song:
    """The song moved up by semitones as `Song.transposed` does, and its file and key too.

    Drums stay.
    """

    def move(_: int, events: list[TimedMessage]) -> list[TimedMessage]:
        for _, message in events:
            transpose(message, semitones)
        return events

    return with_midi(song.transposed(semitones), _changed(song.origin.midi, move))


def at_tempo(song: Song, bpm: float) -> Song:
    """The song at another tempo, and its file too, which then has no changes of tempo."""

    def set_tempo(index: int, events: list[TimedMessage]) -> list[TimedMessage]:
        others = [event for event in events if event[1].type != "set_tempo"]
        if index == 0:
            others.insert(0, (0, tempo_message(bpm)))
        return others

    report = ConversionReport(song.origin.report)
    del report["tempo_changes"]
    origin = replace(song.origin, midi=_changed(song.origin.midi, set_tempo), report=report)
    return replace(song, roll=replace(song.roll, tempo_bpm=bpm), origin=origin)


def midi_of(
    piece: Song | PianoRoll,
    *,
    programs: Sequence[int] = (),
    voices: int | None = None,
    drawn_name: str = "drawn",
) -> bytes:
    """The MIDI file of a piece, which `midi_bytes` writes if no model drew in a person's piece.

    If one did, it is that person's own file with the drawn notes in tracks of their own. The drawn
    notes are as loud as the notes around them, of a band those of the same part, and have channels
    of their own as far as some are free. Drums share theirs, and its program.

    Args:
        programs: those of the drawn notes, for each voice, or part with pitches. Without any, that
            of the tracks that the model heard, or the usual one of the part; a piano, if there is
            no file.
        voices: in how many tracks the drawn notes are divided. None: one for each program. A band
            takes none.
        drawn_name: the name of the track of the drawn notes; several are numbered, or have the name
            of their part.
    """
    song = as_song(piece)
    if song.roll.parts and voices is not None:
        raise LnfgenError(
            f"{counted(voices, 'voice')} of a band; expected none, because it has parts"
        )
    if not song.is_own_file:
        return midi_bytes(song.roll, programs=programs, voices=voices)
    return _with_drawn_notes(song, programs, voices, drawn_name)


def _with_drawn_notes(
    song: Song, programs: Sequence[int], voices: int | None, drawn_name: str
) -> bytes:
    """The song's own file, with the drawn notes in place of those that began there."""
    midi, ticks_per_step, all_played = _opened(song)
    heard = [played for played in all_played if played.track.kept]
    used = used_channels(midi)
    free = iter([channel for channel in _PITCHED if channel not in used])
    of_file = [played.channel for played in heard if played.channel != DRUMS_FROM_0]
    shared = of_file[0] if of_file else 0
    _take_out_drawn(midi, heard, song, ticks_per_step)
    end = max(round(song.roll.num_steps * ticks_per_step), last_tick(midi.tracks))
    for drawn in _drawn_tracks(song, programs, voices, drawn_name):
        sounds = _in_ticks(drawn.notes, ticks_per_step)
        channel = DRUMS_FROM_0 if drawn.part.role == DRUMS else next(free, shared)
        if channel in used and channel != DRUMS_FROM_0:
            sounds = apart(sounds, channel_notes(midi.tracks), channel)
        loudness = _loudness(heard, drawn.part, song.roll.upbeat, ticks_per_step)
        loud = [(start, stop, pitch, loudness(start)) for start, stop, pitch in sounds]
        # A program on a shared channel would change the instrument of its other tracks.
        program = None if channel in used else drawn.program
        events = voice_events(loud, channel, program, drawn.name)
        midi.tracks.append(track(in_order(events, end)))
    midi.type = 1
    return saved(midi)


def _take_out_drawn(
    midi: Any, heard: Sequence[_Played], song: Song, ticks_per_step: Fraction
) -> None:
    """Take the notes that begin where a model drew out of the tracks that it heard."""
    taken: dict[tuple[int, int], list[MidiNote]] = {}
    for own, key, notes in heard:
        taken[key] = [note for note in notes if _is_drawn(note, song, ticks_per_step, own)]
    take_out(midi, taken)


def _in_ticks(notes: Sequence[Note], ticks_per_step: Fraction) -> list[Sound]:
    sounds: list[Sound] = []
    for first, length, pitch in notes:
        start = round(first * ticks_per_step)
        end = round((first + length) * ticks_per_step)
        sounds.append((start, end, pitch))
    return sounds


def kept_tracks(song: Song) -> bytes:
    """The file of a song without the notes of the tracks that were not kept."""
    midi, _, all_played = _opened(song)
    taken = {played.key: played.notes for played in all_played if not played.track.kept}
    take_out(midi, taken)
    return saved(midi)


def file_parts(song: Song) -> Iterator[tuple[str, list[Note]]]:
    """The name of each track of the song's file, and its notes on the grid.

    Drums and notes in drawn places are left out, and tracks without other notes.
    """
    _, ticks_per_step, all_played = _opened(song)
    for own, _, played in all_played:
        if own.instrument == DRUMS:
            continue
        notes: list[Note] = []
        for note in played:
            if own.kept and _is_drawn(note, song, ticks_per_step, own):
                continue
            first = nearest(note.start / ticks_per_step)
            last = nearest(note.end / ticks_per_step)
            if first < song.roll.num_steps:
                notes.append((first, max(last - first, 1), note.pitch))
        if notes:
            yield own.name or own.instrument, notes


def drawn_parts(
    song: Song, voices: int = 1, name: str = "drawn", part: int = 0
) -> list[tuple[str, list[Note]]]:
    """The name and the notes of each of so many voices of the drawn notes of a part.

    Voices without notes are left out.
    """
    notes = [note for note in song.roll.notes(part) if song.was_drawn(note, part)]
    if voices == 1:
        return [(name, notes)] if notes else []
    alone = PianoRoll.from_notes(
        notes, num_steps=song.roll.num_steps, num_pitches=128, lowest_pitch=0
    )
    divided = enumerate(separate_voices(alone, voices), start=1)
    return [(f"{name} {number}", voice) for number, voice in divided if voice]


def _opened(song: Song) -> _Opened:
    """The song's file, which must be there."""
    assert song.origin.midi is not None
    midi = parsed(song.origin.midi)
    notes_of_tracks = channel_notes(midi.tracks).items()
    all_played: list[_Played] = []
    for own, (key, notes) in zip(song.origin.tracks, notes_of_tracks, strict=True):
        all_played.append(_Played(own, key, notes))
    ticks_per_step = ticks_per_quarter(midi) / song.roll.steps_per_quarter
    return _Opened(midi, ticks_per_step, all_played)


def _drawn_tracks(
    song: Song, programs: Sequence[int], voices: int | None, name: str
) -> Iterator[_Drawn]:
    """The tracks of drawn notes: of a band one for each part, else one for each voice."""
    parts = song.roll.parts
    if not parts:
        if not programs:
            kept = [own for own in song.origin.tracks if own.kept]
            longest = max(kept, key=lambda own: own.notes)
            programs = [longest.program or 0]
        divided = drawn_parts(song, voices or len(programs), name)
        for index, (title, notes) in enumerate(divided):
            program = programs[min(index, len(programs) - 1)]
            yield _Drawn(title, notes, program, Part(""))
        return
    own_programs = part_programs(parts, programs)
    for number, (part, program) in enumerate(zip(parts, own_programs, strict=True)):
        for title, notes in drawn_parts(song, 1, f"{name} {part.role}", number):
            yield _Drawn(title, notes, program, part)


def _is_drawn(note: MidiNote, song: Song, ticks_per_step: Fraction, own: Track) -> bool:
    """True if the note of this track begins where a model drew."""
    assert song.drawn is not None
    roles = song.roll.roles
    part = roles.index(own.role) if roles else 0
    step = nearest(note.start / ticks_per_step)
    return step < song.roll.num_steps and bool(song.drawn[step, part, note.pitch])


def _loudness(
    heard: Sequence[_Played], part: Part, upbeat: int, ticks_per_step: Fraction
) -> Callable[[int], int]:
    """The velocity at a tick: the mean of the notes of the part in the file that begin there.

    Elsewhere it lies between those of the notes before and after the tick. If the part has no notes
    in the file, it is the usual one at this place in a bar. The upbeat is in steps.
    """
    by_start = defaultdict[int, list[int]](list)
    for played in heard:
        if played.track.role == part.role:
            for note in played.notes:
                by_start[note.start].append(note.velocity)
    usual = part.velocities or (VELOCITY,)

    def in_bar(tick: int) -> int:
        step = round(tick / ticks_per_step)
        return usual[(step - upbeat) % len(usual)]

    if not by_start:
        return in_bar
    ticks = sorted(by_start)
    means = [fmean(by_start[tick]) for tick in ticks]

    def in_music(tick: int) -> int:
        return round(float(np.interp(tick, ticks, means)))

    return in_music


def _changed(
    content: bytes | None, change: Callable[[int, list[TimedMessage]], list[TimedMessage]]
) -> bytes | None:
    """A file of which each track, by its number from 0 on, has its messages changed."""
    if content is None:
        return None
    midi = parsed(content)
    for index, messages in enumerate(midi.tracks):
        midi.tracks[index] = track(change(index, timed(messages)))
    return saved(midi)
