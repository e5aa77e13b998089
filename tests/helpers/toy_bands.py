"""Bands at toy sizes: an encoding, and a person's file with four tracks, pedals and velocities."""

import io

import mido

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.music.parts import NUM_KEYS, ROLES, Part

TWO = (Part("bass", 33), Part("melody", 73, (90, 60)))
FOUR = tuple(Part(role) for role in ROLES)
_BEAT = 480  # ticks


def band_encoding(
    parts: tuple[Part, ...] = FOUR, num_keys: int = NUM_KEYS, grid: int = 4
) -> MusicEncoding:
    return MusicEncoding(
        num_pitches=num_keys, steps_per_quarter=grid, fills_upbeats=True, parts=parts
    )


def band_file(bars: int = 4) -> bytes:
    """Bars of 4/4 of drums, a bass, chords with the pedal and a melody, all a few ticks late."""
    midi = mido.MidiFile(type=1, ticks_per_beat=_BEAT)
    head = [
        (0, mido.MetaMessage("set_tempo", tempo=500_000)),
        (900, mido.MetaMessage("marker", text="verse")),
    ]
    midi.tracks.append(_track(head))
    lines = _lines(bars)
    for index, (name, (channel, program, notes)) in enumerate(lines.items()):
        pedal = mido.Message("control_change", channel=channel, control=64, value=100)
        events = [
            (0, mido.MetaMessage("track_name", name=name)),
            (0, mido.Message("program_change", channel=channel, program=program)),
            (950, pedal),
        ]
        for place, (start, length, pitch) in enumerate(notes):
            late = start + 3 * place % 11
            velocity = 30 + 20 * index + place % 13
            on = mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)
            off = mido.Message("note_off", channel=channel, note=pitch, velocity=9)
            events += [(late, on), (late + length, off)]
        midi.tracks.append(_track(events))
    buffer = io.BytesIO()
    midi.save(file=buffer)
    return buffer.getvalue()


def _lines(bars: int) -> dict[str, tuple[int, int, list[tuple[int, int, int]]]]:
    """By the name of a track its channel, its program, and its notes (start, length, pitch)."""
    drums = [(_BEAT * i // 2, 20, (36, 42, 38, 42)[i % 4]) for i in range(8 * bars)]
    bass = [(_BEAT * i, 400, 36 + 5 * (i % 3)) for i in range(4 * bars)]
    chords = []
    for i in range(2 * bars):
        chords += [(2 * _BEAT * i, 900, pitch + i % 2) for pitch in (60, 64, 67)]
    melody = [(_BEAT * i, 300 + 7 * i, 72 + 7 * i % 12) for i in range(4 * bars)]
    return {
        "Drum kit": (9, 16, drums),
        "Bass": (0, 33, bass),
        "Piano": (1, 2, chords),
        "Lead": (2, 73, melody),
    }


def _track(events: list[tuple[int, mido.Message | mido.MetaMessage]]) -> mido.MidiTrack:
    result = mido.MidiTrack()
    now = 0
    for tick, message in sorted(events, key=lambda event: event[0]):
        result.append(message.copy(time=tick - now))
        now = tick
    result.append(mido.MetaMessage("end_of_track", time=120))
    return result
