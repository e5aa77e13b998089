"""Read and write standard MIDI files as piano-rolls, with mido as parser and writer.

Source: Standard MIDI-File Format Spec. 1.1 (MIDI Manufacturers Association, RP-001).
"""

import io
import itertools
import struct
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from operator import itemgetter
from typing import Any, NamedTuple

import mido
from mido.midifiles import meta, midifiles

from lnfgen.errors import LnfgenError, UnreadableFileError, unreadable
from lnfgen.formats.events import DEFAULT_BPM, Events, with_choice
from lnfgen.music.parts import part_programs
from lnfgen.music.pianoroll import (
    MAX_BPM,
    MIN_BPM,
    STEPS_PER_QUARTER,
    Losses,
    PianoRoll,
    bar_length,
    is_time_signature,
)
from lnfgen.music.separation import separate_voices, voice_names
from lnfgen.music.tracks import ALL, DRUM_CHANNEL, DRUMS, Track
from lnfgen.wording import counted

VELOCITY = 80  # of the notes of rolls and scores: mezzo-forte; a roll has no dynamics
TICKS_PER_QUARTER = 480  # about so many, in the files that are written
SUSTAIN_PEDAL = 64  # the number of its controller
KEY_SIGNATURE = 0x59  # the type of this meta message
# of messages at one tick, so that a note ends before its key is struck again
_ORDER = {"note_off": 1, "note_on": 2}


class MidiNote(NamedTuple):
    """A note of a track, with the places of its two messages in the track. Times are in ticks."""

    start: int
    end: int
    pitch: int
    velocity: int
    on: int
    off: int | None  # None: the key is never released, and sounds to the end of the track


def read_midi(
    content: bytes,
    name: str = "-",
    *,
    steps_per_quarter: int = STEPS_PER_QUARTER,
    tracks: str = ALL,
    roles: Sequence[str] = (),
) -> list[PianoRoll]:
    """The piano-rolls of a MIDI file: one, or in a file of format 2 one for each track with notes.

    Rolls are made as `Events.roll` says; where times are in seconds (SMPTE), the tempo is 120. If a
    key is struck again before it is released (in one channel of a track), the first release belongs
    to the first strike. A key that is never released sounds to the end of its track. Control
    changes, the pedal among them, are left out.

    Args:
        name: stands for the file in errors.
        tracks: the tracks to keep, as `choose_tracks` takes them. They are merged into one
            piano-roll.
        roles: the parts of a band that the rolls have, one or more of `ROLES`; then `tracks` is
            taken by `in_roles`.

    Raises:
        UnreadableFileError: if the bytes are no MIDI file, are cut or damaged, hold no notes or
            none of those tracks, or last over `MAX_STEPS`.
    """
    content = _checked(content, name)
    with unreadable(f"{name} is a damaged MIDI file", "expected well-formed tracks"):
        midi = parsed(content)
    groups = [[track] for track in midi.tracks] if midi.type == 2 else [midi.tracks]
    pieces: list[Events] = []
    every: list[Track] = []
    for group in groups:
        pieces.append(track_events(group, len(every)))
        every += [track for track, _ in pieces[-1].tracks]
    if not every and not any(piece.end for piece in pieces):
        raise UnreadableFileError(f"{name} is a MIDI file without notes; expected at least one")
    chosen = with_choice(every, tracks, roles, name)
    numbers = {track.number for track in chosen if track.kept}
    kept = [
        piece for piece in pieces if any(track.number in numbers for track, _ in piece.tracks)
    ] or pieces[:1]
    quarter = ticks_per_quarter(midi, name)
    rolls: list[PianoRoll] = []
    total = 0
    for piece in kept:
        if midi.ticks_per_beat < 0:  # the times are in seconds, so that no tempo counts
            piece.tempos.clear()
        # An upbeat is a first bar with a time signature of its own: MIDI has no other word for it.
        first = next(
            (signature for tick, signature in reversed(piece.signatures) if not tick), None
        )
        piece.lines = [bar_length(first, 1) * quarter] if first else []
        rolls.append(piece.piece(chosen, roles, quarter, steps_per_quarter, name, total))
        total += rolls[-1].num_steps // rolls[-1].stride
    return [replace(rolls[0], song=content)] if len(pieces) == 1 else rolls


