"""What the events of a MIDI file mean: notes and settings; and new events, which mido writes.

Source: Standard MIDI-File Format Spec. 1.1 (MIDI Manufacturers Association, RP-001).
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import mido

from lnfgen.errors import UnreadableFileError
from lnfgen.formats.events import DEFAULT_BPM
from lnfgen.formats.midi_file import FIRST_SYSTEM, META, Event, MidiFile, TrackEvents, events_in
from lnfgen.music.key_signature import MAJOR, KeySignature
from lnfgen.music.pianoroll import MAX_BPM, MIN_BPM
from lnfgen.music.tracks import DRUM_CHANNEL

DRUMS_FROM_0 = DRUM_CHANNEL - 1  # messages count their channels from 0
PITCHED_FROM_0 = [channel for channel in range(16) if channel != DRUMS_FROM_0]
# The upper four bits of the status of a channel's message
NOTE_OFF = 0x8
NOTE_ON = 0x9
PRESSURE = 0xA  # of one key
CONTROL = 0xB
PROGRAM = 0xC
CHANNEL_PRESSURE = 0xD
PITCH_WHEEL = 0xE
# The types of meta events
TRACK_NAME = 0x03
MARKER = 0x06
END_OF_TRACK = 0x2F
TEMPO = 0x51
TIME_SIGNATURE = 0x58
KEY_SIGNATURE = 0x59
_MODES = (MAJOR, "minor")  # of a key signature, by its number
_OF_SOUND = (CONTROL, PROGRAM, CHANNEL_PRESSURE, PITCH_WHEEL)
# Of events at one tick, so that a note ends before its key is struck again
_ORDER = {NOTE_OFF: 1, NOTE_ON: 2}

Sound = tuple[int, int, int]  # (start, end, MIDI pitch) in ticks


class MidiNote(NamedTuple):
    """A note of a track, with the places of its two events in the track. Times are in ticks."""

    start: int
    end: int
    pitch: int
    velocity: int
    on: int
    off: int | None  # None: the key is never released, and sounds to the end of the track


def meta_type(event: Event) -> int | None:
    """The type of a meta event; None of any other event."""
    return event.head[0] if event.status == META else None


def message_type(event: Event) -> int | None:
    """The upper four bits of the status of a channel's message; None of any other event."""
    return event.status >> 4 if event.status < FIRST_SYSTEM else None


def ticks_per_quarter(midi: MidiFile, name: str = "-") -> Fraction:
    """The ticks of a quarter in a MIDI file.

    A header without ticks is an `UnreadableFileError` about the file `name`.
    """
    ticks = Fraction(midi.division)
    if midi.division < 0:  # times are in seconds (SMPTE)
        # The upper byte is minus the frames a second, and the lower one the ticks a frame.
        frames = Fraction(-(midi.division >> 8))
        if frames == 29:
            frames = Fraction(30000, 1001)  # 29.97
        ticks_per_second = frames * (midi.division & 0xFF)
        ticks = ticks_per_second * Fraction(60) / Fraction(DEFAULT_BPM)
    if not ticks:
        raise UnreadableFileError(
            f"{name} is a damaged MIDI file: its header has 0 ticks to a beat; expected at least 1"
        )
    return ticks


def last_tick(tracks: Sequence[TrackEvents]) -> int:
    """Where the longest track ends."""
    return max((track[-1].tick for track in tracks if track), default=0)


def bpm_of(event: Event) -> float | None:
    """The quarters a minute that a meta event sets; None if its quarter has no length."""
    _require_data(event, 3, "tempo")
    microseconds = int.from_bytes(event.data[:3], "big")
    return _tidy_bpm(microseconds) if microseconds else None


def _tidy_bpm(microseconds: int) -> float:
    """The tempo in quarters a minute, from the microseconds of a quarter.

    It is the shortest decimal number that MIDI writes as these microseconds.
    """
    exact = min(max(60e6 / microseconds, MIN_BPM), MAX_BPM)
    for digits in range(4):
        rounded = round(exact, digits)
        if rounded >= MIN_BPM and round(60e6 / rounded) == microseconds:
            return rounded
    return exact


