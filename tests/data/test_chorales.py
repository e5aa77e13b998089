"""The chorales of music21: how they are read, and that related ones are in one split."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from toy_dataset import all_sequences, left_out, sizes

from lnfgen.conventions import SPLITS
from lnfgen.data import chorales
from lnfgen.data.dataset import Record
from lnfgen.data.music_dataset import LabelledRoll
from lnfgen.data.splits import split_by_hash
from lnfgen.errors import UnreadableFileError
from lnfgen.music.copies import longest_copies
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.runs.evaluation_data import open_source


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNFGEN_CACHE", str(tmp_path / "cache"))


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
    assert Counter(roll.sounding[:, 0].sum(1).tolist()).most_common(1)[0][0] == 4
    # C#5, E4, and A3 in both tenor and bass
    assert set(np.nonzero(roll.sounding[0, 0])[0] + roll.lowest_pitch) == {73, 64, 57}


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
    found: list[LabelledRoll] = list(zip(names, rolls, strict=True))
    copies: list[Record] = []
    splits, groups = chorales.divided(found, copies)
    assert [copy["path"] for copy in copies] == ["bach/bwv154.3", "bach/bwv269"]
    assert "bach/bwv245.15" in copies[0]["reason"]
    assert sorted(groups) == [1, 2]
    labels = {split: [piece.label for piece in pieces] for split, pieces in splits.items()}
    assert labels["train"] == ["bach/bwv245.15", "bach/bwv245.37"]
    assert labels["valid"] == ["bach/bwv359"]
    assert len({piece.song for piece in splits["train"]}) == 1
    assert splits["test"] == []


@pytest.mark.slow
def test_chorales() -> None:
    dataset = open_source()
    assert dataset.name == "chorales"
    assert list(left_out(dataset)) == [
        "bach/bwv18.5-l",
        "bach/bwv274",
        "bach/bwv69.6",
    ]
    assert sizes(dataset) == [290, 33, 31]
    rolls = {name: list(dataset.pieces(name)) for name in SPLITS}
    for one, another in (("valid", "train"), ("test", "train"), ("test", "valid")):
        longest = max(longest_copies(rolls[one], rolls[another])) * chorales.GRID
        assert longest < chorales.SHARED_STEPS, (one, another)
    assert dataset.encoding.has_onsets
    assert max(map(len, all_sequences(dataset))) <= chorales.MAX_CHORALE_STEPS
    assert open_source("chorales").path == dataset.path
