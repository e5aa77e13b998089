"""Read and write standard MIDI files as piano-rolls, with mido as parser and writer.

Source: Standard MIDI-File Format Spec. 1.1 (MIDI Manufacturers Association, RP-001).
"""

from __future__ import annotations

import bisect
import contextlib
import io
import struct
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from operator import itemgetter
from typing import Any

import mido
from mido.midifiles.meta import MetaSpec_key_signature, add_meta_spec

from lnfgen.errors import LnfgenError, UnreadableFileError, unreadable
from lnfgen.formats.events import DEFAULT_BPM, Events
from lnfgen.music.pianoroll import (
    MAX_BPM,
    MIN_BPM,
    STEPS_PER_QUARTER,
    Losses,
    Note,
    PianoRoll,
    bar_length,
    is_time_signature,
)
from lnfgen.music.separation import separate_voices, voice_names
from lnfgen.music.tracks import ALL, Track, choose_tracks
from lnfgen.wording import counted

VELOCITY = 80  # of all notes that are written: mezzo-forte; a roll has no dynamics
SUSTAIN_PEDAL = 64  # the number of its controller
_TARGET_TICKS_PER_QUARTER = 480


def read_midi(
    content: bytes,
    name: str = "-",
    *,
    steps_per_quarter: int = STEPS_PER_QUARTER,
    drums: bool = False,
    tracks: str = ALL,
) -> list[PianoRoll]:
    """The piano-rolls of a MIDI file: one, or in a file of format 2 one for each track with notes.

    Times are rounded to the nearest step, and a note lasts at least one step. The roll has the tempo and the time
    signature that last longest (see `lnfgen.formats.events`); where times are in seconds (SMPTE), its tempo is 120. If
    a key is struck again before it is released (in one channel of a track), the first release belongs to the first
    strike. A key that is never released sounds to the end of its track. Control changes, the pedal among them, are left
    out.

    Args:
        name: stands for the file in errors.
        drums: keep the notes of the drum channel.
        tracks: the tracks to keep, as `choose_tracks` takes them. They are merged into one piano-roll, whose `tracks`
            list all tracks.

    Raises:
        UnreadableFileError: if the bytes are no MIDI file, are cut or damaged, hold no notes or none of those tracks,
            or last over `MAX_STEPS`.
    """
    sound = _checked(content, name)
    with unreadable(f"{name} is a damaged MIDI file", "expected well-formed tracks"), _with_any_key_signature():
        midi = mido.MidiFile(file=io.BytesIO(sound))
    groups = [[track] for track in midi.tracks] if midi.type == 2 else [midi.tracks]
    pieces: list[Events] = []
    every: list[Track] = []
    for group in groups:
        pieces.append(_events(group, len(every)))
        every += [track for track, _ in pieces[-1].tracks]
    if not every and not any(piece.end for piece in pieces):
        raise UnreadableFileError(f"{name} is a MIDI file without notes; expected at least one")
    chosen = choose_tracks(every, tracks, drums, name) if every else set()
    kept = [piece for piece in pieces if any(track.number in chosen for track, _ in piece.tracks)] or pieces[:1]
    quarter = _ticks_per_quarter(midi.ticks_per_beat, name)
    rolls: list[PianoRoll] = []
    total = 0
    for piece in kept:
        if midi.ticks_per_beat < 0:  # the times are in seconds, so that no tempo counts
            piece.tempos.clear()
        # An upbeat is a first bar with a time signature of its own: MIDI has no other word for it.
        first = next((signature for tick, signature in reversed(piece.signatures) if not tick), None)
        piece.lines = [bar_length(first, 1) * quarter] if first else []
        rolls.append(piece.roll(chosen, quarter, steps_per_quarter, name, total))
        total += rolls[-1].num_steps
    return rolls


