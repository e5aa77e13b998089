"""What a piece loses where it is converted: counted for a roll, a file, a folder, and by `info`."""

import io
import json
from pathlib import Path
from typing import Any

import mido
from command import Call
from hypothesis import given
from hypothesis import strategies as st
from strategies import bands, rolls
from toy_music import song_of_band

from lnfgen.data.dataset import Dataset
from lnfgen.data.dataset_options import Options
from lnfgen.data.facts import dataset_facts, piece_facts
from lnfgen.data.preprocessing import prepare
from lnfgen.formats.read_write import read_bytes
from lnfgen.music.conversion import (
    REPORTED,
    ConversionReport,
    lost_in_parts,
    lost_in_range,
    lost_on_grid,
    report_of_notes,
)
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song

LOST = {
    "rounded": 8,
    "merged": 1,
    "overlapping": 4,
    "out_of_range": 1,
    "unread_chords": 0,
    "tempo_changes": 1,
    "time_signature_changes": 1,
    "velocity_changes": 2,
    "bend_changes": 2,
    "pedal_changes": 2,
}


def test_notes_that_cannot_be_kept_apart_are_counted() -> None:
    notes = [(0, 8, 60), (4, 2, 60), (1, 0, 62), (0, 1, 20), (0, 1, 109), (4, 1, 60)]
    assert report_of_notes(notes) == ConversionReport(
        notes=6, merged=1, overlapping=1, out_of_range=2
    )
    assert PianoRoll.from_notes(notes).num_notes == 3, "two that overlap are both struck"


@given(rolls() | bands(), st.integers(1, 7))
def test_a_finer_grid_loses_nothing(roll: PianoRoll, times: int) -> None:
    assert not +lost_on_grid(roll, times * roll.steps_per_quarter)


@given(rolls(), st.integers(1, 7))
def test_a_roll_that_lies_on_a_grid_loses_nothing_on_it(roll: PianoRoll, times: int) -> None:
    finer = roll.on_grid(times * roll.steps_per_quarter)
    assert not +lost_on_grid(finer, roll.steps_per_quarter)


def test_a_coarser_grid_rounds_ends_and_merges_notes() -> None:
    roll = PianoRoll.from_notes([(0, 1, 60), (1, 1, 60), (4, 4, 64)])
    # the first note ends beside the grid, the second one begins and ends there
    assert +lost_on_grid(roll, 1) == ConversionReport(rounded=3, merged=1)
    pair = PianoRoll.of_parts([roll, roll], [Part("bass"), Part("melody")])
    assert +lost_on_grid(pair, 1) == ConversionReport(rounded=6, merged=2)


def test_notes_beyond_a_range_are_counted() -> None:
    roll = PianoRoll.from_notes([(0, 4, 40), (2, 1, 90), (3, 1, 90), (0, 1, 60)])
    assert +lost_in_range(roll, 41, 49) == ConversionReport(out_of_range=3)
    assert not +lost_in_range(roll, 0, 128)
    assert not +lost_in_range(roll, roll.lowest_pitch, roll.num_pitches)


def test_notes_of_parts_that_are_left_out_are_counted() -> None:
    song = song_of_band(1)
    pair = [Part("bass"), Part("melody")]
    left_out = len(song.notes(0)) + len(song.notes(2))
    assert lost_in_parts(song, pair) == ConversionReport(out_of_range=left_out)
    assert not lost_in_parts(song, song.parts)
    assert not lost_in_parts(song, []), "drums are no part of one merged roll"
    melody = song.part(3)
    assert not +lost_in_parts(melody, pair)
    assert lost_in_parts(melody, pair, "chords")["out_of_range"] == melody.num_notes


# From a file to a dataset.


def song(pitch: int = 60) -> bytes:
    """A song of 96 ticks to a quarter, which loses something of each kind.

    One track has triplets; in another a long note starts with one of them and outlasts it.
    """
    file = mido.MidiFile(ticks_per_beat=96)
    file.tracks += [_head(), _lead(pitch), _pad(pitch), _drums()]
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def _head() -> mido.MidiTrack:
    return mido.MidiTrack(
        [
            mido.MetaMessage("set_tempo", tempo=500_000),
            mido.MetaMessage("time_signature", numerator=4, denominator=4),
            mido.MetaMessage("set_tempo", tempo=400_000, time=96),
            mido.MetaMessage("time_signature", numerator=3, denominator=4, time=12 * 96),
        ]
    )


