"""Read songs from standard MIDI files, and write piano-rolls as such files."""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from lnfgen.errors import LnfgenError, UnreadableFileError, unreadable
from lnfgen.formats.events import Events, with_choice
from lnfgen.formats.markers import chords_of_markers, marker_events
from lnfgen.formats.messages import (
    CONTROL,
    DRUMS_FROM_0,
    KEY_SIGNATURE,
    PITCH_WHEEL,
    PITCHED_FROM_0,
    PROGRAM,
    TEMPO,
    TIME_SIGNATURE,
    TRACK_NAME,
    bend_of,
    bpm_of,
    channel_notes,
    key_signature_event,
    key_signature_of,
    last_tick,
    message_type,
    meta_type,
    new_track,
    tempo_event,
    text_of,
    ticks_per_quarter,
    time_signature_event,
    time_signature_of,
    voice_events,
)
from lnfgen.formats.midi_file import Event, MidiFile, TrackEvents, file_bytes, new_file, read_file
from lnfgen.music.chart import ChordChange
from lnfgen.music.conversion import ConversionReport
from lnfgen.music.key_signature import KeySignature, signature_for
from lnfgen.music.notes import Note
from lnfgen.music.parts import part_programs
from lnfgen.music.pianoroll import STEPS_PER_QUARTER, PianoRoll
from lnfgen.music.separation import separate_voices, voice_names
from lnfgen.music.song import Song
from lnfgen.music.time_signature import bar_length, is_time_signature
from lnfgen.music.tracks import ALL, DRUMS, Track
from lnfgen.wording import counted

VELOCITY = 80  # of the notes of rolls and scores: mezzo-forte; a roll has no dynamics
TICKS_PER_QUARTER = 480  # about so many, in the files that are written
_MOST_TICKS = 0x7FFF  # to a quarter, in the header of a MIDI file
_LONGEST_TIME = 1 << 28  # ticks between two events of a MIDI file are fewer than these
SUSTAIN_PEDAL = 64  # the number of its controller
_Value = TypeVar("_Value")


def read_midi(
    content: bytes,
    name: str = "-",
    *,
    steps_per_quarter: int = STEPS_PER_QUARTER,
    tracks: str = ALL,
    roles: Sequence[str] = (),
) -> list[Song]:
    """The songs of a MIDI file: one, or in a file of format 2 one for each track with notes.

    `Events.song` makes them; where times are in seconds (SMPTE), the tempo is 120. If a key is
    struck again before it is released (in one channel of a track), the first release belongs to the
    first strike. A key that is never released sounds to the end of its track. Control changes, the
    pedal among them, are left out.

    Args:
        name: stands for the file in errors.
        tracks: the tracks to keep, as `choose_tracks` takes them. They are merged into one
            piano-roll.
        roles: the parts of a band that the songs have, one or more of `ROLES`; then `tracks` is
            taken by `in_roles`.

    Raises:
        UnreadableFileError: if the bytes are no MIDI file, are cut or damaged, hold no notes or
            none of those tracks, or last over `MAX_STEPS`.
    """
    midi = read_file(content, name)
    with unreadable(f"{name} is a damaged MIDI file", "expected well-formed settings"):
        pieces = _pieces_of(midi)
    every: list[Track] = []
    for piece in pieces:
        every.extend(own for own, _ in piece.tracks)
    if not every and not any(piece.end for piece in pieces):
        raise UnreadableFileError(f"{name} is a MIDI file without notes; expected at least one")
    chosen = with_choice(every, tracks, roles, name)
    quarter = ticks_per_quarter(midi, name)
    songs: list[Song] = []
    total_steps = 0
    for piece in _with_kept_tracks(pieces, chosen):
        if midi.division < 0:  # the times are in seconds, so that no tempo counts
            piece.tempos.clear()
        _set_first_bar_line(piece, quarter)
        song = piece.song(chosen, roles, quarter, steps_per_quarter, name, total_steps)
        songs.append(song)
        total_steps += song.roll.num_steps
    if len(pieces) == 1:
        return [with_midi(songs[0], content)]
    return songs


