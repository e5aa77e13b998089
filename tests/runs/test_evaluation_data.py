"""A run finds its dataset by its content, and other data are brought into its encoding."""

import dataclasses
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from command import Call
from reading import one_song
from toy_dataset import write_dataset
from toy_music import song
from toy_training import SIZES, TRAINING, Listener, make_dataset

import lnfgen
import lnfgen.runs.evaluation_data
from lnfgen.config import Config
from lnfgen.data.dataset import Dataset, open_dataset
from lnfgen.data.dataset_options import Options
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.errors import DatasetError, LnfgenWarning, RunError, UnreadableFileError
from lnfgen.formats.midi import midi_bytes, read_midi
from lnfgen.formats.text import UNKNOWN
from lnfgen.music.conversion import ConversionReport
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.repertoire import Repertoire
from lnfgen.music.song import Song
from lnfgen.runs.evaluation_data import (
    dataset_of,
    open_music,
    reading_options,
    scored_dataset,
    split_of,
    whole_file,
)
from lnfgen.runs.folder import RunFolder
from lnfgen.training.session import TrainingSession

ADVICE = "name a copy of it: lnfgen train DATASET --resume"


@pytest.fixture
def moved(tmp_path: Path) -> RunFolder:
    """A run whose dataset has been moved to `there`."""
    dataset = make_dataset(tmp_path / "here")
    training = dataclasses.replace(TRAINING, max_steps=2)
    run = tmp_path / "run"
    TrainingSession.begin(Config(SIZES, training), dataset, "cpu", run).close()
    (tmp_path / "here").rename(tmp_path / "there")
    return RunFolder(run)


def test_a_dataset_that_was_moved(moved: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="toy") as error:
        dataset_of(moved, advice=ADVICE)
    assert str(error.value).endswith(ADVICE)
    assert "\n" not in str(error.value)
    found = dataset_of(moved, tmp_path / "there", advice=ADVICE)
    assert found.fingerprint == moved.dataset["fingerprint"]
    assert dataset_of(moved, found, advice=ADVICE) is found


def test_another_dataset_is_refused(moved: RunFolder, tmp_path: Path) -> None:
    other = make_dataset(tmp_path / "other", num_valid=3)
    for source in (other, other.path):
        with pytest.raises(RunError, match="content is another"):
            dataset_of(moved, source, advice=ADVICE)
    shutil.copytree(tmp_path / "other", tmp_path / "here")
    with pytest.raises(RunError, match="is not the dataset toy") as error:
        dataset_of(moved, advice=ADVICE)
    assert str(error.value).endswith(ADVICE)


def test_training_goes_on_with_a_moved_dataset_and_remembers_it(
    moved: RunFolder, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=f"lnfgen train DATASET --resume --out {moved.path}"):
        TrainingSession.resume(moved, "cpu")
    assert TrainingSession.resume(moved, "cpu", tmp_path / "there").train(Listener())
    assert TrainingSession.resume(moved, "cpu").train(Listener())


def test_a_named_dataset_is_made_again_and_taken_if_it_is_the_same(
    moved: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved.dataset["name"] = "folk-abc"
    made = open_dataset(tmp_path / "there")

    def build_cached(source: Path, is_named: bool, *_: object) -> Dataset:
        assert (str(source), is_named) == ("folk-abc", True)
        if made is None:
            raise DatasetError("folk-abc is not on this machine; fetch it first")
        return made

    monkeypatch.setattr(lnfgen.runs.evaluation_data, "build_cached", build_cached)
    assert dataset_of(moved, advice=ADVICE).path == tmp_path / "there"
    made = make_dataset(tmp_path / "other", num_valid=3)
    with pytest.raises(RunError, match="folk-abc is made otherwise by now"):
        dataset_of(moved, advice=ADVICE)
    made = None
    with pytest.raises(RunError, match="is not on this machine; fetch it first") as error:
        dataset_of(moved, advice=ADVICE)
    assert str(error.value).endswith(ADVICE)


@pytest.mark.parametrize("damage", [[], {"options": None}, {"options": {"max_length": "x"}}])
def test_damaged_options_are_one_line(damage: object, moved: RunFolder) -> None:
    path = moved.path / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"preprocessing": damage}))
    with pytest.raises(RunError, match=r"is damaged: found no preprocessing\.options"):
        reading_options(RunFolder(moved.path))


