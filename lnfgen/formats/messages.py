"""The messages of MIDI files as mido has them: bytes to messages, messages to notes, and back.

Source: Standard MIDI-File Format Spec. 1.1 (MIDI Manufacturers Association, RP-001).
"""

import io
import itertools
import struct
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import mido
from mido.midifiles import meta, midifiles

from lnfgen.errors import UnreadableFileError
from lnfgen.formats.events import DEFAULT_BPM
from lnfgen.music.tracks import DRUM_CHANNEL
from lnfgen.wording import counted

KEY_SIGNATURE = 0x59  # the type of this meta message
DRUMS_FROM_0 = DRUM_CHANNEL - 1  # messages count their channels from 0
# Of messages at one tick, so that a note ends before its key is struck again
_ORDER = {"note_off": 1, "note_on": 2}

TimedMessage = tuple[int, Any]  # (tick, message of mido)
Sound = tuple[int, int, int]  # (start, end, MIDI pitch) in ticks


class MidiNote(NamedTuple):
    """A note of a track, with the places of its two messages in the track. Times are in ticks."""

    start: int
    end: int
    pitch: int
    velocity: int
    on: int
    off: int | None  # None: the key is never released, and sounds to the end of the track


def checked(content: bytes, name: str) -> bytes:
    """The content of a MIDI file without the chunks that MIDI does not define.

    An `UnreadableFileError` about the file `name` is raised if a length goes beyond the bytes.
    """
    size, kind, num_tracks, division = _checked_header(content, name)
    tracks: list[bytes] = []
    position = 8 + size
    while len(tracks) < num_tracks and position < len(content):
        chunk = _chunk_at(position, content, name)
        position += len(chunk)
        if chunk.startswith(b"MTrk"):  # the specification asks readers to skip all other chunks
            tracks.append(chunk)
    if len(tracks) < max(num_tracks, 1):
        found = f"its header promises {counted(num_tracks, 'track')}, {len(tracks)} are there"
        raise UnreadableFileError(
            f"{name} is a cut or damaged MIDI file: {found}; expected all, and at least one"
        )
    header = struct.pack(">4sLHHH", b"MThd", 6, kind, len(tracks), division)
    return header + b"".join(tracks)


def _checked_header(content: bytes, name: str) -> tuple[int, int, int, int]:
    """The size, the format, the number of tracks and the division of time in the header."""
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
    return size, kind, num_tracks, division


def _chunk_at(position: int, content: bytes, name: str) -> bytes:
    """The chunk that begins at a position, with its label and its length of four bytes each."""
    label = content[position : position + 4]
    start = position + 8
    length = int.from_bytes(content[position + 4 : start], "big")
    left = max(len(content) - start, 0)
    if start > len(content) or length > left:
        claim = f"a chunk {label!r} claims {counted(length, 'byte')}, {left} are there"
        raise UnreadableFileError(
            f"{name} is a cut or damaged MIDI file: {claim}; expected all of them"
        )
    return content[position : start + length]


def parsed(content: bytes) -> Any:
    """The file as mido has it, but with key signatures as bytes.

    So those that MIDI does not define cost no file.
    """
    # only here, for others use mido in this process too
    midifiles.build_meta_message = _meta_message
    try:
        return mido.MidiFile(file=io.BytesIO(content))
    finally:
        midifiles.build_meta_message = meta.build_meta_message


def _meta_message(kind: int, data: Sequence[int], time: int) -> Any:
    if kind == KEY_SIGNATURE:
        message = meta.UnknownMetaMessage(kind, data)
    else:
        message = meta.build_meta_message(kind, data)
    message.time = time  # mido forgets that of a type that it does not know
    return message


def saved(midi: Any) -> bytes:
    """The bytes of a file of mido."""
    buffer = io.BytesIO()
    midi.save(file=buffer)
    return buffer.getvalue()


def ticks_per_quarter(midi: Any, name: str = "-") -> Fraction:
    """The ticks of a quarter in a file of mido.

    A header without ticks is an `UnreadableFileError` about the file `name`.
    """
    division = midi.ticks_per_beat
    ticks = Fraction(division)
    if division < 0:  # times are in seconds (SMPTE)
        # The upper byte is minus the frames a second, and the lower one the ticks a frame.
        frames = Fraction(-(division >> 8))
        if frames == 29:
            frames = Fraction(30000, 1001)  # 29.97
        ticks_per_second = frames * (division & 0xFF)
        ticks = ticks_per_second * Fraction(60) / Fraction(DEFAULT_BPM)
    if not ticks:
        raise UnreadableFileError(
            f"{name} is a damaged MIDI file: its header has 0 ticks to a beat; expected at least 1"
        )
    return ticks


def timed(messages: Iterable[Any]) -> list[TimedMessage]:
    """The messages of a track, each with its tick."""
    ticks = itertools.accumulate(message.time for message in messages)
    return list(zip(ticks, messages, strict=True))


def last_tick(tracks: Sequence[Any]) -> int:
    """Where the longest track ends."""
    last = 0
    for messages in tracks:
        last = max(last, sum(message.time for message in messages))
    return last


def track(events: Iterable[TimedMessage]) -> Any:
    """The track of mido with these messages, each at its tick, in this order."""
    result = mido.MidiTrack()
    now = 0
    for tick, message in events:
        message.time = tick - now
        now = tick
        result.append(message)
    return result