def time_signature_of(event: Event) -> tuple[int, int]:
    """The time signature that a meta event sets, beats and unit."""
    _require_data(event, 4, "time signature")
    return event.data[0], 2 ** event.data[1]


def key_signature_of(event: Event) -> KeySignature | None:
    """The key signature that a meta event sets; None for one that MIDI does not define."""
    data = event.data
    if len(data) < 2:
        return None
    sharps = int.from_bytes(data[:1], "big", signed=True)  # flats are below 0
    if abs(sharps) > 7 or data[1] >= len(_MODES):
        return None
    return KeySignature(sharps, _MODES[data[1]])


def _require_data(event: Event, size: int, what: str) -> None:
    """Raise a `ValueError` if an event has less data. More is allowed, for later versions."""
    if len(event.data) < size:
        raise ValueError(f"a {what} of {len(event.data)} bytes in place of {size}")


def bend_of(event: Event) -> int:
    """Where the pitch wheel stands; 0 is the middle."""
    low, high = event.data
    return (high << 7 | low) - 0x2000


def text_of(event: Event) -> str:
    """The text of an event, such as a name, in UTF-8, or in Latin-1 if it is not valid UTF-8."""
    try:
        return event.data.decode("utf-8")
    except UnicodeDecodeError:
        return event.data.decode("latin-1")


def channel_notes(tracks: Sequence[TrackEvents]) -> dict[tuple[int, int], list[MidiNote]]:
    """The notes of each track and channel that has any, by (index of the track, channel).

    Both are counted from 0 on. In their order the numbers of `Origin.tracks` are counted.
    """
    found: dict[tuple[int, int], list[MidiNote]] = {}
    for index, track in enumerate(tracks):
        for channel, notes in _notes_by_channel(track).items():
            found[index, channel] = notes
    return dict(sorted(found.items()))


def _notes_by_channel(track: TrackEvents) -> dict[int, list[MidiNote]]:
    """The notes of one track, by their channels. Keys that are held at its end come last."""
    notes = defaultdict[int, list[MidiNote]](list)
    # Of each channel and pitch that sounds, the strikes without a release: (tick, velocity, place)
    sounding = defaultdict[tuple[int, int], deque[tuple[int, int, int]]](deque)
    for place, event in enumerate(track):
        kind = event.status >> 4
        if kind not in (NOTE_ON, NOTE_OFF):
            continue
        channel = event.status & 0xF
        pitch, velocity = event.data
        if kind == NOTE_ON and velocity:
            sounding[channel, pitch].append((event.tick, velocity, place))
            continue
        strikes = sounding.get((channel, pitch))
        if strikes:
            start, velocity, on = strikes.popleft()
            notes[channel].append(MidiNote(start, event.tick, pitch, velocity, on, place))
    end = last_tick([track])
    for (channel, pitch), strikes in sounding.items():
        for start, velocity, on in strikes:
            notes[channel].append(MidiNote(start, end, pitch, velocity, on, None))
    return notes


def used_channels(midi: MidiFile) -> set[int]:
    """The channels that a file has messages for, from 0 on."""
    used: set[int] = set()
    for track in midi.tracks:
        used.update(event.status & 0xF for event in track if event.status < FIRST_SYSTEM)
    return used


def instrument_events(tracks: Sequence[TrackEvents], channel: int, other: int) -> list[Event]:
    """What sets the sound of a channel through a file, for another channel.

    That is its programs, controllers, pressure and pitch bends, in the order of the tracks.
    """
    found: list[Event] = []
    for track in tracks:
        for event in track:
            kind = message_type(event)
            if kind in _OF_SOUND and event.status & 0xF == channel:
                status = event.status & 0xF0 | other
                found.append(event._replace(status=status, gap=b"", is_running=False))
    return found


def take_out(midi: MidiFile, taken: Mapping[tuple[int, int], Sequence[MidiNote]]) -> None:
    """Take notes, by their track and channel, out of a file."""
    # Of each track, the places of the events
    gone = defaultdict[int, set[int | None]](set)
    for (index, _), notes in taken.items():
        for note in notes:
            gone[index].update((note.on, note.off))
    for index, places in gone.items():
        left: TrackEvents = []
        for place, event in enumerate(midi.tracks[index]):
            if place not in places:
                left.append(event)
        midi.tracks[index] = left


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