@pytest.mark.skipif(sys.platform != "linux", reason="needs a system whose file names are any bytes")
def test_a_path_that_is_no_utf8_is_remembered(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / os.fsdecode(b"caf\xe9"))
    session = TrainingSession.begin(Config(SIZES, TRAINING), dataset, "cpu", tmp_path / "run")
    assert dataset_of(RunFolder(session.run.path), advice=ADVICE).path == dataset.path


def test_the_record_of_a_dataset_without_its_path_is_one_line(moved: RunFolder) -> None:
    for key in ("name", "path", "fingerprint", "encoding"):
        record = json.loads((moved.path / "dataset.json").read_text())
        (moved.path / "dataset.json").write_text(json.dumps(record | {key: [3]}))
        with pytest.raises(RunError, match=r"dataset\.json is damaged") as error:
            RunFolder(moved.path)
        assert "\n" not in str(error.value)
        (moved.path / "dataset.json").write_text(json.dumps(record))


COARSE = MusicEncoding(steps_per_quarter=2)
LETTERS = TextEncoding((UNKNOWN, *"\n :1KTXabct"))


def test_other_keys_leave_out_what_they_do_not_have() -> None:
    roll = PianoRoll.from_notes(
        [(0, 2, 40), (0, 2, 60), (2, 2, 60)], lowest_pitch=30, num_pitches=60
    )
    narrow = Song(roll).in_range(50, 20)
    assert narrow.roll.notes() == [(0, 2, 60), (2, 2, 60)]
    assert narrow.origin.report["out_of_range"] == 1
    wide = narrow.in_range(0, 128)
    assert wide.roll.notes() == narrow.roll.notes()
    assert wide.origin.report["out_of_range"] == 1
    assert roll.in_range(30, 60) is roll
    assert roll.in_range(100, 20).notes() == []


def test_readers_and_grids_count_the_times_that_they_round() -> None:
    fine = Song(PianoRoll.from_notes([(0, 4, 60), (4, 3, 62), (7, 5, 64)], steps_per_quarter=4))
    # The end of the second note and the start of the third one.
    assert fine.on_grid(2).origin.report["rounded"] == 2
    assert fine.on_grid(8).origin.report["rounded"] == 0
    twice = Song(PianoRoll.from_notes([(0, 5, 60), (5, 5, 62)])).on_grid(2).on_grid(1)
    assert twice.origin.report["rounded"] == 2 + 3
    for steps_per_quarter, rounded in ((1, 2), (2, 2), (4, 0), (8, 0)):
        (song,) = read_midi(midi_bytes(fine.roll), steps_per_quarter=steps_per_quarter)
        assert song.origin.report["rounded"] == rounded