def midi_bytes(roll: PianoRoll, *, program: int | Sequence[int] = 0, voices: int | None = None) -> bytes:
    """A MIDI file: tempo, time signature and programs, and the notes. Silence at both ends is kept.

    `read_midi` gives the same keys again, with the onsets of `roll.struck()`. An upbeat has a time signature of its
    own, as 1/4 before 3/4. The upbeat is not written if no time signature has its length (a triplet, for instance), or
    if the rest of the piece is no longer than the upbeat, because the reader takes the time signature that lasts
    longest.

    Args:
        program: the General MIDI program (instrument), 0 (piano) to 127, or one for each voice from the highest one
            down. The last one holds for the voices below too.
        voices: with a number, `separate_voices` divides the notes among so many voices, and the file has format 1 with
            a track and a channel for each. With None it has a voice for each program; one track if there is only one.

    Raises:
        LnfgenError: for programs or voices out of range, or fewer voices than programs.
    """
    programs = [program] if isinstance(program, int) else list(program)
    if wrong := [number for number in programs if not 0 <= number <= 127]:
        raise LnfgenError(f"program {wrong[0]}; expected a General MIDI program from 0 to 127")
    if voices is None and len(programs) > 1:
        voices = len(programs)
    if not 1 <= len(programs) <= (voices or 1):
        raise LnfgenError(f"{len(programs)} programs, {counted(voices or 1, 'voice')}; expected at most one for each")
    ticks_per_step = max(1, _TARGET_TICKS_PER_QUARTER // roll.steps_per_quarter)
    upbeat = _upbeat_signature(roll)
    tempo = mido.MetaMessage("set_tempo", tempo=round(60e6 / roll.tempo_bpm))
    metres = [
        mido.MetaMessage("time_signature", numerator=beats, denominator=unit)
        for beats, unit in ([upbeat] if upbeat else []) + [roll.time_signature]
    ]
    head, later = [tempo, metres[0]], [(roll.upbeat, metre) for metre in metres[1:]]
    if voices is None:
        first = mido.Message("program_change", program=programs[0])
        tracks = [_track([*head, first], roll.notes(), 0, ticks_per_step, roll.num_steps, later)]
    else:
        tracks = [_track(head, [], 0, ticks_per_step, roll.num_steps, later)]
        programs += programs[-1:] * (voices - len(programs))
        separated = zip(separate_voices(roll, voices), voice_names(voices), programs, strict=True)
        for channel, (notes, name, number) in enumerate(separated):
            named = mido.MetaMessage("track_name", name=name)
            first = mido.Message("program_change", channel=channel, program=number)
            tracks.append(_track([named, first], notes, channel, ticks_per_step, roll.num_steps))
    division = ticks_per_step * roll.steps_per_quarter
    file = mido.MidiFile(type=0 if voices is None else 1, ticks_per_beat=division, tracks=tracks)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


class _AnyKeySignature(MetaSpec_key_signature):
    type = "key_signature"

    def decode(self, message: Any, data: Sequence[int]) -> None:
        with contextlib.suppress(mido.KeySignatureError, IndexError):
            super().decode(message, data)


@contextlib.contextmanager
def _with_any_key_signature() -> Iterator[None]:
    """In this block, mido ignores key signatures that MIDI does not define; a roll has none.

    mido has only a registry for this, which is put back for other users of mido in this process.
    """
    add_meta_spec(_AnyKeySignature)
    try:
        yield
    finally:
        add_meta_spec(MetaSpec_key_signature)


def _upbeat_signature(roll: PianoRoll) -> tuple[int, int] | None:
    """The time signature of a bar as long as the upbeat; None without an upbeat, or if `midi_bytes` writes none."""
    whole_notes = Fraction(roll.upbeat, 4 * roll.steps_per_quarter)
    unit = max(roll.time_signature[1], whole_notes.denominator)
    beats = whole_notes * unit
    is_written = beats.denominator == 1 and is_time_signature((int(beats), unit)) and 2 * roll.upbeat < roll.num_steps
    return (int(beats), unit) if is_written else None


def _track(
    head: Sequence[Any],
    notes: Sequence[Note],
    channel: int,
    ticks_per_step: int,
    num_steps: int,
    later: Sequence[tuple[int, Any]] = (),
) -> Any:
    """A track of mido that begins with the messages of `head`. `later` holds other messages, each with its step."""
    events: list[tuple[int, str, Any]] = [(start, "note_on", pitch) for start, _, pitch in notes]
    events += [(start + length, "note_off", pitch) for start, length, pitch in notes]
    events += [(step, "", message) for step, message in later]
    track = mido.MidiTrack(head)
    now = 0
    # Ends come first ("note_off" < "note_on"), so that a note ends before its key is struck again.
    for step, kind, event in sorted(events):
        velocity = VELOCITY if kind == "note_on" else 0
        message = mido.Message(kind, channel=channel, note=event, velocity=velocity) if kind else event
        message.time = (step - now) * ticks_per_step
        track.append(message)
        now = step
    track.append(mido.MetaMessage("end_of_track", time=(num_steps - now) * ticks_per_step))
    return track


def _events(tracks: Sequence[Any], after: int) -> Events:
    """The events in tracks of mido. Tracks with notes are numbered after those of `after` others."""
    events = Events()
    names: dict[int, str] = {}
    programs: dict[int, list[tuple[int, int]]] = {}  # of a channel, which tracks share: (tick, program)
    notes: dict[tuple[int, int], list[tuple[int, int, int]]] = {}  # of a track and a channel
    last: dict[tuple[int, int, str], int] = {}  # the values that a roll cannot have, of a track and a channel
    losses = defaultdict[tuple[int, int], Losses](Losses)

    def leave_out(what: str, channel: int, value: int, first: int = 0) -> None:
        losses[index, channel][what] += value != last.get((index, channel, what), first)
        last[index, channel, what] = value

    for index, track in enumerate(tracks):
        tick = 0
        sounding: dict[tuple[int, int], deque[int]] = {}
        for message in track:
            tick += message.time
            kind = message.type
            if kind == "note_on" and message.velocity:
                sounding.setdefault((message.channel, message.note), deque()).append(tick)
                leave_out("velocity_changes", message.channel, message.velocity, message.velocity)
            elif kind in ("note_on", "note_off"):
                if starts := sounding.get((message.channel, message.note)):
                    notes.setdefault((index, message.channel), []).append((starts.popleft(), tick, message.note))
            elif kind == "program_change":
                programs.setdefault(message.channel, []).append((tick, message.program))
            elif kind == "pitchwheel":
                leave_out("bend_changes", message.channel, message.pitch)
            elif kind == "control_change" and message.control == SUSTAIN_PEDAL:
                leave_out("pedal_changes", message.channel, message.value >= 64)
            elif kind == "track_name":
                names.setdefault(index, _decoded(message.name))
            elif kind == "set_tempo":
                if message.tempo:
                    events.tempos.append((tick, _tidy_bpm(message.tempo)))
            elif kind == "time_signature":
                events.signatures.append((tick, (message.numerator, message.denominator)))
        for (channel, pitch), starts in sounding.items():
            notes.setdefault((index, channel), []).extend((start, tick, pitch) for start in starts)
        events.end = max(events.end, tick)
    for changes in programs.values():
        changes.sort(key=itemgetter(0))
    for (index, channel), played in sorted(notes.items()):
        changes = programs.get(channel, [])
        earlier = bisect.bisect_right(changes, min(played)[0], key=itemgetter(0))
        program = changes[earlier - 1][1] if earlier else 0
        events.add(played, names.get(index, ""), program, channel + 1, after)
        events.losses[events.tracks[-1][0].number] = losses[index, channel]
    return events


def _ticks_per_quarter(division: int, name: str) -> Fraction:
    """The ticks of a quarter, from the division in the header of a file."""
    ticks = Fraction(division)
    if division < 0:  # times are in seconds (SMPTE)
        # The upper byte is minus the frames a second, and the lower one the ticks a frame. 29 frames mean 29.97.
        frames = -(division >> 8)
        per_second = (Fraction(30000, 1001) if frames == 29 else frames) * (division & 0xFF)
        ticks = per_second * Fraction(60) / Fraction(DEFAULT_BPM)
    if ticks:
        return ticks
    raise UnreadableFileError(f"{name} is a damaged MIDI file: its header has 0 ticks to a beat; expected at least 1")


def _decoded(name: str) -> str:
    """A name that mido has read as Latin-1, read as UTF-8 if it is valid UTF-8. MIDI defines no encoding."""
    try:
        return name.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return name


def _tidy_bpm(microseconds: int) -> float:
    """The tempo in quarters a minute: the shortest decimal number that is these microseconds a quarter in MIDI."""
    exact = min(max(60e6 / microseconds, MIN_BPM), MAX_BPM)
    for digits in range(4):
        rounded = round(exact, digits)
        if rounded >= MIN_BPM and round(60e6 / rounded) == microseconds:
            return rounded
    return exact


def _checked(content: bytes, name: str) -> bytes:
    """`content` without the chunks that MIDI does not define, after checking that no length goes beyond the bytes."""
    if content[:4] != b"MThd":
        raise UnreadableFileError(f"{name} is no MIDI file: it starts with {content[:4]!r}; expected b'MThd'")
    if len(content) < 14:
        found = counted(len(content), "byte")
        raise UnreadableFileError(f"{name} is cut off in the MIDI header: {found}; expected at least 14")
    size, kind, num_tracks, division = struct.unpack(">LHHH", content[4:14])
    if size < 6 or 8 + size > len(content):
        raise UnreadableFileError(f"{name} is a damaged MIDI file: a header of {size} bytes; expected 6")
    if kind > 2:
        raise UnreadableFileError(f"{name} is a MIDI file of format {kind}; expected format 0, 1 or 2")
    tracks: list[bytes] = []
    position = 8 + size
    while len(tracks) < num_tracks and position < len(content):
        label = content[position : position + 4]
        start = position + 8
        length = int.from_bytes(content[position + 4 : start], "big")
        left = max(len(content) - start, 0)
        if start > len(content) or length > left:
            claim = f"a chunk {label!r} claims {counted(length, 'byte')}, {left} are there"
            raise UnreadableFileError(f"{name} is a cut or damaged MIDI file: {claim}; expected all of them")
        position = start + length
        if label == b"MTrk":  # the specification asks readers to skip all other chunks
            tracks.append(content[start - 8 : position])
    if len(tracks) < max(num_tracks, 1):
        found = f"its header promises {counted(num_tracks, 'track')}, {len(tracks)} are there"
        raise UnreadableFileError(f"{name} is a cut or damaged MIDI file: {found}; expected all, and at least one")
    header = struct.pack(">4sLHHH", b"MThd", 6, kind, len(tracks), division)
    return header + b"".join(tracks)