def in_order(events: Sequence[TimedMessage], end: int) -> list[TimedMessage]:
    """The messages, each with its tick, in the order of time, and the end of the track.

    The track ends at `end`, or with its last message if that is later.
    """

    def place(event: TimedMessage) -> tuple[int, int, int]:
        tick, message = event
        return tick, _ORDER.get(message.type, 0), getattr(message, "note", 0)

    last = max((tick for tick, _ in events), default=end)
    ordered = sorted(events, key=place)
    ordered.append((max(end, last), mido.MetaMessage("end_of_track")))
    return ordered


def channel_notes(tracks: Sequence[Any]) -> dict[tuple[int, int], list[MidiNote]]:
    """The notes of each track and channel that has any, by (index of the track, channel).

    Both are counted from 0 on. In their order the numbers of `Origin.tracks` are counted.
    """
    found: dict[tuple[int, int], list[MidiNote]] = {}
    for index, messages in enumerate(tracks):
        for channel, notes in _notes_by_channel(timed(messages)).items():
            found[index, channel] = notes
    return dict(sorted(found.items()))


def _notes_by_channel(events: Sequence[TimedMessage]) -> dict[int, list[MidiNote]]:
    """The notes of one track, by their channels. Keys that are held at its end come last."""
    notes = defaultdict[int, list[MidiNote]](list)
    # Of each channel and pitch that sounds, the strikes without a release: (tick, velocity, place)
    sounding = defaultdict[tuple[int, int], deque[tuple[int, int, int]]](deque)
    for place, (tick, message) in enumerate(events):
        if message.type not in ("note_on", "note_off"):
            continue
        channel = message.channel
        pitch = message.note
        if message.type == "note_on" and message.velocity:
            sounding[channel, pitch].append((tick, message.velocity, place))
            continue
        strikes = sounding.get((channel, pitch))
        if strikes:
            start, velocity, on = strikes.popleft()
            notes[channel].append(MidiNote(start, tick, pitch, velocity, on, place))
    end = events[-1][0] if events else 0
    for (channel, pitch), strikes in sounding.items():
        for start, velocity, on in strikes:
            notes[channel].append(MidiNote(start, end, pitch, velocity, on, None))
    return notes


def voice_events(
    notes: Iterable[tuple[int, int, int, int]], channel: int, program: int | None, name: str | None
) -> list[TimedMessage]:
    """The messages of a voice, each with its tick.

    Notes are (start, end, pitch, velocity), and last a tick or more.
    """
    events: list[TimedMessage] = []
    if name is not None:
        as_latin = name.encode().decode("latin-1")  # mido writes UTF-8 so; see `_decoded`
        events.append((0, mido.MetaMessage("track_name", name=as_latin)))
    if program is not None:
        events.append((0, mido.Message("program_change", channel=channel, program=program)))
    for start, end, pitch, velocity in notes:
        strike = mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)
        release = mido.Message("note_off", channel=channel, note=pitch, velocity=0)
        events.append((start, strike))
        events.append((max(end, start + 1), release))
    return events


def tempo_message(bpm: float) -> Any:
    return mido.MetaMessage("set_tempo", tempo=round(60e6 / bpm))


def time_signature_message(signature: tuple[int, int]) -> Any:
    beats, unit = signature
    return mido.MetaMessage("time_signature", numerator=beats, denominator=unit)


def used_channels(midi: Any) -> set[int]:
    """The channels that a file of mido has messages for, from 0 on."""
    used: set[int] = set()
    for messages in midi.tracks:
        used.update(message.channel for message in messages if hasattr(message, "channel"))
    return used


def take_out(midi: Any, taken: Mapping[tuple[int, int], Sequence[MidiNote]]) -> None:
    """Take notes, by their track and channel, out of a file of mido."""
    # Of each track, the places of the messages
    gone = defaultdict[int, set[int | None]](set)
    for (index, _), notes in taken.items():
        for note in notes:
            gone[index].update((note.on, note.off))
    for index, messages in enumerate(midi.tracks):
        left: list[TimedMessage] = []
        for place, event in enumerate(timed(messages)):
            if place not in gone[index]:
                left.append(event)
        midi.tracks[index] = track(left)


def apart(
    sounds: Sequence[Sound], written: Mapping[tuple[int, int], Sequence[MidiNote]], channel: int
) -> list[Sound]:
    """The sounds without the time of the notes that are written on the channel.

    One channel has one release for all notes of a key, so a release would end both.
    """
    by_pitch = defaultdict[int, list[MidiNote]](list)
    for (_, its_channel), notes in written.items():
        if its_channel == channel:
            for note in notes:
                by_pitch[note.pitch].append(note)
    apart: list[Sound] = []
    for start, end, pitch in sounds:
        begin = start
        until = end
        for note in by_pitch[pitch]:
            if note.start <= start:
                begin = max(begin, note.end)
            else:
                until = min(until, note.start - 1)  # at one tick, theirs come first
        if begin < until:
            apart.append((begin, until, pitch))
    return apart


def transpose(message: Any, semitones: int) -> None:
    """Move a note, but for the drums, or a key signature."""
    if hasattr(message, "note") and message.channel != DRUMS_FROM_0:
        note = message.note + semitones
        # The roll may not have it; octaves keep it on the keys of MIDI.
        if note < 0:
            note = note % 12
        elif note > 127:
            note = note % 12 + 108
        message.note = note
    elif getattr(message, "type_byte", None) == KEY_SIGNATURE and len(message.data) == 2:
        sharps, mode = message.data
        if sharps > 127:
            sharps -= 256  # flats are below 0
        moved = (sharps + 7 * semitones + 6) % 12 - 6
        message.data = (moved % 256, mode)