def with_midi(song: Song, content: bytes | None) -> Song:
    """The song with this MIDI file as the one that it was read from."""
    return replace(song, origin=replace(song.origin, midi=content))


def _pieces_of(midi: MidiFile) -> list[Events]:
    """The pieces in a file. Their tracks are numbered through the whole file."""
    groups = [midi.tracks]
    if midi.kind == 2:  # then each track is a piece
        groups = [[one] for one in midi.tracks]
    pieces: list[Events] = []
    num_tracks = 0
    for group in groups:
        piece = track_events(group, num_tracks)
        num_tracks += len(piece.tracks)
        pieces.append(piece)
    return pieces


def _with_kept_tracks(pieces: list[Events], chosen: Sequence[Track]) -> list[Events]:
    """The pieces with a track that is kept; the first piece if there are none."""
    numbers = {one.number for one in chosen if one.kept}
    found: list[Events] = []
    for piece in pieces:
        if any(own.number in numbers for own, _ in piece.tracks):
            found.append(piece)
    return found or pieces[:1]


def _set_first_bar_line(piece: Events, quarter: Fraction) -> None:
    """Set the line after the first bar.

    An upbeat is a first bar with a time signature of its own: MIDI has no other word for it.
    """
    at_start = [signature for tick, signature in piece.signatures if tick == 0]
    if at_start:
        piece.lines = [bar_length(at_start[-1], 1) * quarter]