def transposed(event: Event, semitones: int) -> Event:
    """The event moved, if it is a note, but not of the drums, or a key signature."""
    if message_type(event) in (NOTE_ON, NOTE_OFF, PRESSURE):
        if event.status & 0xF == DRUMS_FROM_0:
            return event
        pitch, velocity = event.data
        return event._replace(data=bytes((_on_keys(pitch + semitones), velocity)))
    if meta_type(event) == KEY_SIGNATURE:
        return _transposed_key(event, semitones)
    return event


def _on_keys(pitch: int) -> int:
    """A pitch moved by octaves onto the keys of MIDI; the roll may not have it."""
    if pitch < 0:
        return pitch % 12
    if pitch > 127:
        return pitch % 12 + 108
    return pitch


def _transposed_key(event: Event, semitones: int) -> Event:
    """A key signature, moved; one that MIDI does not define stays as it is."""
    key = key_signature_of(event)
    if key is None:
        return event
    sharps = key.transposed(semitones).sharps
    return event._replace(data=sharps.to_bytes(1, "big", signed=True) + event.data[1:])


# New events.


def _at(tick: int, message: mido.Message | mido.MetaMessage) -> Event:
    """An event with this message of mido."""
    content = b"\0" + message.bin()
    (event,) = events_in(content)
    return event._replace(tick=tick, gap=b"")


def tempo_event(tick: int, bpm: float) -> Event:
    return _at(tick, mido.MetaMessage("set_tempo", tempo=round(60e6 / bpm)))


def time_signature_event(tick: int, signature: tuple[int, int]) -> Event:
    beats, unit = signature
    return _at(tick, mido.MetaMessage("time_signature", numerator=beats, denominator=unit))


def key_signature_event(tick: int, key: KeySignature) -> Event:
    """A key signature. MIDI has no other modes than major and minor."""
    is_minor = key.mode in ("minor", "aeolian")
    data = key.sharps.to_bytes(1, "big", signed=True) + bytes([is_minor])
    return _at(tick, mido.UnknownMetaMessage(KEY_SIGNATURE, data))


def end_of_track(tick: int) -> Event:
    return _at(tick, mido.MetaMessage("end_of_track"))


def text_event(tick: int, kind: int, text: str) -> Event:
    """A text of a kind such as `MARKER`, in UTF-8.

    mido knows no encoding beside that of a whole process.
    """
    return _at(tick, mido.UnknownMetaMessage(kind, text.encode()))


def voice_events(
    notes: Iterable[tuple[int, int, int, int]], channel: int, program: int | None, name: str | None
) -> list[Event]:
    """The events of a voice.

    Notes are (start, end, pitch, velocity), and last a tick or more.
    """
    events: list[Event] = []
    if name is not None:
        events.append(text_event(0, TRACK_NAME, name))
    if program is not None:
        events.append(_at(0, mido.Message("program_change", channel=channel, program=program)))
    for start, end, pitch, velocity in notes:
        strike = mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)
        release = mido.Message("note_off", channel=channel, note=pitch, velocity=0)
        events.append(_at(start, strike))
        events.append(_at(max(end, start + 1), release))
    return events


def new_track(events: Sequence[Event], end: int) -> TrackEvents:
    """A track of new events in the order of time, with its end.

    It ends at `end`, or with its last event if that is later. A status that is that of the event
    before is left out.
    """

    def place(event: Event) -> tuple[int, int, int]:
        order = _ORDER.get(event.status >> 4, 0)
        return event.tick, order, event.data[0] if order else 0

    ordered = sorted(events, key=place)
    last = last_tick([ordered])
    ordered.append(end_of_track(max(end, last)))
    track: TrackEvents = []
    before: int | None = None
    for event in ordered:
        is_running = event.status == before and event.status < FIRST_SYSTEM
        track.append(event._replace(is_running=is_running))
        before = event.status
    return track
