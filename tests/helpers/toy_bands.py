"""Bands at toy sizes: an encoding, and a person's file with four tracks, the pedal and all kinds of
velocities."""

import io

import mido

from lnfgen.data.encoding import Encoding
from lnfgen.music.parts import NUM_KEYS, ROLES, Part

TWO = (Part("bass", 33), Part("melody", 73, (90, 60)))
FOUR = tuple(Part(role) for role in ROLES)


def band_encoding(
    parts: tuple[Part, ...] = FOUR, num_keys: int = NUM_KEYS, grid: int = 4
) -> Encoding:
    steps = grid * len(parts)
    return Encoding(
        "music", num_pitches=num_keys, steps_per_quarter=steps, fills_upbeats=True, parts=parts
    )


def band_file(bars: int = 4) -> bytes:
    """Bars of 4/4 of drums, a bass, chords with the pedal and a melody, all played a few ticks
    late."""
    beat, midi = 480, mido.MidiFile(type=1, ticks_per_beat=480)
    head = [
        (0, mido.MetaMessage("set_tempo", tempo=500_000)),
        (900, mido.MetaMessage("marker", text="verse")),
    ]
    lines = {
        "Drum kit": (
            9,
            16,
            [(beat * i // 2, 20, (36, 42, 38, 42)[i % 4]) for i in range(8 * bars)],
        ),
        "Bass": (0, 33, [(beat * i, 400, 36 + 5 * (i % 3)) for i in range(4 * bars)]),
        "Piano": (
            1,
            2,
            [(2 * beat * i, 900, pitch + i % 2) for i in range(2 * bars) for pitch in (60, 64, 67)],
        ),
        "Lead": (2, 73, [(beat * i, 300 + 7 * i, 72 + 7 * i % 12) for i in range(4 * bars)]),
    }
    midi.tracks.append(_track(head))
    for index, (name, (channel, program, notes)) in enumerate(lines.items()):
        events = [(0, mido.MetaMessage("track_name", name=name))]
        events.append((0, mido.Message("program_change", channel=channel, program=program)))
        events.append((950, mido.Message("control_change", channel=channel, control=64, value=100)))
        for place, (start, length, pitch) in enumerate(notes):
            late, loud = 3 * place % 11, 30 + 20 * index + place % 13
            events.append(
                (start + late, mido.Message("note_on", channel=channel, note=pitch, velocity=loud))
            )
            events.append(
                (
                    start + late + length,
                    mido.Message("note_off", channel=channel, note=pitch, velocity=9),
                )
            )
        midi.tracks.append(_track(events))
    buffer = io.BytesIO()
    midi.save(file=buffer)
    return buffer.getvalue()


def _track(events: list[tuple[int, object]]) -> mido.MidiTrack:
    result, now = mido.MidiTrack(), 0
    for tick, message in sorted(events, key=lambda event: event[0]):
        result.append(message.copy(time=tick - now))  # type: ignore[attr-defined]
        now = tick
    result.append(mido.MetaMessage("end_of_track", time=120))
    return result
