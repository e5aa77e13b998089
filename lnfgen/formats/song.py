"""A person's own MIDI file: notes are taken out or moved, tracks are added, and the rest stays.

The functions work on the MIDI file in `Song.origin`. A note of the file is taken out where the step
at which the model hears it begin was drawn; see `lnfgen.formats.file_notes`. All other events keep
their ticks and their bytes.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from statistics import fmean
from typing import NamedTuple

import numpy as np

from lnfgen.errors import LnfgenError
from lnfgen.formats.file_notes import PlayedTrack, is_drawn, opened_file
from lnfgen.formats.messages import (
    DRUMS_FROM_0,
    PITCHED_FROM_0,
    TEMPO,
    MidiNote,
    Sound,
    apart,
    channel_notes,
    last_tick,
    meta_type,
    new_track,
    take_out,
    tempo_event,
    transposed,
    used_channels,
    voice_events,
)
from lnfgen.formats.midi import VELOCITY, midi_bytes, with_midi
from lnfgen.formats.midi_file import MidiFile, TrackEvents, file_bytes, read_file
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
    program: int
    part: Part  # its role is empty if the song is of no band


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
    midi, ticks_per_step, all_played = opened_file(song)
    heard = [played for played in all_played if played.track.kept]
    used = used_channels(midi)
    free = iter([channel for channel in PITCHED_FROM_0 if channel not in used])
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
        midi.add(new_track(events, end))
    return file_bytes(midi)


def _take_out_drawn(
    midi: MidiFile, heard: Sequence[PlayedTrack], song: Song, ticks_per_step: Fraction
) -> None:
    """Take the notes that begin where a model drew out of the tracks that it heard."""
    taken: dict[tuple[int, int], list[MidiNote]] = {}
    for own, key, notes in heard:
        taken[key] = [note for note in notes if is_drawn(note, song, ticks_per_step, own)]
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
    midi, _, all_played = opened_file(song)
    taken = {played.key: played.notes for played in all_played if not played.track.kept}
    take_out(midi, taken)
    return file_bytes(midi)


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


def _loudness(
    heard: Sequence[PlayedTrack], part: Part, upbeat: int, ticks_per_step: Fraction
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
    content: bytes | None, change: Callable[[int, TrackEvents], TrackEvents]
) -> bytes | None:
    """A file of which each track, by its number from 0 on, has its events changed."""
    if content is None:
        return None
    midi = read_file(content)
    midi.tracks = [change(index, track) for index, track in enumerate(midi.tracks)]
    return file_bytes(midi)