def midi_bytes(
    roll: PianoRoll, *, programs: Sequence[int] = (), voices: int | None = None
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

    Raises:
        LnfgenError: for voices out of range, or fewer voices than programs.
    """
    if voices is None and len(programs) > 1 and not roll.parts:
        voices = len(programs)
    most = sum(part.role != DRUMS for part in roll.parts) or voices or 1
    if len(programs) > most:
        raise LnfgenError(
            f"{len(programs)} programs, {counted(most, 'voice')}; expected at most one for each"
        )
    tracks = (
        _band_tracks(roll, programs)
        if roll.parts
        else _voice_tracks(roll, [*programs] or [0], voices)
    )
    whole = roll.part(0)
    ticks_per_step = max(1, TICKS_PER_QUARTER // whole.steps_per_quarter)
    end, upbeat = whole.num_steps * ticks_per_step, upbeat_signature(whole)
    metres = (
        {0: upbeat, whole.upbeat * ticks_per_step: whole.time_signature}
        if upbeat
        else {0: whole.time_signature}
    )
    head = [
        (0, tempo_message(whole.tempo_bpm)),
        *((tick, metre_message(metre)) for tick, metre in metres.items()),
    ]
    events = []
    for name, channel, number, notes, loud in tracks:
        sounds = [
            (
                start * ticks_per_step,
                (start + length) * ticks_per_step,
                pitch,
                loud[(start - whole.upbeat) % len(loud)],
            )
            for start, length, pitch in notes
        ]
        events.append(voice_events(sounds, channel, number, name))
    is_one = voices is None and not roll.parts
    file = mido.MidiFile(
        type=0 if is_one else 1, ticks_per_beat=ticks_per_step * whole.steps_per_quarter
    )
    file.tracks += [
        track(in_order(each, end)) for each in ([head + events[0]] if is_one else [head, *events])
    ]
    return saved(file)


_Voice = tuple[str | None, int, int, list[tuple[int, int, int]], tuple[int, ...]]
"""The name, the channel, the program and the notes of a track, and their velocities at each step of
a bar."""


def _voice_tracks(roll: PianoRoll, programs: list[int], voices: int | None) -> Iterator[_Voice]:
    parts = [roll.notes()] if voices is None else separate_voices(roll, voices)
    programs += programs[-1:] * (len(parts) - len(programs))
    names: Sequence[str | None] = [None] if voices is None else voice_names(voices)
    for channel, (name, number, notes) in enumerate(zip(names, programs, parts, strict=True)):
        yield name, channel, number, notes, (VELOCITY,)


def _band_tracks(roll: PianoRoll, programs: Sequence[int]) -> Iterator[_Voice]:
    """The parts of a band, as loud at each place of the bar as these are in its music."""
    for number, (part, program) in enumerate(
        zip(roll.parts, part_programs(roll.parts, programs), strict=True)
    ):
        channel = DRUM_CHANNEL - 1 if part.role == DRUMS else number
        yield (
            part.role.capitalize(),
            channel,
            program,
            roll.part(number).notes(),
            part.velocities or (VELOCITY,),
        )


def parsed(content: bytes) -> Any:
    """The file as mido has it, but with the bytes of key signatures, also of those that MIDI does
    not define."""
    # only here, for others use mido in this process too
    midifiles.build_meta_message = _meta_message
    try:
        return mido.MidiFile(file=io.BytesIO(content))
    finally:
        midifiles.build_meta_message = meta.build_meta_message


def _meta_message(kind: int, data: Sequence[int], time: int) -> Any:
    is_key = kind == KEY_SIGNATURE
    message = meta.UnknownMetaMessage(kind, data) if is_key else meta.build_meta_message(kind, data)
    message.time = time  # mido forgets that of a type that it does not know
    return message


def saved(midi: Any) -> bytes:
    """The bytes of a file of mido."""
    buffer = io.BytesIO()
    midi.save(file=buffer)
    return buffer.getvalue()


def timed(messages: Iterable[Any]) -> list[tuple[int, Any]]:
    """The messages of a track, each with its tick."""
    ticks = itertools.accumulate(message.time for message in messages)
    return list(zip(ticks, messages, strict=True))


def track(events: Iterable[tuple[int, Any]]) -> Any:
    """The track of mido with these messages, each at its tick, in this order."""
    result, now = mido.MidiTrack(), 0
    for tick, message in events:
        message.time, now = tick - now, tick
        result.append(message)
    return result


def in_order(events: Sequence[tuple[int, Any]], end: int) -> list[tuple[int, Any]]:
    """The messages, each with its tick, in the order of time, and the end of the track, which is no
    earlier."""

    def place(event: tuple[int, Any]) -> tuple[int, int, int]:
        tick, message = event
        return tick, _ORDER.get(message.type, 0), getattr(message, "note", 0)

    end = max([end, *(tick for tick, _ in events)])
    return [*sorted(events, key=place), (end, mido.MetaMessage("end_of_track"))]


def voice_events(
    notes: Iterable[tuple[int, int, int, int]], channel: int, program: int | None, name: str | None
) -> list[tuple[int, Any]]:
    """The messages of a voice, each with its tick. Notes are (start, end, pitch, velocity), and
    last a tick or more."""
    events = (
        []
        if name is None
        else [(0, mido.MetaMessage("track_name", name=name.encode().decode("latin-1")))]
    )
    if program is not None:
        events.append((0, mido.Message("program_change", channel=channel, program=program)))
    for start, end, pitch, velocity in notes:
        events.append(
            (start, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity))
        )
        events.append(
            (max(end, start + 1), mido.Message("note_off", channel=channel, note=pitch, velocity=0))
        )
    return events


def tempo_message(bpm: float) -> Any:
    return mido.MetaMessage("set_tempo", tempo=round(60e6 / bpm))


def metre_message(signature: tuple[int, int]) -> Any:
    return mido.MetaMessage("time_signature", numerator=signature[0], denominator=signature[1])


def channel_notes(tracks: Sequence[Any]) -> dict[tuple[int, int], list[MidiNote]]:
    """The notes of each track and channel that has any, by the index of the track and the channel,
    from 0 on.

    In their order the numbers of `PianoRoll.tracks` are counted.
    """
    notes = defaultdict[tuple[int, int], list[MidiNote]](list)
    for index, messages in enumerate(tracks):
        sounding = defaultdict[tuple[int, int], deque[tuple[int, int, int]]](deque)
        tick = 0
        for place, (tick, message) in enumerate(timed(messages)):  # held keys need the last one
            if message.type not in ("note_on", "note_off"):
                continue
            key = (message.channel, message.note)
            if message.type == "note_on" and message.velocity:
                sounding[key].append((tick, message.velocity, place))
            elif starts := sounding.get(key):
                start, velocity, on = starts.popleft()
                notes[index, key[0]].append(MidiNote(start, tick, key[1], velocity, on, place))
        for (channel, pitch), starts in sounding.items():
            for start, velocity, on in starts:
                notes[index, channel].append(MidiNote(start, tick, pitch, velocity, on, None))
    return dict(sorted(notes.items()))


def upbeat_signature(roll: PianoRoll) -> tuple[int, int] | None:
    """The time signature of a bar as long as the upbeat; None without an upbeat, or if `midi_bytes`
    writes none."""
    whole_notes = Fraction(roll.upbeat, 4 * roll.steps_per_quarter)
    unit = max(roll.time_signature[1], whole_notes.denominator)
    beats = whole_notes * unit
    is_written = (
        beats.denominator == 1
        and is_time_signature((int(beats), unit))
        and 2 * roll.upbeat < roll.num_steps
    )
    return (int(beats), unit) if is_written else None


def track_events(tracks: Sequence[Any], after: int = 0) -> Events:
    """The events in tracks of mido. Tracks with notes are numbered after those of `after`
    others."""
    events = Events()
    names: dict[int, str] = {}
    # of a channel, which tracks share: (tick, program)
    programs: dict[int, list[tuple[int, int]]] = {}
    # of track, channel
    losses, last = defaultdict[tuple[int, int], Losses](Losses), dict[tuple[int, int, str], int]()
    for index, messages in enumerate(tracks):
        tick = 0
        for tick, message in timed(messages):  # the last one is the end
            kind = message.type
            if kind == "program_change":
                programs.setdefault(message.channel, []).append((tick, message.program))
            elif kind == "pitchwheel" or message.is_cc(SUSTAIN_PEDAL):
                is_bend = kind == "pitchwheel"
                what, value = (
                    ("bend_changes", message.pitch)
                    if is_bend
                    else ("pedal_changes", message.value >= 64)
                )
                losses[index, message.channel][what] += value != last.get(
                    (index, message.channel, what), 0
                )
                last[index, message.channel, what] = value
            elif kind == "track_name":
                names.setdefault(index, _decoded(message.name))
            elif kind == "set_tempo" and message.tempo:
                events.tempos.append((tick, _tidy_bpm(message.tempo)))
            elif kind == "time_signature":
                events.signatures.append((tick, (message.numerator, message.denominator)))
        events.end = max(events.end, tick)
    for changes in programs.values():
        changes.sort(key=itemgetter(0))
    for (index, channel), notes in channel_notes(tracks).items():
        played = [note[:3] for note in notes]
        start, changes = min(played)[0], programs.get(channel, [])
        program = next((program for tick, program in reversed(changes) if tick <= start), 0)
        number = events.add(played, names.get(index, ""), program, channel + 1, after)
        velocities = [note.velocity for note in sorted(notes, key=itemgetter(0))]
        losses[index, channel]["velocity_changes"] = sum(
            one != other for one, other in itertools.pairwise(velocities)
        )
        events.losses[number] = losses[index, channel]
        events.velocities[number] = [(note.start, note.velocity) for note in notes]
    return events


def ticks_per_quarter(midi: Any, name: str = "-") -> Fraction:
    """The ticks of a quarter in a file of mido; `name` stands for it in the error about a damaged
    header."""
    division = midi.ticks_per_beat
    ticks = Fraction(division)
    if division < 0:  # times are in seconds (SMPTE)
        # The upper byte is minus the frames a second, and the lower one the ticks a frame. 29
        # frames mean 29.97.
        frames = -(division >> 8)
        per_second = (Fraction(30000, 1001) if frames == 29 else frames) * (division & 0xFF)
        ticks = per_second * Fraction(60) / Fraction(DEFAULT_BPM)
    if ticks:
        return ticks
    raise UnreadableFileError(
        f"{name} is a damaged MIDI file: its header has 0 ticks to a beat; expected at least 1"
    )


def _decoded(name: str) -> str:
    """A name that mido has read as Latin-1, read as UTF-8 if it is valid UTF-8, as `voice_events`
    writes it."""
    try:
        return name.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return name


def _tidy_bpm(microseconds: int) -> float:
    """The tempo in quarters a minute: the shortest decimal number that is these microseconds a
    quarter in MIDI."""
    exact = min(max(60e6 / microseconds, MIN_BPM), MAX_BPM)
    for digits in range(4):
        rounded = round(exact, digits)
        if rounded >= MIN_BPM and round(60e6 / rounded) == microseconds:
            return rounded
    return exact


def _checked(content: bytes, name: str) -> bytes:
    """`content` without the chunks that MIDI does not define, after checking that no length goes
    beyond the bytes."""
    if content[:4] != b"MThd":
        raise UnreadableFileError(
            f"{name} is no MIDI file: it starts with {content[:4]!r}; expected b'MThd'"
        )
    if len(content) < 14:
        found = counted(len(content), "byte")
        raise UnreadableFileError(
            f"{name} is cut off in the MIDI header: {found}; expected at least 14"
        )
    size, kind, num_tracks, division = struct.unpack(">LHHH", content[4:14])
    if size < 6 or 8 + size > len(content):
        raise UnreadableFileError(
            f"{name} is a damaged MIDI file: a header of {size} bytes; expected 6"
        )
    if kind > 2:
        raise UnreadableFileError(
            f"{name} is a MIDI file of format {kind}; expected format 0, 1 or 2"
        )
    tracks: list[bytes] = []
    position = 8 + size
    while len(tracks) < num_tracks and position < len(content):
        label = content[position : position + 4]
        start = position + 8
        length = int.from_bytes(content[position + 4 : start], "big")
        left = max(len(content) - start, 0)
        if start > len(content) or length > left:
            claim = f"a chunk {label!r} claims {counted(length, 'byte')}, {left} are there"
            raise UnreadableFileError(
                f"{name} is a cut or damaged MIDI file: {claim}; expected all of them"
            )
        position = start + length
        if label == b"MTrk":  # the specification asks readers to skip all other chunks
            tracks.append(content[start - 8 : position])
    if len(tracks) < max(num_tracks, 1):
        found = f"its header promises {counted(num_tracks, 'track')}, {len(tracks)} are there"
        raise UnreadableFileError(
            f"{name} is a cut or damaged MIDI file: {found}; expected all, and at least one"
        )
    header = struct.pack(">4sLHHH", b"MThd", 6, kind, len(tracks), division)
    return header + b"".join(tracks)
