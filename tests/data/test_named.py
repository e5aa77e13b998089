"""Named datasets: what music21 carries, and the benchmark sets by way of a mirror."""

import json
import re
import threading
from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from lnfgen.conventions import SPLITS
from lnfgen.data import chorales, named, texts
from lnfgen.data.dataset import Record, open_dataset
from lnfgen.data.division import split_by_hash
from lnfgen.data.download import is_fetched
from lnfgen.data.rolls import Piece
from lnfgen.errors import DatasetError, UnreadableFileError
from lnfgen.music.copies import longest_copies
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.runs.material import open_source


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LNFGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_unknown_names_are_told_the_close_ones() -> None:
    with pytest.raises(DatasetError, match="did you mean chorales"):
        open_source("choral")
    with pytest.raises(DatasetError, match=", ".join(named.NAMED)):
        open_source("qqq")


def test_chorale_names_are_many_and_split_by_name_alone() -> None:
    names = chorales.chorale_names()
    assert len(names) == len(set(names)) >= 340
    splits = Counter(map(split_by_hash, names))
    assert splits["train"] > 0.75 * len(names)
    assert min(splits["valid"], splits["test"]) > 0.05 * len(names)
    assert all(chorales.chorale_path(name).is_file() for name in names)


def test_a_chorale_has_four_voices_struck_and_held() -> None:
    roll = chorales.read_chorale("bach/bwv66.6")
    assert roll.onsets is not None
    assert roll.steps_per_quarter == 2
    assert roll.num_steps == 72
    assert Counter(roll.sounding.sum(1).tolist()).most_common(1)[0][0] == 4
    # C#5, E4, and A3 in both tenor and bass
    assert set(np.nonzero(roll.sounding[0])[0] + roll.lowest_pitch) == {73, 64, 57}


def test_a_chorale_is_sung_with_its_repeats() -> None:
    """Stollen, Stollen, Abgesang: four bars of 4/4 that begin with an upbeat, the same again, and
    another part."""
    roll = chorales.read_chorale("bach/bwv347").from_bar_line()
    assert roll.num_steps == 142
    upbeat, first = roll.sounding[6:38], roll.sounding[38:70]
    assert np.array_equal(upbeat, first)
    assert not np.array_equal(first, roll.sounding[70:102])


def test_odd_chorales_are_read() -> None:
    # it begins so, and changes to 3/4
    assert chorales.read_chorale("bach/bwv304").time_signature == (4, 4)
    assert isinstance(chorales.read_chorale("bach/bwv112.5"), PianoRoll)  # one of several editions
    with pytest.raises(UnreadableFileError, match=r"^bach/none: Could not find"):
        chorales.read_chorale("bach/none")


def test_related_chorales_are_in_one_split_and_copies_count_once() -> None:
    """Settings that a hash of their own names would put into train, test and valid."""
    names = ("bach/bwv245.15", "bach/bwv245.37", "bach/bwv359", "bach/bwv154.3", "bach/bwv269")
    assert [split_by_hash(name) for name in names] == ["train", "test", "valid", "test", "train"]
    original = chorales.read_chorale("bach/bwv66.6")
    other = chorales.read_chorale("bach/bwv253")
    half = original.transposed(3).stretch(0, 40)
    rolls = (original, half, other, original.transposed(-2), other.transposed(1))
    found: list[Piece] = list(zip(names, rolls, strict=True))
    copies: list[Record] = []
    splits, groups = chorales.divided(found, copies)
    assert [copy["path"] for copy in copies] == ["bach/bwv154.3", "bach/bwv269"]
    assert "bach/bwv245.15" in copies[0]["reason"]
    assert sorted(groups) == [1, 2]
    assert {split: [name for name, _ in part] for split, part in splits.items()} == {
        "train": ["bach/bwv245.15", "bach/bwv245.37"],
        "valid": ["bach/bwv359"],
        "test": [],
    }


