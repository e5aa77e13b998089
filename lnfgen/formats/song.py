"""A person's own MIDI file: notes are taken out or moved, and tracks are added; every other event
stays as it was.

The functions work on the `song` of a piano-roll, which is the content of a MIDI file. A model hears
the notes of the kept tracks of `PianoRoll.tracks` on its grid, and draws some anew. A note of the
file is taken out where the step at which the model hears it begin was drawn. So a note belongs to a
bar even if it is played a little before its line.
"""

import itertools
import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from operator import itemgetter
from statistics import fmean
from typing import Any

import mido
import numpy as np

from lnfgen.errors import LnfgenError
from lnfgen.formats.events import Events, nearest
from lnfgen.formats.midi import (
    KEY_SIGNATURE,
    TICKS_PER_QUARTER,
    VELOCITY,
    MidiNote,
    channel_notes,
    in_order,
    metre_message,
    midi_bytes,
    parsed,
    saved,
    tempo_message,
    ticks_per_quarter,
    timed,
    track,
    track_events,
    upbeat_signature,
    voice_events,
)
from lnfgen.music.parts import Part, part_programs
from lnfgen.music.pianoroll import Losses, Note, PianoRoll, bar_length, is_time_signature
from lnfgen.music.separation import separate_voices
from lnfgen.music.tracks import DRUM_CHANNEL, DRUMS, Track
from lnfgen.wording import counted

_MOST_TICKS = 0x7FFF  # to a quarter, in the header of a MIDI file
_DRUMS = DRUM_CHANNEL - 1  # the channels of messages are counted from 0


def song_of(events: Events, roll: PianoRoll) -> bytes | None:
    """The MIDI file that a score becomes, with a track for each part, its tempos and its time
    signatures.

    The roll is that of the score, and knows its upbeat, which `midi_bytes` writes in the same way.
    Times are exact where the file's header has a number of ticks for them. A score with notes
    beyond the keys of MIDI becomes none.
    """
    if any(not 0 <= pitch < 128 for _, notes in events.tracks for _, _, pitch in notes):
        return None
    times = [time for _, notes in events.tracks for start, end, _ in notes for time in (start, end)]
    exact = math.lcm(TICKS_PER_QUARTER, *(Fraction(time).denominator for time in times))
    quarter = exact if exact <= _MOST_TICKS and exact * events.end < 1 << 28 else TICKS_PER_QUARTER

    def tick(time: Any) -> int:
        return round(time * quarter)

    tempos = [(tick(time), tempo_message(bpm)) for time, bpm in events.tempos]
    metres = [
        (time, signature) for time, signature in events.signatures if is_time_signature(signature)
    ]
    if upbeat := upbeat_signature(roll):
        line = Fraction(roll.upbeat, roll.steps_per_quarter)
        metres = [
            (max(time, line), signature) for time, signature in metres or [(0, roll.time_signature)]
        ]
        metres.insert(0, (0, upbeat))
    tracks = [tempos + [(tick(time), metre_message(signature)) for time, signature in metres]]
    channels = [channel for channel in range(16) if channel != _DRUMS]
    for index, (part, notes) in enumerate(events.tracks):
        channel = channels[index % len(channels)]
        sounds = [(tick(start), tick(end), pitch, VELOCITY) for start, end, pitch in notes]
        tracks.append(voice_events(sounds, channel, part.program, part.name))
    file = mido.MidiFile(type=1, ticks_per_beat=quarter)
    file.tracks += [track(in_order(messages, tick(events.end))) for messages in tracks]
    return saved(file)


