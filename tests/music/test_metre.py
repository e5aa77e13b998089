"""The one tempo and time signature of a roll: those that last longest, whatever the format of the file is."""

import io
from collections.abc import Callable
from pathlib import Path

import mido
import pytest
from music21 import meter, note, stream
from music21.musicxml.m21ToXml import GeneralObjectExporter

from lnfgen.formats.read_write import read
from lnfgen.formats.events import longest_signature, longest_tempo, lost_changes, num_changes
from lnfgen.music.pianoroll import PianoRoll

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
        track += [mido.Message("note_on", note=60), mido.Message("note_off", note=60, time=16 * beats // unit)]
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


@pytest.mark.parametrize("make", [midi, musicxml], ids=["MIDI", "MusicXML"])
@pytest.mark.parametrize(("bars", "lasts"), [(UPBEAT, (3, 4)), (TURN, (3, 4)), (EVEN, (3, 4))])
def test_the_time_signature_of_a_file_is_the_one_that_lasts_longest(
    make: Callable[[Bars], bytes], bars: Bars, lasts: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / f"piece.{'mid' if make is midi else 'musicxml'}"
    path.write_bytes(make(bars))
    (roll,) = read(path)
    assert isinstance(roll, PianoRoll)
    assert (roll.time_signature, roll.num_steps) == (lasts, sum(16 * beats // unit for beats, unit in bars))
    # The upbeat is kept, so that nothing is lost.
    assert lost_changes([roll]).endswith("left out changes: 1 of time signature") == (bars is not UPBEAT)
    assert roll.upbeat == (4 if bars is UPBEAT else 0)


def test_longest_tempo() -> None:
    assert longest_tempo([], 10) == 120.0
    assert longest_tempo([(0, 90.0)], 0) == 90.0
    assert longest_tempo([(4, 60.0)], 5) == 120.0
    assert longest_tempo([(0, 60.0), (4, 240.0)], 12) == 60.0, "lasting is measured in seconds"


def test_of_two_that_last_equally_long_the_first_counts() -> None:
    assert longest_signature([(0, (3, 4)), (12, (4, 4))], 24) == (3, 4)
    assert longest_signature([(12, (3, 4))], 24) == (4, 4)
    assert longest_tempo([(0, 60.0), (1, 120.0)], 3) == 60.0


def test_signatures_that_a_roll_cannot_have_do_not_count() -> None:
    assert longest_signature([(0, (4, 3)), (1, (3, 4))], 8) == (3, 4)


def test_changes_are_counted_where_something_sounds() -> None:
    assert num_changes([(0, 1), (4, 2), (4, 1), (6, 3), (9, 1)], 9) == 1
    assert num_changes([], 4) == 0
