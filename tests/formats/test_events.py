"""A roll has the tempo and time signature that last longest in its file, of whatever format."""

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import mido
import pytest
from music21 import meter, note, stream
from music21.musicxml.m21ToXml import GeneralObjectExporter
from reading import one_song

from lnfgen.formats.events import Events, longest_lasting, num_changes, with_choice
from lnfgen.formats.read_write import read

Bars = list[tuple[int, int]]
"""The time signature of each bar."""

UPBEAT: Bars = [(1, 4), *[(3, 4)] * 4]
TURN: Bars = [*[(4, 4)] * 2, *[(3, 4)] * 5]
EVEN: Bars = [*[(3, 4)] * 4, *[(4, 4)] * 3]


def midi(bars: Bars) -> bytes:
    """A MIDI file with one note in each bar."""
    track = mido.MidiTrack()
    for beats, unit in bars:
        track.append(mido.MetaMessage("time_signature", numerator=beats, denominator=unit))
        track.append(mido.Message("note_on", note=60))
        track.append(mido.Message("note_off", note=60, time=16 * beats // unit))
    buffer = io.BytesIO()
    mido.MidiFile(ticks_per_beat=4, tracks=[track]).save(file=buffer)
    return buffer.getvalue()


def musicxml(bars: Bars) -> bytes:
    """The same as a score."""
    part = stream.Part()
    for beats, unit in bars:
        written = note.Note("C4", quarterLength=4 * beats / unit)
        part.append(stream.Measure([meter.TimeSignature(f"{beats}/{unit}"), written]))
    return GeneralObjectExporter(stream.Score([part])).parse()


@pytest.mark.parametrize(("suffix", "make"), [(".mid", midi), (".musicxml", musicxml)])
@pytest.mark.parametrize(("bars", "lasts"), [(UPBEAT, (3, 4)), (TURN, (3, 4)), (EVEN, (3, 4))])
def test_the_time_signature_of_a_file_is_the_one_that_lasts_longest(
    suffix: str,
    make: Callable[[Bars], bytes],
    bars: Bars,
    lasts: tuple[int, int],
    tmp_path: Path,
) -> None:
    path = tmp_path / f"piece{suffix}"
    path.write_bytes(make(bars))
    song = one_song(read(path))
    assert song.roll.time_signature == lasts
    assert song.roll.num_steps == sum(16 * beats // unit for beats, unit in bars)
    # The upbeat is kept, so that nothing is lost.
    assert song.origin.report["time_signature_changes"] == (bars is not UPBEAT)
    assert song.roll.upbeat == (4 if bars is UPBEAT else 0)


def tempo(changes: list[tuple[int, float]], end: int) -> float:
    return longest_lasting(changes, end, 120.0, lambda bpm: bpm)


def test_lasting_is_measured_in_seconds_and_of_equals_the_first_counts() -> None:
    assert tempo([], 10) == 120.0
    assert tempo([(0, 90.0)], 0) == 90.0
    assert tempo([(4, 60.0)], 5) == 120.0
    assert tempo([(0, 60.0), (4, 240.0)], 12) == 60.0
    assert tempo([(0, 60.0), (1, 120.0)], 3) == 60.0
    assert longest_lasting([(0, (3, 4)), (12, (4, 4))], 24, (4, 4)) == (3, 4)
    assert longest_lasting([(12, (3, 4))], 24, (4, 4)) == (4, 4)


def test_signatures_that_a_roll_cannot_have_do_not_count() -> None:
    events = Events(signatures=[(0, (4, 3)), (6, (3, 4))], end=8)
    song = events.song((), (), Fraction(1), 4, "-")
    assert song.roll.time_signature == (4, 4)


def test_changes_are_counted_where_something_sounds() -> None:
    assert num_changes([(0, 1), (4, 2), (4, 1), (6, 3), (9, 1)], 9) == 1
    assert num_changes([], 4) == 0


def test_notes_of_two_parts_that_share_a_key_do_not_meet() -> None:
    events = Events(end=Fraction(8))
    for name, pitches in (("melody", (60, 72)), ("bass", (60, 40)), ("piano", (64, 67))):
        events.add([(Fraction(0), Fraction(4), pitch) for pitch in pitches], name)
    tracks = [track for track, _ in events.tracks]
    merged = events.song(tracks, (), Fraction(1), 4, "-")
    assert merged.origin.report["merged"] == 1
    roles = ("bass", "chords", "melody")
    chosen = with_choice(tracks, "melody=1,bass=2,chords=3", roles, "-")
    band = events.song(chosen, roles, Fraction(1), 4, "-")
    assert band.origin.report["merged"] == 0