def file_bars(roll: PianoRoll) -> dict[int, int]:
    """The step where each bar of the roll's file starts, by its number, through all changes of the
    time signature.

    Bars are numbered as in `PianoRoll.bars`, which knows one time signature alone and answers for a
    roll of no file.
    """
    if roll.song is None:
        return roll.bars()
    midi = parsed(roll.song)
    quarter = ticks_per_quarter(midi)
    end = Fraction(roll.num_steps, roll.steps_per_quarter) * quarter
    signatures = sorted(track_events(midi.tracks).signatures, key=itemgetter(0))
    changes = {0: (4, 4)} | {
        tick: signature for tick, signature in signatures if is_time_signature(signature)
    }
    lines: list[Fraction] = []
    for (line, signature), (until, _) in itertools.pairwise([*changes.items(), (end, (4, 4))]):
        bar = bar_length(signature, 1) * quarter
        lines += [line + index * bar for index in range(math.ceil((min(until, end) - line) / bar))]
    step = quarter / roll.steps_per_quarter * roll.stride
    steps = sorted(
        {min(nearest(line / step) * roll.stride, roll.num_steps - roll.stride) for line in lines}
    )
    return dict(enumerate(steps, start=0 if roll.upbeat else 1))


def file_line(roll: PianoRoll, top: bool, role: str = "") -> np.ndarray:
    """The cells bool [T, 128] of the notes of the file's kept tracks that are its highest line, or
    its lowest one.

    Of a band, these are the tracks with the role. A note is of that line if no other one is beyond
    it for half of its time or more. On the grid, two notes of a fast line may fall on one step, and
    one that is played legato may sound into the next.
    """
    line = np.zeros((roll.num_steps, 128), dtype=np.bool_)
    if roll.song is None:
        return line
    _, step, parts = _opened(roll)
    notes = sorted(
        note for part, _, own in parts if part.kept and role in ("", part.role) for note in own
    )
    number = roll.roles.index(role) if role else None
    outermost = Counter[MidiNote]()  # the time for which each note is
    waiting, sounding = deque(notes), list[MidiNote]()
    for now, until in itertools.pairwise(sorted({tick for note in notes for tick in note[:2]})):
        while waiting and waiting[0].start <= now:
            sounding.append(waiting.popleft())
        sounding = [note for note in sounding if note.end > now]
        if sounding:
            outermost[max(sounding, key=lambda note: note.pitch if top else -note.pitch)] += (
                until - now
            )
    for note in notes:
        if 2 * outermost[note] >= note.end - note.start:
            first = nearest(note.start / step)
            line[number :: roll.stride][
                first : max(nearest(note.end / step), first + 1), note.pitch
            ] = True
    return line


def transposed(roll: PianoRoll, semitones: int) -> PianoRoll:
    """The roll moved up by semitones as `PianoRoll.transposed` does, and its file and key too, but
    for the drums."""

    def move(messages: Any) -> Iterator[tuple[int, Any]]:
        for tick, message in timed(messages):
            if hasattr(message, "note") and message.channel != _DRUMS:
                # the roll may not have it; octaves keep it on the keys of MIDI
                note = message.note + semitones
                message.note = note if 0 <= note < 128 else note % 12 + 108 * (note > 0)
            elif getattr(message, "type_byte", None) == KEY_SIGNATURE and len(message.data) == 2:
                sharps = (message.data[0] + 128) % 256 - 128  # flats are below 0
                message.data = (((sharps + 7 * semitones + 6) % 12 - 6) % 256, message.data[1])
            yield tick, message

    return replace(roll.transposed(semitones), song=_changed(roll.song, move))


def at_tempo(roll: PianoRoll, bpm: float) -> PianoRoll:
    """The roll at another tempo, and its file too, which then has no changes of tempo."""
    tempos = iter([(0, tempo_message(bpm))])  # the first track begins with it

    def set_tempo(messages: Any) -> Iterator[tuple[int, Any]]:
        yield from tempos
        yield from (event for event in timed(messages) if event[1].type != "set_tempo")

    losses = roll.losses - Losses(tempo_changes=roll.losses["tempo_changes"])
    return replace(roll, tempo_bpm=bpm, losses=losses, song=_changed(roll.song, set_tempo))


