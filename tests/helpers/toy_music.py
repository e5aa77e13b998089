"""Music for tests: small rolls, a chorale, a waltz with an upbeat, bands, and a song as MIDI."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest

from lnfgen.music.notes import Note
from lnfgen.music.parts import ROLES, Part
from lnfgen.music.pianoroll import PianoRoll

WALTZ = PianoRoll.from_notes(
    [(0, 2, 67), (2, 2, 65), (4, 12, 60), (16, 4, 62), (20, 8, 64), (28, 6, 65)],
    time_signature=(3, 4),
).with_upbeat(4)  # a quarter, two bars of 12 steps, and half a bar

ROLL = PianoRoll.from_notes(
    [(0, 4, 60), (4, 4, 60), (8, 4, 64), (8, 4, 67)], num_steps=40, time_signature=(3, 4)
)
TUNES = (
    "X:1\nT:A\nM:4/4\nL:1/4\nK:C\nC D E F | G4 | A4 |]\n\n"
    "X:2\nT:B\nM:4/4\nL:1/4\nK:C\nE4 | F4 | c2 z2 |]\n"
)


def chorale() -> bytes:
    """A short chorale of the corpus of music21, whose parts say which voice has which note."""
    import music21

    path = Path(music21.__file__).parent / "corpus" / "bach" / "bwv66.6.mxl"
    if not path.exists():
        pytest.skip("this music21 came without its corpus")
    return path.read_bytes()


# Songs of several tracks, as MIDI.

Events = list[tuple[int, int, int]]  # (start, length, pitch), in quarters
_QUARTER = 96  # ticks

TUNE: Events = [(quarter, 1, 67 + quarter % 7) for quarter in range(32)]
LOW: Events = [(quarter, 2, 36 + quarter % 5) for quarter in range(0, 32, 2)]
CHORDS: Events = []
for _quarter in range(0, 32, 4):
    CHORDS += [(_quarter, 4, 76), (_quarter, 4, 79), (_quarter, 4, 84)]
BELLS: Events = [(quarter, 1, 100) for quarter in (7, 31)]
BEAT: Events = [(quarter, 1, 36) for quarter in range(32)]


def track(name: str, channel: int, program: int | None, notes: Events) -> mido.MidiTrack:
    made = mido.MidiTrack()
    if name:
        made.append(mido.MetaMessage("track_name", name=name))
    if program is not None:
        made.append(mido.Message("program_change", channel=channel, program=program))
    # ends first, so that a note may follow another one of its key
    events = [(start + length, 0, "note_off", pitch) for start, length, pitch in notes]
    events += [(start, 1, "note_on", pitch) for start, _, pitch in notes]
    now = 0
    for quarter, is_on, kind, pitch in sorted(events):
        ticks = (quarter - now) * _QUARTER
        message = mido.Message(kind, channel=channel, note=pitch, velocity=64 * is_on, time=ticks)
        made.append(message)
        now = quarter
    return made


def midi(*tracks: mido.MidiTrack, kind: int = 1) -> bytes:
    buffer = io.BytesIO()
    mido.MidiFile(type=kind, ticks_per_beat=_QUARTER, tracks=list(tracks)).save(file=buffer)
    return buffer.getvalue()


def song(tune_name: str = "", shift: int = 0) -> bytes:
    """A song of five tracks, of which the tune is neither the highest nor has the most notes."""
    head = mido.MidiTrack()
    head.append(mido.MetaMessage("track_name", name="A song"))
    head.append(mido.MetaMessage("set_tempo", tempo=600_000))
    tune = [(start, length, pitch + shift) for start, length, pitch in TUNE]
    return midi(
        head,
        track("Drums", 9, None, BEAT),
        track("Strings", 0, 48, CHORDS),
        track(tune_name, 1, 73, tune),
        track("Bass_1", 2, 33, LOW),
        track("Glockenspiel", 3, 9, BELLS),
    )


# Rolls of one part.

TRIADS = np.array([[0, 7, 16, 24], [5, 9, 17, 24], [7, 14, 17, 23], [9, 12, 16, 21]])


def struck_chords(
    *chords: Sequence[int], grid: int = 2, length: int = 1, **attributes: Any
) -> PianoRoll:
    """A piece of these chords, all of them struck, each of so many steps."""
    notes = []
    for place, pitches in enumerate(chords):
        notes += [(place * length, length, pitch) for pitch in pitches]
    num_steps = len(chords) * length
    return PianoRoll.from_notes(notes, num_steps=num_steps, steps_per_quarter=grid, **attributes)


def random_piece(
    seed: int, num_steps: int = 64, density: float = 0.05, low: int = 20, high: int = 60
) -> PianoRoll:
    """Notes at random between two columns, so that there is room to transpose."""
    rng = np.random.default_rng(seed)
    sounding = np.zeros((num_steps, 88), np.bool_)
    sounding[:, low:high] = rng.random((num_steps, high - low)) < density
    onsets = sounding & (rng.random(sounding.shape) < 0.7)
    return PianoRoll.of_one(sounding, onsets, steps_per_quarter=2)


def harmonised(seed: int, num_quarters: int = 40, wrong: float = 0.0) -> PianoRoll:
    """Four voices in chords of one key, a chord a quarter, in eighths.

    A pitch is random with a chance `wrong`.
    """
    rng = np.random.default_rng(seed)
    key = 44 + int(rng.integers(8))
    notes = []
    for quarter in range(num_quarters):
        start = 2 * quarter
        for pitch in (TRIADS[rng.integers(4)] + key).tolist():
            if rng.random() < wrong:
                pitch = int(rng.integers(40, 84))
            is_split = rng.random() < 0.2
            if is_split:
                notes += [(start, 1, pitch), (start + 1, 1, pitch)]
            else:
                notes.append((start, 2, pitch))
    return PianoRoll.from_notes(notes, num_steps=2 * num_quarters, steps_per_quarter=2)


def pieces(first: int, last: int, **options: Any) -> list[PianoRoll]:
    return [harmonised(seed, **options) for seed in range(first, last)]


# Rolls of bands.


def band(
    num_steps: int,
    upbeat: int = 0,
    *,
    time_signature: tuple[int, int] = (4, 4),
    **parts: list[Note],
) -> PianoRoll:
    """A band in sixteenths whose parts, by their roles, have these notes."""
    rolls = []
    for notes in parts.values():
        roll = PianoRoll.from_notes(notes, num_steps=num_steps, time_signature=time_signature)
        rolls.append(roll.with_upbeat(upbeat))
    return PianoRoll.of_parts(rolls, [Part(role) for role in parts])


def song_of_band(seed: int, num_bars: int = 8, wrong: float = 0.0) -> PianoRoll:
    """A chord a bar, of one key, with a bass, a melody and drums.

    A drum is at a random place with a chance `wrong`.
    """
    rng = np.random.default_rng(seed)
    of_drums = np.random.default_rng([seed, 1])
    key = 44 + int(rng.integers(8))
    notes: dict[str, list[Note]] = {role: [] for role in ROLES}
    for start in range(0, 16 * num_bars, 16):
        low, *chord = (TRIADS[rng.integers(4)] + key).tolist()
        for at, pitch in ((0, 36), (8, 36), (4, 38), (12, 38)):
            if of_drums.random() < wrong:
                at = int(of_drums.integers(16))
            notes["drums"].append((start + at, 1, pitch))
        notes["bass"] += [(start + at, 4, low - 12) for at in (0, 8)]
        notes["chords"] += [(start, 16, pitch) for pitch in chord]
        for at in (0, 4, 8, 12):
            notes["melody"].append((start + at, 4, int(rng.choice(chord)) + 12))
    return band(16 * num_bars, **notes)
