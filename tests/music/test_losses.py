"""What a song of a band loses on its way into a dataset: counted in the file, in the folder, and by
`info`."""

import io
import json
from pathlib import Path

import mido
from command import Call

from lnfgen.data.dataset import Dataset
from lnfgen.data.facts import dataset_facts, piece_facts
from lnfgen.data.gather import Options
from lnfgen.data.prepare import prepare
from lnfgen.formats.read_write import read_bytes
from lnfgen.music.pianoroll import LOSSES, PianoRoll

LOST = {
    "rounded": 8,
    "merged": 1,
    "overlapping": 4,
    "out_of_range": 1,
    "tempo_changes": 1,
    "metre_changes": 1,
    "velocity_changes": 2,
    "bend_changes": 2,
    "pedal_changes": 2,
}


def song(pitch: int = 60) -> bytes:
    """Two tracks of 96 ticks to a quarter: triplets, and a long note that starts with one of them
    and outlasts it."""
    head = [
        mido.MetaMessage("set_tempo", tempo=500_000),
        mido.MetaMessage("time_signature", numerator=4, denominator=4),
        mido.MetaMessage("set_tempo", tempo=400_000, time=96),
        mido.MetaMessage("time_signature", numerator=3, denominator=4, time=12 * 96),
    ]
    lead = [mido.Message("control_change", control=64, value=value) for value in (0, 127, 100, 0)]
    lead += [mido.Message("control_change", control=7, value=value) for value in (90, 80)]
    # at 0, 32, 64, 96 and 128 ticks: 32 is a third of a quarter
    for velocity in (80, 80, 100, 100, 60):
        lead.append(mido.Message("note_on", note=pitch, velocity=velocity))
        lead.append(mido.Message("note_off", note=pitch, time=32))
    lead += [
        mido.Message("note_on", note=10, velocity=60),
        mido.Message("note_off", note=10, time=32),
    ]  # under the piano's range
    bends = [mido.Message("pitchwheel", channel=1, pitch=value) for value in (0, 500, 500, 0)]
    pad = [*bends, mido.Message("note_on", channel=1, note=pitch, velocity=64)]
    pad.append(mido.Message("note_off", channel=1, note=pitch, time=16 * 96))
    drums = [
        mido.Message("note_on", channel=9, note=35, velocity=velocity, time=7)
        for velocity in range(1, 90)
    ]
    file = mido.MidiFile(
        ticks_per_beat=96, tracks=[mido.MidiTrack(part) for part in (head, lead, pad, drums)]
    )
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def folder(path: Path, count: int = 3) -> Path:
    path.mkdir()
    for number in range(count):
        (path / f"song{number}.mid").write_bytes(song(60 + number))
    return path


def remarks(dataset: Dataset) -> list[str]:
    found: list[str] = dataset.manifest["preprocessing"]["remarks"]
    return found


def test_a_song_has_its_losses_counted() -> None:
    (roll,) = read_bytes(song(), "song.mid")
    assert isinstance(roll, PianoRoll)
    assert {name: roll.losses[name] for name in LOSSES} == LOST
    assert roll.losses["notes"] == 7
    assert {key: piece_facts(roll)[key] for key in LOST} == LOST
    (finer,) = read_bytes(song(), "song.mid", steps_per_quarter=12)
    assert isinstance(finer, PianoRoll)
    assert finer.losses["rounded"] == 0
    (lead,) = read_bytes(song(), "song.mid", tracks="1")
    assert isinstance(lead, PianoRoll)
    assert (
        lead.losses["bend_changes"],
        lead.losses["merged"],
        lead.losses["velocity_changes"],
    ) == (0, 0, 2)


def test_a_folder_says_what_its_songs_lost(tmp_path: Path) -> None:
    dataset = prepare([folder(tmp_path / "mine")], tmp_path / "d", Options(parts="1"))
    said = "\n".join(remarks(dataset))
    assert (
        "rounded 24 of 42 starts and ends of notes to 4 steps per quarter; --steps-per-quarter 12 would round 0"
        in said
    )
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
        "there are fewer pieces (1) than splits, so each was split in time, at bar lines"
    ]


def test_convert_and_info_have_the_same_counts(lnfgen: Call, tmp_path: Path) -> None:
    (tmp_path / "song.mid").write_bytes(song())
    done = lnfgen("info", str(tmp_path / "song.mid"), "--json")
    facts = json.loads(done.stdout)
    assert {key: facts[key] for key in LOST} == LOST
    done = lnfgen(
        "convert", str(tmp_path / "song.mid"), str(tmp_path / "song.txt"), "--tempo", "90"
    )
    said = done.stderr.decode()
    assert "8 of 14 starts and ends" in said
    assert "left out changes: 1 of time signature\n" in said, (
        "of tempo none, as another one is asked for"
    )
    assert "2 of velocity, 2 of pitch bend, 2 of pedal" in said