def midi_bytes(
    roll: PianoRoll,
    *,
    programs: Sequence[int] = (),
    voices: int | None = None,
    key: KeySignature | None = None,
    chords: Sequence[ChordChange] = (),
) -> bytes:
    """A MIDI file: tempo, time signature and programs, and the notes. Silence at both ends is kept.

    `read_midi` gives the same keys again, with the onsets of `roll.struck()`. An upbeat has a time
    signature of its own, as 1/4 before 3/4. The upbeat is not written if no time signature has its
    length (a triplet, for instance), or if the rest of the piece is no longer than it, because
    readers take the time signature that lasts longest.

    Args:
        programs: the General MIDI program (instrument), 0 (piano) to 127, of each voice from the
            highest one down. The last one holds for the voices below too. Without any, it is a
            piano, or the programs of a band's parts, each of which has a track and a channel.
        voices: with a number, `separate_voices` divides the notes among so many voices, and the
            file has format 1 with a track and a channel for each. With None it has a voice for each
            program; one track if there is only one.
        key: the key signature, if there is one.
        chords: they become markers, which `read_midi` reads again.

    Raises:
        LnfgenError: for voices out of range, or fewer voices than programs.
    """
    if voices is None and len(programs) > 1 and not roll.parts:
        voices = len(programs)
    _require_a_voice_for_each(programs, roll, voices)
    if roll.parts:
        tracks = _band_tracks(roll, programs)
    else:
        tracks = _voice_tracks(roll, programs or [0], voices)
    ticks_per_step = max(1, TICKS_PER_QUARTER // roll.steps_per_quarter)
    head = _head_events(roll, key, ticks_per_step)
    ticks = ticks_per_step * roll.steps_per_quarter
    if chords:
        head += marker_events(chords, ticks, signature_for(roll, key).sharps)
    sounding = [_voice_events(one, roll.upbeat, ticks_per_step) for one in tracks]
    kind = 1
    all_events = [head, *sounding]
    if voices is None and not roll.parts:
        kind = 0
        all_events = [head + sounding[0]]
    end = roll.num_steps * ticks_per_step
    return file_bytes(new_file(kind, ticks, [new_track(events, end) for events in all_events]))


class _Voice(NamedTuple):
    """A track of the file that `midi_bytes` writes."""

    name: str | None
    channel: int  # from 0 on
    program: int
    notes: list[Note]
    velocities: tuple[int, ...]  # at each step of a bar; these are repeated


def _require_a_voice_for_each(programs: Sequence[int], roll: PianoRoll, voices: int | None) -> None:
    """Raise an `LnfgenError` if there are more programs than voices, or than parts with pitches."""
    pitched = sum(part.role != DRUMS for part in roll.parts)
    most = pitched or voices or 1
    if len(programs) > most:
        raise LnfgenError(
            f"{len(programs)} programs, {counted(most, 'voice')}; expected at most one for each"
        )


def _voice_tracks(roll: PianoRoll, programs: Sequence[int], voices: int | None) -> list[_Voice]:
    """The notes in one track without a name, or divided among so many voices."""
    if voices is None:
        return [_Voice(None, 0, programs[0], roll.notes(), (VELOCITY,))]
    divided = separate_voices(roll, voices)
    names = voice_names(voices)
    tracks: list[_Voice] = []
    for channel, (name, notes) in enumerate(zip(names, divided, strict=True)):
        program = programs[min(channel, len(programs) - 1)]
        tracks.append(_Voice(name, channel, program, notes, (VELOCITY,)))
    return tracks


def _band_tracks(roll: PianoRoll, programs: Sequence[int]) -> list[_Voice]:
    """The parts of a band, as loud at each place of the bar as these are in its music."""
    tracks: list[_Voice] = []
    own_programs = part_programs(roll.parts, programs)
    for number, (part, program) in enumerate(zip(roll.parts, own_programs, strict=True)):
        name = part.role.capitalize()
        channel = DRUMS_FROM_0 if part.role == DRUMS else number
        notes = roll.notes(number)
        velocities = part.velocities or (VELOCITY,)
        tracks.append(_Voice(name, channel, program, notes, velocities))
    return tracks


def _head_events(roll: PianoRoll, key: KeySignature | None, ticks_per_step: int) -> list[Event]:
    """The tempo, the time signatures and the key signature of a roll."""
    upbeat = upbeat_signature(roll)
    signatures = {0: roll.time_signature}
    if upbeat:
        first_line = roll.upbeat * ticks_per_step
        signatures = {0: upbeat, first_line: roll.time_signature}
    events = [tempo_event(0, roll.tempo_bpm)]
    for tick, signature in signatures.items():
        events.append(time_signature_event(tick, signature))
    if key is not None:
        events.append(key_signature_event(0, key))
    return events


def _voice_events(voice: _Voice, upbeat: int, ticks_per_step: int) -> list[Event]:
    """The events of a voice; the upbeat is in steps."""
    sounds: list[tuple[int, int, int, int]] = []
    for start, length, pitch in voice.notes:
        velocity = voice.velocities[(start - upbeat) % len(voice.velocities)]
        end = start + length
        sounds.append((start * ticks_per_step, end * ticks_per_step, pitch, velocity))
    return voice_events(sounds, voice.channel, voice.program, voice.name)


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

    head = [tempo_event(tick(time), bpm) for time, bpm in events.tempos]
    for time, signature in _signatures_with_upbeat(events, roll):
        head.append(time_signature_event(tick(time), signature))
    for time, key in events.keys:
        head.append(key_signature_event(tick(time), key))
    voices = [head]
    for index, (own, notes) in enumerate(events.tracks):
        channel = PITCHED_FROM_0[index % len(PITCHED_FROM_0)]
        sounds = [(tick(start), tick(end), pitch, VELOCITY) for start, end, pitch in notes]
        voices.append(voice_events(sounds, channel, own.program, own.name))
    end = tick(events.end)
    return file_bytes(new_file(1, ticks, [new_track(voice, end) for voice in voices]))


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


def upbeat_signature(roll: PianoRoll) -> tuple[int, int] | None:
    """The time signature of a bar as long as the upbeat, if `midi_bytes` writes one.

    It is None without an upbeat, and where the limits that `midi_bytes` names forbid one.
    """
    whole_notes = Fraction(roll.upbeat, 4 * roll.steps_per_quarter)
    unit = max(roll.time_signature[1], whole_notes.denominator)
    beats = whole_notes * unit
    if beats.denominator != 1:
        return None
    signature = (int(beats), unit)
    is_shorter = 2 * roll.upbeat < roll.num_steps
    return signature if is_shorter and is_time_signature(signature) else None


def track_events(tracks: Sequence[TrackEvents], after: int = 0) -> Events:
    """The events in tracks of a MIDI file. Tracks with notes get numbers from `after` + 1 on.

    A `ValueError` says which setting is too short.
    """
    events = Events()
    for track in tracks:
        events.tempos += _settings(track, TEMPO, bpm_of)
        events.signatures += _settings(track, TIME_SIGNATURE, time_signature_of)
        events.keys += _settings(track, KEY_SIGNATURE, key_signature_of)
    events.chords = chords_of_markers(tracks)
    events.end = last_tick(tracks)
    programs = _programs_by_channel(tracks)
    lost = [_bends_and_pedals(track) for track in tracks]
    names = [_name_of_track(track) for track in tracks]
    for (index, channel), notes in channel_notes(tracks).items():
        start = min(note.start for note in notes)
        program = _program_at(start, programs[channel])
        played = [(note.start, note.end, note.pitch) for note in notes]
        number = events.add(played, names[index], program, channel + 1, after)
        events.velocities[number] = [(note.start, note.velocity) for note in notes]
        by_start = sorted(events.velocities[number], key=itemgetter(0))
        report = lost[index][channel]
        report["velocity_changes"] = _times_changed([velocity for _, velocity in by_start])
        events.lost[number] = report
    return events


def _name_of_track(track: TrackEvents) -> str:
    """The first name of a track; empty without one."""
    for event in track:
        if meta_type(event) == TRACK_NAME:
            return text_of(event)
    return ""


def _programs_by_channel(
    tracks: Sequence[TrackEvents],
) -> defaultdict[int, list[tuple[int, int]]]:
    """(tick, program) of each change in a channel, which tracks share, in the order of time."""
    programs = defaultdict[int, list[tuple[int, int]]](list)
    for track in tracks:
        for event in track:
            if message_type(event) == PROGRAM:
                programs[event.status & 0xF].append((event.tick, event.data[0]))
    for changes in programs.values():
        changes.sort(key=itemgetter(0))
    return programs


def _settings(
    track: TrackEvents, kind: int, value_of: Callable[[Event], _Value | None]
) -> list[tuple[int, _Value]]:
    """(tick, value) of each meta event of a kind, where it has a value."""
    found: list[tuple[int, _Value]] = []
    for event in track:
        if meta_type(event) == kind:
            value = value_of(event)
            if value is not None:
                found.append((event.tick, value))
    return found


def _bends_and_pedals(track: TrackEvents) -> defaultdict[int, ConversionReport]:
    """How often the pitch wheel and the pedal of each channel change in one track."""
    bends = defaultdict[int, list[int]](list)
    pedals = defaultdict[int, list[bool]](list)
    for event in track:
        channel = event.status & 0xF
        kind = message_type(event)
        if kind == PITCH_WHEEL:
            bends[channel].append(bend_of(event))
        elif kind == CONTROL and event.data[0] == SUSTAIN_PEDAL:
            is_down = event.data[1] >= 64
            pedals[channel].append(is_down)
    reports = defaultdict[int, ConversionReport](ConversionReport)
    for channel, pitches in bends.items():
        reports[channel]["bend_changes"] = _times_changed([0, *pitches])
    for channel, are_down in pedals.items():
        reports[channel]["pedal_changes"] = _times_changed([False, *are_down])
    return reports


def _times_changed(values: Sequence[int]) -> int:
    """How many values differ from the one before."""
    return sum(one != other for one, other in itertools.pairwise(values))


def _program_at(tick: int, changes: Sequence[tuple[int, int]]) -> int:
    """The program that a channel has at a tick. Changes are in order of time.

    Before the first change it is a piano.
    """
    program = 0
    for start, changed in changes:
        if start <= tick:
            program = changed
    return program