def midi_of(
    roll: PianoRoll,
    *,
    programs: Sequence[int] = (),
    voices: int | None = None,
    drawn_name: str = "drawn",
) -> bytes:
    """The MIDI file of a roll: of a person's piece with drawn notes, their own file with these;
    else `midi_bytes`.

    The drawn notes are as loud as the notes around them, of a band those of the same part, and have
    channels of their own as far as some are free. Drums share theirs, and its program.

    Args:
        programs: those of the drawn notes, for each voice, or part with pitches. Without any, that
            of the tracks that the model heard, or the usual one of the part; a piano, if there is
            no file.
        voices: in how many tracks the drawn notes are divided. None: one for each program. A band
            takes none.
        drawn_name: the name of the track of the drawn notes; several are numbered, or have the name
            of their part.
    """
    if roll.parts and voices is not None:
        raise LnfgenError(
            f"{counted(voices, 'voice')} of a band; expected none, because it has parts"
        )
    if not roll.is_own_file:
        return midi_bytes(roll, programs=programs, voices=voices)
    midi, step, parts = _opened(roll)
    heard = [(part, key, notes) for part, key, notes in parts if part.kept]
    used = {
        message.channel
        for messages in midi.tracks
        for message in messages
        if hasattr(message, "channel")
    }
    free = iter([channel for channel in range(16) if channel not in used | {_DRUMS}])
    shared = next((channel for _, (_, channel), _ in heard if channel != _DRUMS), 0)
    _take_out(
        midi,
        {
            key: [note for note in notes if _is_drawn(note, roll, step, part)]
            for part, key, notes in heard
        },
    )
    end = round(roll.num_steps // roll.stride * step)
    end = max(end, *(sum(message.time for message in messages) for messages in midi.tracks))
    for title, notes, number, part in _drawn_tracks(roll, programs, voices, drawn_name):
        ticks = [
            (round(first * step), round((first + length) * step), pitch)
            for first, length, pitch in notes
        ]
        channel = _DRUMS if part.role == DRUMS else next(free, shared)
        if channel in used and channel != _DRUMS:
            ticks = [*_apart(ticks, channel_notes(midi.tracks), channel)]
        around = [note for track, _, own in heard if track.role == part.role for note in own]
        loudness = _loudness(around, part, roll, step)
        sounds = [(*note, loudness(note[0])) for note in ticks]
        # A program on a shared channel would change the instrument of its other tracks.
        events = voice_events(sounds, channel, None if channel in used else number, title)
        midi.tracks.append(track(in_order(events, end)))
    midi.type = 1
    return saved(midi)


def kept_tracks(roll: PianoRoll) -> bytes:
    """The file of a roll without the notes of the tracks that were not kept."""
    midi, _, parts = _opened(roll)
    _take_out(midi, {key: notes for part, key, notes in parts if not part.kept})
    return saved(midi)


def file_parts(roll: PianoRoll) -> Iterator[tuple[str, list[Note]]]:
    """The name of each track of the roll's file and its notes on the grid, without drums and notes
    in drawn places.

    Tracks without such notes are left out.
    """
    _, step, parts = _opened(roll)
    for part, _, notes in parts:
        left = [note for note in notes if not (part.kept and _is_drawn(note, roll, step, part))]
        steps = [
            (nearest(note.start / step), nearest(note.end / step), note.pitch) for note in left
        ]
        steps = [note for note in steps if note[0] < roll.num_steps]
        if steps and part.instrument != DRUMS:
            yield (
                part.name or part.instrument,
                [(first, max(last - first, 1), pitch) for first, last, pitch in steps],
            )


def drawn_parts(
    roll: PianoRoll, voices: int = 1, name: str = "drawn"
) -> list[tuple[str, list[Note]]]:
    """The name and the notes of each of so many voices of drawn notes; voices without notes are
    left out."""
    notes = [note for note in roll.notes() if roll.was_drawn(note)]
    if voices == 1:
        return [(name, notes)] if notes else []
    alone = PianoRoll.from_notes(notes, num_steps=roll.num_steps, num_pitches=128, lowest_pitch=0)
    parts = enumerate(separate_voices(alone, voices), start=1)
    return [(f"{name} {number}", part) for number, part in parts if part]


def _opened(
    roll: PianoRoll,
) -> tuple[Any, Fraction, list[tuple[Track, tuple[int, int], list[MidiNote]]]]:
    """The roll's file as mido has it, the ticks of a step, and each track with its key in
    `channel_notes` and notes."""
    assert roll.song is not None
    midi = parsed(roll.song)
    played = channel_notes(midi.tracks).items()
    parts = [(part, key, notes) for part, (key, notes) in zip(roll.tracks, played, strict=True)]
    return midi, ticks_per_quarter(midi) * roll.stride / roll.steps_per_quarter, parts


def _drawn_tracks(
    roll: PianoRoll, programs: Sequence[int], voices: int | None, name: str
) -> Iterator[tuple[str, list[Note], int, Part]]:
    """The name, the notes, the program and the part of each track of drawn notes; without parts,
    one without a role."""
    if not roll.parts:
        programs = programs or [
            max((one for one in roll.tracks if one.kept), key=lambda one: one.notes).program or 0
        ]
        for index, (title, notes) in enumerate(drawn_parts(roll, voices or len(programs), name)):
            yield title, notes, programs[min(index, len(programs) - 1)], Part("")
    for number, (part, own) in enumerate(
        zip(roll.parts, part_programs(roll.parts, programs), strict=True)
    ):
        for title, notes in drawn_parts(roll.part(number), 1, f"{name} {part.role}"):
            yield title, notes, own, part


def _take_out(midi: Any, taken: Mapping[tuple[int, int], Sequence[MidiNote]]) -> None:
    """Take notes, by their track and channel, out of a file of mido."""
    gone = {
        (index, place)
        for (index, _), notes in taken.items()
        for note in notes
        for place in (note.on, note.off)
    }
    for index, messages in enumerate(midi.tracks):
        midi.tracks[index] = track(
            event for place, event in enumerate(timed(messages)) if (index, place) not in gone
        )


def _is_drawn(note: MidiNote, roll: PianoRoll, step: Fraction, part: Track) -> bool:
    """True if the note of this track begins where a model drew. The ticks of a step give its place
    on the grid."""
    row = nearest(note.start / step) * roll.stride + (
        roll.roles.index(part.role) if roll.parts else 0
    )
    return row < roll.num_steps and bool(roll.drawn[row, note.pitch])  # type: ignore[index]


def _apart(
    notes: Sequence[Note], written: Mapping[Any, Sequence[MidiNote]], channel: int
) -> Iterator[Note]:
    """Notes (start, end, pitch) without the time of those written on the channel: a release ends
    both of one key."""
    for start, end, pitch in notes:
        near = [
            note
            for key, own in written.items()
            if key[1] == channel
            for note in own
            if note.pitch == pitch
        ]
        begin = max([start, *(note.end for note in near if note.start <= start)])
        # at one tick, theirs come first
        end = min([end, *(note.start - 1 for note in near if note.start > start)])
        if begin < end:
            yield begin, end, pitch


def _loudness(
    notes: Sequence[MidiNote], part: Part, roll: PianoRoll, step: Fraction
) -> Callable[[int], int]:
    """The velocity at a tick: the mean of the notes that begin there, or between the notes before
    and after it.

    If there are none, it is that of the part at this place in a bar.
    """
    if not notes:
        usual, upbeat = part.velocities or (VELOCITY,), roll.upbeat // roll.stride
        return lambda tick: usual[(round(tick / step) - upbeat) % len(usual)]
    by_start: dict[int, list[int]] = {}
    for note in notes:
        by_start.setdefault(note.start, []).append(note.velocity)
    ticks = sorted(by_start)
    means = [fmean(by_start[tick]) for tick in ticks]
    return lambda tick: round(float(np.interp(tick, ticks, means)))


def _changed(
    content: bytes | None, change: Callable[[Any], Iterator[tuple[int, Any]]]
) -> bytes | None:
    if content is None:
        return None
    midi = parsed(content)
    midi.tracks[:] = [track(change(messages)) for messages in midi.tracks]
    return saved(midi)
