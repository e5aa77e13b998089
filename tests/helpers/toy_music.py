"""Music for tests: a chorale, a waltz with an upbeat, and a song of five tracks as MIDI."""

import io
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest

from lnfgen.music.parts import ROLES, Part
from lnfgen.music.pianoroll import Note, PianoRoll

WALTZ = PianoRoll.from_notes(
    [(0, 2, 67), (2, 2, 65), (4, 12, 60), (16, 4, 62), (20, 8, 64), (28, 6, 65)],
    time_signature=(3, 4),
).with_upbeat(4)  # a quarter, two bars of 12 steps, and half a bar


def chorale() -> bytes:
    """A short chorale of the corpus of music21, whose parts say which voice has which note."""
    import music21

    path = Path(music21.__file__).parent / "corpus" / "bach" / "bwv66.6.mxl"
    if not path.exists():
        pytest.skip("this music21 came without its corpus")
    return path.read_bytes()


Events = list[tuple[int, int, int]]  # (start, length, pitch), in quarters


def track(name: str, channel: int, program: int | None, notes: Events) -> mido.MidiTrack:
    made = mido.MidiTrack([mido.MetaMessage("track_name", name=name)] if name else [])
    if program is not None:
        made.append(mido.Message("program_change", channel=channel, program=program))
    events = [(start, 1, pitch) for start, _, pitch in notes]
    events += [(start + length, 0, pitch) for start, length, pitch in notes]
    now = 0
    for time, is_on, pitch in sorted(events):
        kind = "note_on" if is_on else "note_off"
        made.append(
            mido.Message(
                kind, channel=channel, note=pitch, velocity=64 * is_on, time=(time - now) * 96
            )
        )
        now = time
    return made


def midi(*tracks: mido.MidiTrack, kind: int = 1) -> bytes:
    buffer = io.BytesIO()
    mido.MidiFile(type=kind, ticks_per_beat=96, tracks=list(tracks)).save(file=buffer)
    return buffer.getvalue()


TUNE: Events = [(quarter, 1, 67 + quarter % 7) for quarter in range(32)]
LOW: Events = [(quarter, 2, 36 + quarter % 5) for quarter in range(0, 32, 2)]
CHORDS: Events = [(quarter, 4, pitch) for quarter in range(0, 32, 4) for pitch in (76, 79, 84)]
BELLS: Events = [(quarter, 1, 100) for quarter in (7, 31)]
BEAT: Events = [(quarter, 1, 36) for quarter in range(32)]


def song(tune_name: str = "", shift: int = 0) -> bytes:
    """A song of five tracks, of which the tune is neither the highest nor the one with most
    notes."""
    return midi(
        mido.MidiTrack(
            [
                mido.MetaMessage("track_name", name="A song"),
                mido.MetaMessage("set_tempo", tempo=600_000),
            ]
        ),
        track("Drums", 9, None, BEAT),
        track("Strings", 0, 48, CHORDS),
        track(tune_name, 1, 73, [(start, length, pitch + shift) for start, length, pitch in TUNE]),
        track("Bass_1", 2, 33, LOW),
        track("Glockenspiel", 3, 9, BELLS),
    )


TRIADS = np.array([[0, 7, 16, 24], [5, 9, 17, 24], [7, 14, 17, 23], [9, 12, 16, 21]])


def harmonised(seed: int, num_quarters: int = 40, wrong: float = 0.0) -> PianoRoll:
    """Four voices in chords of one key, a chord a quarter, in eighths. A pitch is random with a
    chance `wrong`."""
    rng = np.random.default_rng(seed)
    key = 44 + int(rng.integers(8))
    notes = []
    for quarter in range(num_quarters):
        for pitch in (TRIADS[rng.integers(4)] + key).tolist():
            pitch = int(rng.integers(40, 84)) if rng.random() < wrong else pitch
            split = rng.random() < 0.2
            notes += (
                [(2 * quarter, 1, pitch), (2 * quarter + 1, 1, pitch)]
                if split
                else [(2 * quarter, 2, pitch)]
            )
    return PianoRoll.from_notes(notes, num_steps=2 * num_quarters, steps_per_quarter=2)


def pieces(first: int, last: int, **options: Any) -> list[PianoRoll]:
    return [harmonised(seed, **options) for seed in range(first, last)]


def band(
    num_steps: int,
    upbeat: int = 0,
    *,
    time_signature: tuple[int, int] = (4, 4),
    **parts: list[Note],
) -> PianoRoll:
    """A band in sixteenths whose parts, by their roles, have these notes."""
    rolls = [
        PianoRoll.from_notes(notes, num_steps=num_steps, time_signature=time_signature)
        for notes in parts.values()
    ]
    return PianoRoll.of_parts(
        [roll.with_upbeat(upbeat) for roll in rolls], [Part(role) for role in parts]
    )


def song_of_band(seed: int, num_bars: int = 8, wrong: float = 0.0) -> PianoRoll:
    """A chord a bar, of one key, with a bass, a melody and drums. A drum is at a random place with
    a chance `wrong`."""
    rng, of_drums = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    key, notes = 44 + int(rng.integers(8)), dict[str, list[Note]]({role: [] for role in ROLES})
    for start in range(0, 16 * num_bars, 16):
        low, *chord = (TRIADS[rng.integers(4)] + key).tolist()
        for at, pitch in ((0, 36), (8, 36), (4, 38), (12, 38)):
            notes["drums"].append(
                (
                    start + (int(of_drums.integers(16)) if of_drums.random() < wrong else at),
                    1,
                    pitch,
                )
            )
        notes["bass"] += [(start + at, 4, low - 12) for at in (0, 8)]
        notes["chords"] += [(start, 16, pitch) for pitch in chord]
        notes["melody"] += [(start + at, 4, int(rng.choice(chord)) + 12) for at in (0, 4, 8, 12)]
    return band(16 * num_bars, **notes)


ROLL = PianoRoll.from_notes(
    [(0, 4, 60), (4, 4, 60), (8, 4, 64), (8, 4, 67)], num_steps=40, time_signature=(3, 4)
)
TUNES = "X:1\nT:A\nM:4/4\nL:1/4\nK:C\nC D E F | G4 | A4 |]\n\nX:2\nT:B\nM:4/4\nL:1/4\nK:C\nE4 | F4 | c2 z2 |]\n"
