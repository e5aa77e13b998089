"""Files of music to a dataset: stretches from bar lines, whole pieces, what is left out and why."""

import dataclasses
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from toy_dataset import all_sequences, left_out
from toy_music import song
from toy_tunes import folder_of_tunes, tune

from lnfgen.conventions import SPLITS
from lnfgen.data.dataset import open_dataset
from lnfgen.data.dataset_options import Options
from lnfgen.data.facts import dataset_facts
from lnfgen.data.preprocessing import prepare
from lnfgen.errors import DatasetError, UnreadableFileError
from lnfgen.formats.read_write import read, write
from lnfgen.music.octaves import on_keys_of_parts
from lnfgen.music.parts import LOWEST, NUM_KEYS
from lnfgen.music.pianoroll import LOWEST_PITCH, PianoRoll
from lnfgen.music.song import Song
from lnfgen.music.tracks import DRUMS


def test_own_folder(tmp_path: Path) -> None:
    source = folder_of_tunes(tmp_path / "mine", 29, steps=100)
    dataset = prepare([source], tmp_path / "d", Options(max_length=30))
    assert dataset.name == "mine"
    assert dataset.encoding.has_onsets
    assert dataset.encoding.time_signature == (3, 4)
    assert dataset.encoding.tempo_bpm == pytest.approx(96.0)
    lengths = np.concatenate([dataset.split(name).lengths for name in SPLITS])
    assert set(lengths) == {24, 28}  # two bars of 12, and the end, which needs no bar line
    assert lengths.sum() == 2900
    assert len(dataset.manifest["sources"]) == 29


def test_whole_pieces_go_to_one_split(tmp_path: Path) -> None:
    source = folder_of_tunes(tmp_path / "mine", 10)
    dataset = prepare([source], tmp_path / "d", Options(max_length=12))
    starts = {tune(number).sounding[:12].tobytes() for number in range(10)}
    seen: dict[str, set[bytes]] = {}
    for name in SPLITS:
        stretches = {(values & 1).astype(bool).tobytes() for values in dataset.split(name)}
        seen[name] = stretches & starts
    assert list(map(len, seen.values())) == [8, 1, 1]
    assert set().union(*seen.values()) == starts


def test_unreadable_files_are_skipped_with_a_reason(tmp_path: Path) -> None:
    source = folder_of_tunes(tmp_path / "mine", 4)
    (source / "empty.mid").touch()
    (source / "text.mid").write_text("hello")
    (source / "half.mid").write_bytes((source / "tune00.mid").read_bytes()[:40])
    write(source / "silent.npz", PianoRoll.of_one(np.zeros((8, 88), np.bool_)))
    write(source / "pause.mid", PianoRoll.from_notes([(0, 4, 60), (600, 4, 61)]))
    other = PianoRoll.of_one(np.ones((8, 88), np.bool_), steps_per_quarter=3)
    write(source / "other-grid.npz", other)
    (source / "readme.doc").write_text("not music at all")
    dataset = prepare([source], tmp_path / "d")
    skipped = left_out(dataset)
    assert {"empty.mid", "text.mid", "silent.npz", "other-grid.npz"} <= set(skipped)
    assert "no notes" in skipped["silent.npz"]
    assert "16 bars of silence in it" in skipped["pause.mid"]
    assert "steps per quarter" in skipped["other-grid.npz"]
    assert not {"empty.mid", "text.mid"} & {item["path"] for item in dataset.manifest["sources"]}
    with pytest.raises(UnreadableFileError, match=r"empty\.mid"):
        prepare([source], tmp_path / "s", Options(strict=True))
    # an error leaves nothing behind
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "mine"]
    only = [source / name for name in ("tune00.mid", "pause.mid", "tune01.mid")]
    kept = prepare(only, tmp_path / "s", Options(strict=True))  # a pause is no reason to stop
    assert list(left_out(kept)) == ["pause.mid"]


def test_sequences_begin_and_end_with_music(tmp_path: Path) -> None:
    """A model that has learned silent bars at the ends of pieces would write some. Silence in
    between stays."""
    notes = [(38, 4, 60), (100, 4, 62)]  # on sixteenths, in 4/4: bars 3 and 7
    write(tmp_path / "late.npz", PianoRoll.from_notes(notes, num_steps=200))
    dataset = prepare([tmp_path / "late.npz"], tmp_path / "d", Options(split=(1, 0, 0)))
    (sequence,) = dataset.split("train")
    assert len(sequence) == 5 * 16
    assert np.flatnonzero(sequence.any(axis=(1, 2))).tolist() == [6, 7, 8, 9, 68, 69, 70, 71]


def test_each_sequence_keeps_its_time_signature(tmp_path: Path) -> None:
    source = folder_of_tunes(tmp_path / "mine", 8)
    for number in range(8, 11):
        write(source / f"{number}.mid", dataclasses.replace(tune(number), time_signature=(6, 8)))
    dataset = prepare([source], tmp_path / "d", Options(max_length=24))
    signatures: dict[bytes, tuple[int, int]] = {}
    for name in dataset.split_names:
        for piece in dataset.pieces(name):
            assert isinstance(piece, PianoRoll)
            signatures[piece.sounding.tobytes()] = piece.time_signature
    for number in range(11):
        first = tune(number).sounding[:24].tobytes()
        assert signatures[first] == ((6, 8) if number > 7 else (3, 4))
    assert dataset.encoding.time_signature == (3, 4)
    assert dataset_facts(dataset)["time_signatures"] == "3/4: 24, 6/8: 9"