@pytest.mark.slow
def test_chorales() -> None:
    dataset = open_source()
    assert dataset.name == "chorales"
    assert [skip["path"] for skip in dataset.manifest["skipped"]] == [
        "bach/bwv18.5-l",
        "bach/bwv274",
        "bach/bwv69.6",
    ]
    rolls = {
        name: [roll for roll in dataset.pieces(name) if isinstance(roll, PianoRoll)]
        for name in SPLITS
    }
    assert {name: len(rolls[name]) for name in SPLITS} == {"train": 290, "valid": 33, "test": 31}
    for one, another in (("valid", "train"), ("test", "train"), ("test", "valid")):
        longest = max(longest_copies(rolls[one], rolls[another])) * chorales.STEPS_PER_QUARTER
        assert longest < chorales.SHARED_STEPS, (one, another)
    assert dataset.encoding.has_onsets
    assert max(dataset.split(name).lengths.max() for name in SPLITS) <= chorales.MAX_CHORALE_STEPS
    assert open_source("chorales").path == dataset.path


def test_folk_abc() -> None:
    dataset = open_source("folk-abc")
    tunes = {name: [str(piece) for piece in dataset.pieces(name)] for name in SPLITS}
    assert {name: len(tunes[name]) for name in SPLITS} == {"train": 2379, "valid": 313, "test": 271}
    assert named.NAMED["folk-abc"].size == "2,963 tunes"
    assert max(dataset.split(name).lengths.max() for name in SPLITS) <= texts.MAX_TUNE
    header = re.compile(r"X:1\nT:.*\n(?:[ML]:\S+\n)*K:\S+\n")
    assert not [tune for name in SPLITS for tune in tunes[name] if not header.match(tune)]
    bars = {name: [_bars(tune) for tune in tunes[name]] for name in SPLITS}
    passages = {
        name: {tune[at : at + 4] for tune in bars[name] for at in range(len(tune) - 3)}
        for name in SPLITS
    }
    assert not passages["train"] & passages["valid"]
    assert not passages["train"] & passages["test"]
    assert not passages["valid"] & passages["test"]
    notes = ["".join(tune) for name in SPLITS for tune in bars[name]]
    assert len(notes) == len(set(notes))
    assert open_source("folk-abc").path == dataset.path


def _bars(tune: str) -> tuple[str, ...]:
    """The notes of the bars of a plain tune, without their spaces."""
    music = re.sub(r"^[A-Z]:.*|\[[A-Z]:.*?\]|\s", "", tune, flags=re.MULTILINE)
    return tuple(bar for bar in re.split(r":*\|[|\]:]*(?:\[?\d)?|::", music) if bar)


def test_benchmark_sets_say_how_to_get_them(cache: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"lnfgen preprocess nottingham --download.*Nottingham\.mat"
    ):
        open_source("nottingham")


def test_a_file_put_there_by_hand_is_found(cache: Path, shared_data) -> None:
    folder = cache / "downloads" / "jsb_chorales"
    folder.mkdir(parents=True)
    (folder / "JSB_Chorales.mat").write_bytes(
        shared_data("polyphonic/JSB_Chorales.mat").read_bytes()
    )
    dataset = open_source("jsb_chorales")
    assert [len(dataset.split(name)) for name in ("train", "valid", "test")] == [229, 76, 77]
    (folder / "JSB_Chorales.mat").write_bytes(b"something else")
    assert not named.is_downloaded(named.NAMED["jsb_chorales"])


def test_hashes_are_those_of_the_files(shared_data) -> None:
    for name, place in (
        ("nottingham", "polyphonic/"),
        ("piano_midi", "polyphonic/"),
        ("ptb", "ptb/ptb."),
    ):
        for remote, sha256 in named.NAMED[name].files.items():
            assert is_fetched(shared_data(place + Path(remote).name), sha256)


def test_download_from_a_mirror(
    lnfgen, cache: Path, tmp_path: Path, shared_data, monkeypatch
) -> None:
    mirror = tmp_path / "mirror" / "TCN" / "word_cnn" / "data" / "penn"
    mirror.mkdir(parents=True)
    for split in ("train", "valid", "test"):
        (mirror / f"{split}.txt").symlink_to(shared_data(f"ptb/ptb.{split}.txt"))
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "mirror"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("LNFGEN_MIRROR", f"http://127.0.0.1:{server.server_address[1]}")
        done = lnfgen("preprocess", "ptb", "--download", "--json")
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["train_sequences"] == 41740
    assert open_dataset(tmp_path / "ptb").name == "ptb"


def test_datasets_command(here) -> None:
    listed = json.loads(here("list", "--datasets", "--json").stdout)["datasets"]
    assert [entry["name"] for entry in listed] == list(named.NAMED)
    assert all(entry["citation"] and entry["licence"] and entry["size"] for entry in listed)
