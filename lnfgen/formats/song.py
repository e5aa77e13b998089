"""A person's own MIDI file: notes are taken out or moved, tracks are added, and the rest stays.

The functions work on the MIDI file in `Song.origin`. A note of the file is taken out where the step
at which the model hears it begin was drawn; see `lnfgen.formats.file_notes`. All other events keep
their ticks and their bytes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from lnfgen.errors import LnfgenError
from lnfgen.formats.drawn_notes import drawn_by_track, loudness
from lnfgen.formats.file_notes import OpenedFile, PlayedTrack, is_drawn, opened_file
from lnfgen.formats.messages import (
    DRUMS_FROM_0,
    PITCHED_FROM_0,
    PROGRAM,
    TEMPO,
    MidiNote,
    Sound,
    apart,
    channel_notes,
    instrument_events,
    last_tick,
    message_type,
    meta_type,
    new_track,
    take_out,
    tempo_event,
    transposed,
    used_channels,
    voice_events,
)
from lnfgen.formats.midi import midi_bytes, with_midi
from lnfgen.formats.midi_file import Event, TrackEvents, file_bytes, read_file
from lnfgen.music.conversion import ConversionReport
from lnfgen.music.notes import Note
from lnfgen.music.parts import Part, part_programs
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.separation import separate_voices
from lnfgen.music.song import Song, as_song
from lnfgen.music.tracks import DRUMS
from lnfgen.wording import counted


class _Drawn(NamedTuple):
    """A track of drawn notes."""

    name: str
    notes: list[Note]
    program: int | None  # None: that of the track
    part: Part  # its role is empty if the song is of no band
    track: PlayedTrack | None = None  # of the file, to which the notes belong


def transposed_song(song: Song, semitones: int) -> Song:
    """The song moved up by semitones as `Song.transposed` does, and its file and key too.

    Drums stay.
    """

    def moved(_: int, track: TrackEvents) -> TrackEvents:
        return [transposed(event, semitones) for event in track]

    return with_midi(song.transposed(semitones), _changed(song.origin.midi, moved))


def at_tempo(song: Song, bpm: float) -> Song:
    """The song at another tempo, and its file too, which then has no changes of tempo."""

    def with_tempo(index: int, track: TrackEvents) -> TrackEvents:
        others = [event for event in track if meta_type(event) != TEMPO]
        if index == 0:
            others.insert(0, tempo_event(0, bpm))
        return others

    report = ConversionReport(song.origin.report)
    del report["tempo_changes"]
    origin = replace(song.origin, midi=_changed(song.origin.midi, with_tempo), report=report)
    return replace(song, roll=replace(song.roll, tempo_bpm=bpm), origin=origin)


def midi_of(
    piece: Song | PianoRoll,
    *,
    programs: Sequence[int] = (),
    voices: int | None = None,
    drawn_name: str = "drawn",
) -> bytes:
    """The MIDI file of a piece, which `midi_bytes` writes if no model drew in a person's piece.

    If one did, it is that person's own file with the drawn notes in tracks of their own: one for
    each track of the file whose place they take (see `lnfgen.formats.drawn_notes`), with its
    instrument and its controllers, and as loud as its notes. They have channels of their own as far
    as some are free. Drums share theirs, and its program.

    Args:
        programs: those of the drawn notes, for each voice, or part with pitches, in place of the
            instruments of the file. Without a file it is a piano, or the usual one of the part.
        voices: in how many tracks the drawn notes are divided. None: one for each program, or for
            each track of the file. A band takes none.
        drawn_name: the name of the track of the drawn notes; several are numbered, or have the name
            of their part or of the file's track.
    """
    song = as_song(piece)
    if song.roll.parts and voices is not None:
        raise LnfgenError(
            f"{counted(voices, 'voice')} of a band; expected none, because it has parts"
        )
    if not song.is_own_file:
        return midi_bytes(
            song.roll,
            programs=programs,
            voices=voices,
            key=song.origin.key,
            chords=song.origin.chords,
        )
    return _with_drawn_notes(song, programs, voices, drawn_name)


def _with_drawn_notes(
    song: Song, programs: Sequence[int], voices: int | None, drawn_name: str
) -> bytes:
    """The song's own file, with the drawn notes in place of those that began there."""
    opened = opened_file(song)
    midi = opened.midi
    heard = opened.heard
    drawn_tracks = list(_drawn_tracks(song, opened, programs, voices, drawn_name))
    used = used_channels(midi)
    free = iter([channel for channel in PITCHED_FROM_0 if channel not in used])
    own_tracks = list(midi.tracks)
    _take_out_drawn(song, opened)
    end = max(round(song.roll.num_steps * opened.ticks_per_step), last_tick(midi.tracks))
    for drawn in drawn_tracks:
        own = heard if drawn.track is None else [drawn.track]
        sounds = _in_ticks(drawn.notes, opened)
        channel = _shared_channel(drawn, heard)
        if channel != DRUMS_FROM_0:
            channel = next(free, channel)
        if channel in used and channel != DRUMS_FROM_0:
            sounds = apart(sounds, channel_notes(midi.tracks), channel)
        of_part = [played for played in own if played.track.role == drawn.part.role]
        velocity = loudness(of_part, drawn.part, song, opened)
        loud = [(start, stop, pitch, velocity(start)) for start, stop, pitch in sounds]
        events = voice_events(loud, channel, None, drawn.name)
        # A program on a shared channel would change the instrument of its other tracks.
        if channel not in used:
            events += _instrument(drawn, own_tracks, channel)
        midi.add(new_track(events, end))
    return file_bytes(midi)


