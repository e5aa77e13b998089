"""A run finds its dataset by its content, wherever it is; else one line says how to name it."""

import dataclasses
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from toy_training import SIZES, TRAINING, Listener, make_dataset

import lnfgen.runs.material
from lnfgen.config import Config
from lnfgen.data.dataset import Dataset, open_dataset
from lnfgen.errors import DatasetError, RunError
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.material import dataset_of, reading_options
from lnfgen.training.session import TrainingSession

ADVICE = "name a copy of it: lnfgen train DATASET --resume"


@pytest.fixture
def moved(tmp_path: Path) -> RunFolder:
    """A run whose dataset has been moved to `there`."""
    dataset = make_dataset(tmp_path / "here")
    training = dataclasses.replace(TRAINING, max_steps=2)
    session = TrainingSession.begin(Config(SIZES, training), dataset, "cpu", tmp_path / "run")
    (tmp_path / "here").rename(tmp_path / "there")
    return session.run


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
    with pytest.raises(RunError, match="has changed since") as error:
        dataset_of(moved, advice=ADVICE)
    assert str(error.value).endswith(ADVICE)


def test_training_goes_on_with_a_moved_dataset_and_remembers_it(moved: RunFolder, tmp_path: Path) -> None:
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

    monkeypatch.setattr(lnfgen.runs.material, "build_cached", build_cached)
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