def _lead(pitch: int) -> mido.MidiTrack:
    lead = mido.MidiTrack()
    for value in (0, 127, 100, 0):
        lead.append(mido.Message("control_change", control=64, value=value))
    for value in (90, 80):
        lead.append(mido.Message("control_change", control=7, value=value))
    # at 0, 32, 64, 96 and 128 ticks: 32 is a third of a quarter
    for velocity in (80, 80, 100, 100, 60):
        lead.append(mido.Message("note_on", note=pitch, velocity=velocity))
        lead.append(mido.Message("note_off", note=pitch, time=32))
    # under the piano's range
    lead.append(mido.Message("note_on", note=10, velocity=60))
    lead.append(mido.Message("note_off", note=10, time=32))
    return lead


def _pad(pitch: int) -> mido.MidiTrack:
    pad = mido.MidiTrack()
    for value in (0, 500, 500, 0):
        pad.append(mido.Message("pitchwheel", channel=1, pitch=value))
    pad.append(mido.Message("note_on", channel=1, note=pitch, velocity=64))
    pad.append(mido.Message("note_off", channel=1, note=pitch, time=16 * 96))
    return pad


def _drums() -> mido.MidiTrack:
    drums = mido.MidiTrack()
    for velocity in range(1, 90):
        drums.append(mido.Message("note_on", channel=9, note=35, velocity=velocity, time=7))
    return drums


def folder(path: Path, count: int = 3) -> Path:
    path.mkdir()
    for number in range(count):
        (path / f"song{number}.mid").write_bytes(song(60 + number))
    return path


def remarks(dataset: Dataset) -> list[str]:
    found: list[str] = dataset.manifest["preprocessing"]["remarks"]
    return found


def read_song(**options: Any) -> Song:
    (piece,) = read_bytes(song(), "song.mid", **options)
    assert isinstance(piece, Song)
    return piece


def test_a_song_has_its_losses_counted() -> None:
    piece = read_song()
    report = piece.origin.report
    assert {name: report[name] for name in REPORTED} == LOST
    assert report["notes"] == 7
    facts = piece_facts(piece)
    assert {key: facts[key] for key in LOST} == LOST
    assert read_song(steps_per_quarter=12).origin.report["rounded"] == 0
    lead = read_song(tracks="1").origin.report
    assert lead["bend_changes"] == 0
    assert lead["merged"] == 0
    assert lead["velocity_changes"] == 2


def test_a_folder_says_what_its_songs_lost(tmp_path: Path) -> None:
    dataset = prepare([folder(tmp_path / "mine")], tmp_path / "d", Options(parts="1"))
    said = "\n".join(remarks(dataset))
    rounded = "rounded 24 of 42 starts and ends of notes to 4 steps per quarter"
    assert f"{rounded}; --steps-per-quarter 12 would round 0" in said
    assert "merged 3 of 21 notes with another of the same key and start" in said
    assert "left out changes: 3 of tempo, 3 of time signature" in said
    assert "left out changes: 6 of velocity, 6 of pitch bend, 6 of pedal" in said
    facts = dataset_facts(dataset)
    assert {key: facts[key] for key in LOST} == {key: 3 * value for key, value in LOST.items()}


def test_nothing_is_said_where_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "plain.abc").write_text(
        "X:1\nM:4/4\nL:1/4\nK:C\nCDEF|DEFG|EFGA|FGAB|GABc|ABcd|Bcde|cdef|\n"
    )
    dataset = prepare([tmp_path / "plain.abc"], tmp_path / "d", Options(kind="music"))
    assert remarks(dataset) == [
        "there are fewer songs (1) than splits, so each piece was split in time, at bar lines"
    ]


def test_convert_and_info_have_the_same_counts(lnfgen: Call, tmp_path: Path) -> None:
    (tmp_path / "song.mid").write_bytes(song())
    as_one = ("--parts", "1")  # the song has drums, and is one of a band otherwise
    done = lnfgen("info", str(tmp_path / "song.mid"), "--json", *as_one)
    facts = json.loads(done.stdout)
    assert {key: facts[key] for key in LOST} == LOST
    paths = (str(tmp_path / "song.mid"), str(tmp_path / "song.txt"))
    done = lnfgen("convert", *paths, "--tempo", "90", *as_one)
    said = done.stderr.decode()
    assert "8 of 14 starts and ends" in said
    assert "left out changes: 1 of time signature\n" in said, (
        "of tempo none, as another one is asked for"
    )
    assert "2 of velocity, 2 of pitch bend, 2 of pedal" in said