def _shared_channel(drawn: _Drawn, heard: Sequence[PlayedTrack]) -> int:
    """The channel of the file that drawn notes share if there is no free one. Drums share theirs.

    It is that of their track or, without one, of the first track with pitches.
    """
    if drawn.part.role == DRUMS:
        return DRUMS_FROM_0
    if drawn.track is not None:
        return drawn.track.channel
    pitched = [played.channel for played in heard if played.channel != DRUMS_FROM_0]
    return pitched[0] if pitched else 0


def _instrument(drawn: _Drawn, own_tracks: Sequence[TrackEvents], channel: int) -> list[Event]:
    """The events that set the instrument of drawn notes on a channel.

    They are those of the channel of the file's track, without its program if there is another.
    """
    events: list[Event] = []
    program = drawn.program
    if drawn.track is not None:
        events = instrument_events(own_tracks, drawn.track.channel, channel)
    has_program = any(message_type(event) == PROGRAM for event in events)
    if program is None and not has_program:
        program = 0
    if program is not None:
        others = [event for event in events if message_type(event) != PROGRAM]
        events = [*voice_events([], channel, program, None), *others]
    return events


def _take_out_drawn(song: Song, opened: OpenedFile) -> None:
    """Take the notes that begin where a model drew out of the tracks that it heard."""
    taken: dict[tuple[int, int], list[MidiNote]] = {}
    for own, key, notes in opened.heard:
        taken[key] = [note for note in notes if is_drawn(note, song, opened, own)]
    take_out(opened.midi, taken)


def _in_ticks(notes: Sequence[Note], opened: OpenedFile) -> list[Sound]:
    sounds: list[Sound] = []
    for first, length, pitch in notes:
        sounds.append((opened.tick(first), opened.tick(first + length), pitch))
    return sounds


def kept_tracks(song: Song) -> bytes:
    """The file of a song without the notes of the tracks that were not kept."""
    opened = opened_file(song)
    taken = {played.key: played.notes for played in opened.played if not played.track.kept}
    take_out(opened.midi, taken)
    return file_bytes(opened.midi)


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


def _drawn_tracks(
    song: Song, opened: OpenedFile, programs: Sequence[int], voices: int | None, name: str
) -> Iterator[_Drawn]:
    """The tracks of drawn notes.

    If programs or voices are asked for, they are one for each part of a band, or one for each
    voice; else one for each track of the file whose place they take.
    """
    parts = song.roll.parts
    if not programs and voices is None:
        for title, number, track, notes in drawn_by_track(song, opened, name):
            part = parts[number] if parts else Part("")
            program = part.program if track is None else None
            yield _Drawn(title, notes, program, part, track)
        return
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


def _changed(
    content: bytes | None, change: Callable[[int, TrackEvents], TrackEvents]
) -> bytes | None:
    """A file of which each track, by its number from 0 on, has its events changed."""
    if content is None:
        return None
    midi = read_file(content)
    midi.tracks = [change(index, track) for index, track in enumerate(midi.tracks)]
    return file_bytes(midi)