def test_a_benchmark_set_stands_alone_wherever_it_is_named(tmp_path: Path) -> None:
    pieces = [[(60,)]]
    (tmp_path / "set.pickle").write_bytes(pickle.dumps(dict.fromkeys(SPLITS, pieces)))
    (tmp_path / "words.txt").write_text("some\nwords\nhere\n")
    for names in (("words.txt", "set.pickle"), ("set.pickle", "words.txt")):
        with pytest.raises(
            DatasetError, match=r"set\.pickle is a benchmark set beside other sources"
        ):
            prepare([tmp_path / name for name in names], tmp_path / "d")


def test_a_band_on_the_finest_grid_opens_again(tmp_path: Path) -> None:
    """480 steps per quarter of four parts are no more than of one."""
    source = tmp_path / "songs"
    source.mkdir()
    for number in range(3):
        (source / f"{number}.mid").write_bytes(song(shift=number))
    options = Options(parts="4", steps_per_quarter=480, max_length=4000)
    dataset = prepare([source], tmp_path / "d", options)
    assert dataset.manifest["skipped"] == []
    assert open_dataset(tmp_path / "d").encoding.steps_per_quarter == 480
    for sequence in all_sequences(dataset):
        assert sequence.shape[1:] == (4, 49)
    facts = dataset_facts(dataset)
    assert (facts["steps_per_quarter"], facts["parts"]) == (480, "drums bass chords melody")


def test_parts_of_a_song_are_an_axis_of_its_sequences(tmp_path: Path) -> None:
    (tmp_path / "song.mid").write_bytes(song())
    (one,) = read(tmp_path / "song.mid", parts="4")
    options = Options(parts="4", split=(1, 0, 0), max_length=10_000)
    dataset = prepare([tmp_path / "song.mid"], tmp_path / "d", options)
    (piece,) = dataset.pieces("train")
    assert isinstance(one, Song)
    assert isinstance(piece, PianoRoll)
    assert piece.roles == one.roll.roles
    whole = one.roll.from_first_to_last_note()
    moved, num_moved = on_keys_of_parts(whole)
    assert num_moved
    for part, role in enumerate(piece.roles):
        keys = range(LOWEST[role], LOWEST[role] + NUM_KEYS)
        inside = [note for note in moved.notes(part) if note[2] in keys]
        assert piece.notes(part) == inside
        assert inside
        if role != DRUMS:
            assert inside == moved.notes(part)


SHEET = """X:1
T:Sheet {number}
M:4/4
L:1/4
K:C
"C"CDE{note} | "F"A4 | "G7"GF"Dm"ED | "C"C4 |]
"""


def _sheets(folder: Path, symbols: bool = True) -> Path:
    folder.mkdir()
    for number, note in enumerate("CDEFGABcdefg"):
        text = SHEET.format(number=number, note=note)
        if not symbols:
            text = re.sub(r'"[^"]*"', "", text)
        (folder / f"{number}.abc").write_text(text)
    return folder


def test_lead_sheets_are_bands_unless_one_part_is_asked_for(tmp_path: Path) -> None:
    source = _sheets(tmp_path / "sheets")
    dataset = prepare([source], tmp_path / "d")
    assert dataset.encoding.roles == ("bass", "chords", "melody")
    assert dataset.survey is not None
    music = dataset.survey.facts(source)["music"]
    assert (music["lead_sheets"], music["chord_symbols"]) == (12, 60)
    remarks = " ".join(dataset.manifest["preprocessing"]["remarks"])
    assert "12 lead sheets, of which chords and bass play the chord symbols" in remarks
    melodies = prepare([source], tmp_path / "m", Options(parts="1"))
    assert melodies.encoding.roles == ()
    melody = melodies.split("train")[0]
    assert any(np.array_equal(melody[:, 0], _keys(band)) for band in dataset.split("train"))


def _keys(band: np.ndarray) -> np.ndarray:
    """The melody of a band on the keys of a piano."""
    first = LOWEST["melody"] - LOWEST_PITCH
    return np.pad(band[:, 2], ((0, 0), (first, 88 - first)))[:, :88]


def test_scores_that_are_no_lead_sheets_are_one_part(tmp_path: Path) -> None:
    source = _sheets(tmp_path / "tunes", symbols=False)
    assert prepare([source], tmp_path / "d").encoding.roles == ()
    for number in range(12, 42):
        (source / f"{number}.abc").write_text(SHEET.format(number=number, note="GABc"[number % 4]))
    # now most of them are lead sheets
    assert prepare([source], tmp_path / "e").encoding.roles == ("bass", "chords", "melody")


def test_versions_of_a_song_are_one_song_in_one_split(tmp_path: Path) -> None:
    source = folder_of_tunes(tmp_path / "mine", 12, steps=192)
    for number in range(0, 12, 3):
        roll = tune(number, 192)
        version = roll.transposed(2).stretch(0, 96)
        write(source / f"version{number:02}.mid", version)
    for seed in range(4):
        options = Options(max_length=48, seed=seed)
        dataset = prepare([source], tmp_path / f"d{seed}", options, jobs=1)
        songs = {name: set(dataset.split(name).songs.tolist()) for name in SPLITS}
        assert sum(map(len, songs.values())) == len(set().union(*songs.values())) == 12
        for name in SPLITS:
            split = dataset.split(name)
            assert len(split.songs) == len(split)


def test_songs_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    source = folder_of_tunes(tmp_path / "mine", 6)
    dataset = prepare([source], tmp_path / "d")
    manifest = json.loads((dataset.path / "dataset.json").read_text())
    for wrong in ("0 0", "0 1 2 -3 4 5", "a b c d e f", 7):
        manifest["splits"]["train"]["songs"] = wrong
        (dataset.path / "dataset.json").write_text(json.dumps(manifest))
        with pytest.raises(DatasetError, match="the songs of train are not"):
            open_dataset(dataset.path)