def test_a_split_in_another_encoding_is_brought_into_the_models(tmp_path: Path) -> None:
    fine = MusicEncoding()
    roll = PianoRoll.from_notes([(0, 3, 60), (4, 4, 62)])
    splits = {"train": [fine.encode(roll)]}
    dataset = write_dataset(tmp_path / "fine", name="fine", encoding=fine, splits=splits)
    whole = split_of(dataset, "train", fine)
    assert (len(whole.sequences[0]), whole.changes) == (8, ConversionReport())
    coarse = split_of(dataset, "train", COARSE)
    assert (len(coarse.sequences[0]), coarse.changes) == (4, ConversionReport(rounded=1))


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A folder with lines, tunes and blank lines."""
    (tmp_path / "tunes.abc").write_text("X:1\nT:a\nK:c\nab\n\nX:1\nT:b\nK:c\nba\n")
    (tmp_path / "lines.txt").write_text("ab\n\n  ba\n")
    (tmp_path / "blank.txt").write_text("\n \n")
    return tmp_path


DIVIDED = [
    ("lines.txt", Options(), [2, 2]),
    # without the end of the file's last line
    ("lines.txt", Options(chunks=True, max_length=4), [4, 4]),
    ("tunes.abc", Options(), [15, 15]),
]


@pytest.mark.parametrize(("name", "options", "lengths"), DIVIDED)
def test_a_text_is_divided_as_the_models_dataset_is(
    name: str, options: Options, lengths: list[int], texts: Path
) -> None:
    data = whole_file(texts / name, LETTERS, options)
    assert [len(sequence) for sequence in data.sequences] == lengths
    assert (data.name, data.split) == (name, "all")


def test_a_file_without_pieces_of_the_model_is_refused(texts: Path) -> None:
    with pytest.raises(UnreadableFileError, match="holds no text"):
        whole_file(texts / "blank.txt", LETTERS, Options())
    with pytest.raises(UnreadableFileError, match=r"lines\.txt: found text; expected music"):
        whole_file(texts / "lines.txt", COARSE, Options())
    lnfgen.write(texts / "song.mid", PianoRoll.from_notes([(0, 4, 60)]))
    with pytest.raises(UnreadableFileError, match=r"song\.mid: found music; expected text"):
        whole_file(texts / "song.mid", LETTERS, Options(kind="text"))


def test_the_tracks_of_a_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "song.mid").write_bytes(song("melody"))
    data = whole_file(tmp_path / "song.mid", COARSE, Options(tracks="melody", parts="1"))
    assert data.tracks.startswith("kept 1 of 5 tracks")


def test_music_to_compare_may_be_songs_or_rolls() -> None:
    roll = PianoRoll.from_notes([(0, 4, 60)])
    found, train = open_music([Song(roll), roll], "test")
    assert found == Repertoire.of([roll, roll])
    assert train is None
    with pytest.raises(DatasetError, match="found no pieces"):
        open_music([], "test")


def test_files_to_compare_are_read_and_a_damaged_one_is_left_out(tmp_path: Path) -> None:
    roll = PianoRoll.from_notes([(0, 4, 60)])
    lnfgen.write(tmp_path / "a.mid", roll)
    (tmp_path / "b.mid").write_bytes(b"MThd")
    with pytest.warns(LnfgenWarning, match="left out 1 of 2 files; the first: "):
        found, train = open_music(tmp_path, "test")
    assert [piece.notes() for piece in found.pieces] == [roll.notes()]
    assert train is None


def test_eval_scores_a_file_whole_and_says_what_it_changed(toy_home: Path, call: Call) -> None:
    notes = [(0, 6, 60), (6, 3, 62), (9, 3, 65), (0, 4, 19)]  # on a grid of 4; the model's is 2
    roll = PianoRoll.from_notes(notes, lowest_pitch=10, num_pitches=90)
    lnfgen.write(toy_home / "song.mid", roll)
    done = call("eval", "run-rolls", "song.mid", "--samples", "2", "--nll", "--json")
    figures = json.loads(done.stdout)
    assert (figures["split"], figures["dataset"]) == ("all", "song.mid")
    assert (figures["sequences"], figures["steps"]) == (1, 6)
    assert np.isfinite(figures["marginal_nll"])
    said = " ".join(done.stderr.decode().split())
    assert "rounded 2 starts and ends of notes to the model's grid; left out 1 note" in said

    piece = one_song(lnfgen.read(toy_home / "song.mid"))
    with pytest.warns(UserWarning, match="rounded 2 .* left out 1 note"):
        score = lnfgen.load(toy_home / "run-rolls").nll(piece, samples=2)
    assert score.nll == pytest.approx(figures["nll"], rel=1e-6)


def test_a_folder_is_read_on_the_grid_of_the_run(
    toy_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LNFGEN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tunes").mkdir()
    for pitch in range(60, 65):
        tune = PianoRoll.from_notes([(0, 2, pitch), (2, 4, pitch + 2)], steps_per_quarter=2)
        lnfgen.write(tmp_path / "tunes" / f"{pitch}.mid", tune)
    run = RunFolder(toy_home / "run-rolls")
    encoding = scored_dataset(run, tmp_path / "tunes").encoding
    assert isinstance(encoding, MusicEncoding)
    assert encoding.steps_per_quarter == 2


def test_eval_of_a_file_needs_no_dataset(toy_home: Path, call: Call) -> None:
    (toy_home / "lines").rename(toy_home / "moved")
    try:
        done = call("eval", "run-lines", "song.txt", "--samples", "1", "--json")
    finally:
        (toy_home / "moved").rename(toy_home / "lines")
    figures = json.loads(done.stdout)
    assert (figures["sequences"], figures["marginal_nll"]) == (2, None)
    assert b"no marginal_nll" in done.stderr
