"""Files and folders to datasets: kinds, splits, cuts, what is skipped and why."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from command import Call
from toy_dataset import left_out, sizes, texts_in
from toy_tunes import folder_of_tunes, tune

from lnfgen.conventions import SPLITS
from lnfgen.data.dataset import Dataset, open_dataset
from lnfgen.data.dataset_options import Options
from lnfgen.data.music_dataset import add_music
from lnfgen.data.preprocessing import prepare
from lnfgen.errors import DatasetError, OutputError
from lnfgen.formats.read_write import write
from lnfgen.runs.evaluation_data import open_source
from lnfgen.wording import with_name


def test_music_and_text_together_ask_for_as(tmp_path: Path) -> None:
    source = folder_of_tunes(tmp_path / "mine", 3)
    (source / "words.txt").write_text("some\nwords\nhere\n")
    with pytest.raises(DatasetError, match="--as music or --as text"):
        prepare([source], tmp_path / "d")
    music = prepare([source], tmp_path / "m", Options(kind="music"))
    assert list(left_out(music)) == ["words.txt"]
    text = prepare([source], tmp_path / "t", Options(kind="text"))
    assert text.encoding.kind == "text"
    assert sizes(text) == [1, 1, 1]


def test_options_that_a_benchmark_set_does_not_heed_are_named_in_a_warning(
    here: Call, tmp_path: Path
) -> None:
    pieces = [[(60,)] * 9]
    (tmp_path / "set.pickle").write_bytes(pickle.dumps(dict.fromkeys(SPLITS, pieces)))
    warning = b"set.pickle is a fixed dataset: options that shape one have no effect on it"
    assert warning in here("preprocess", "set.pickle", "--out", "a", "--max-length", 4).stderr
    assert warning not in here("preprocess", "set.pickle", "--out", "b", "--as", "music").stderr


def test_given_splits(tmp_path: Path) -> None:
    for split, words in (("train", "abc\nbca\n"), ("valid", "abx\n"), ("test", "cba\n")):
        (tmp_path / "mine" / split).mkdir(parents=True)
        (tmp_path / "mine" / split / "words.txt").write_text(words)
    (tmp_path / "mine" / "readme.txt").write_text("about\n")
    dataset = prepare([tmp_path / "mine"], tmp_path / "d")
    assert dataset.encoding.vocabulary == ("\ufffd", "a", "b", "c")  # of train alone
    assert texts_in(dataset, "train") == ["abc", "bca"]
    assert texts_in(dataset, "valid") == ["ab\ufffd"]
    assert texts_in(dataset, "test") == ["cba"]
    assert list(left_out(dataset)) == ["readme.txt"]
    folders = [tmp_path / "mine" / split for split in SPLITS]
    assert prepare(folders, tmp_path / "e").fingerprint == dataset.fingerprint


def test_a_song_called_train_is_no_split(tmp_path: Path) -> None:
    source = folder_of_tunes(tmp_path / "mine", 6)
    os.rename(source / "tune00.mid", source / "train.mid")
    os.rename(source / "tune01.mid", source / "test.mid")
    dataset = prepare([source], tmp_path / "d")
    assert dataset.manifest["skipped"] == []
    assert dataset.manifest["preprocessing"]["options"]["split"] == [0.8, 0.1, 0.1]


def test_abc_by_tune_as_text_and_as_music(tmp_path: Path) -> None:
    tunes: list[str] = []
    for number in range(1, 11):
        notes = f"{'CDEFGAB'[number % 7]}4|{'cdefg'[number % 5]}4|"
        tunes.append(f"X:{number}\nT:Tune {number}\nM:4/4\nL:1/4\nK:C\n{notes}\n")
    (tmp_path / "book.abc").write_text("\n".join(tunes))
    for kind in ("text", "music"):
        dataset = prepare([tmp_path / "book.abc"], tmp_path / kind, Options(kind=kind))  # type: ignore[arg-type]
        assert sizes(dataset) == [8, 1, 1]


def test_resolve_caches_files_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNFGEN_CACHE", str(tmp_path / "cache"))
    source = folder_of_tunes(tmp_path / "mine", 4)
    first = open_source(source)
    assert first.path.is_relative_to(tmp_path / "cache")
    assert open_source(str(source)).path == first.path
    assert open_source(first.path).fingerprint == first.fingerprint
    (first.path / "train.safetensors").write_bytes(b"damaged")
    assert open_source(source).fingerprint == first.fingerprint  # built again
    write(source / "tune00.mid", tune(99))
    assert open_source(source).path != first.path


def test_of_two_that_fill_the_cache_the_later_takes_what_the_other_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LNFGEN_CACHE", str(tmp_path / "cache"))
    source = folder_of_tunes(tmp_path / "mine", 4)
    others: list[Dataset] = []

    def after_another(*args: Any) -> None:
        monkeypatch.setattr("lnfgen.data.preprocessing.add_music", add_music)
        others.append(open_source(source))
        add_music(*args)

    monkeypatch.setattr("lnfgen.data.preprocessing.add_music", after_another)
    found = open_source(source)
    assert found.path == others[0].path
    assert found.fingerprint == others[0].fingerprint


def test_an_unwritable_cache_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LNFGEN_CACHE", str(tmp_path / "file" / "cache"))
    for work in ("add_music", "add_chorales"):
        monkeypatch.setattr(
            f"lnfgen.data.preprocessing.{work}", lambda *_: pytest.fail("the work came first")
        )
    for source in (folder_of_tunes(tmp_path / "mine", 1), "chorales"):
        with pytest.raises(OutputError, match="set LNFGEN_CACHE"):
            open_source(source)


def test_command(lnfgen: Call, here: Call, tmp_path: Path) -> None:
    folder_of_tunes(tmp_path / "mine", 4)
    (tmp_path / "mine" / "bad.mid").touch()
    done = lnfgen("preprocess", "mine")
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == "mine-dataset\n"  # ./mine is the source
    assert b"bad.mid" in done.stderr
    assert b"\x1b" not in done.stderr
    assert open_dataset(tmp_path / "mine-dataset").name == "mine"
    again = lnfgen("preprocess", "mine")
    assert again.returncode == 1
    assert again.stderr.decode().count("\n") == 1
    summary = json.loads(here("preprocess", "mine", "--json", "--quiet", "--out", "d").stdout)
    assert summary["path"] == "d"
    assert sum(summary[f"{split}_sequences"] for split in SPLITS) == 4
    assert summary["skipped"] == 1
    assert here("preprocess", "mine", "--as", "film").returncode == 2


@pytest.mark.parametrize(
    ("path", "reason", "is_added"),
    [
        ("song.mid", "it holds the same bytes as sub/song.mid", True),
        ("1.mid", "it holds the same notes as 11.mid", True),
        ("bwv69.6", "it holds the same chords as bwv69.6-a", True),
        ("a.mid", "tunes/a.mid is empty; expected a MIDI file", False),
        ("a.txt", "a.txt, line 3: found x", False),
    ],
)
def test_what_is_left_out_is_said_with_its_name_once(
    path: str, reason: str, is_added: bool
) -> None:
    assert with_name(path, reason) == (f"{path}: {reason}" if is_added else reason)
