"""No split holds what another one holds: copies, shared stretches, and datasets of fewer pieces than splits."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from toy_tunes import tune

from lnfgen.conventions import SPLITS
from lnfgen.data.dataset import Dataset
from lnfgen.data.division import split_counts
from lnfgen.data.gather import Options
from lnfgen.data.prepare import prepare
from lnfgen.formats.read_write import write
from lnfgen.music.pianoroll import PianoRoll


def made(source: Path, **options: object) -> Dataset:
    return prepare([source], source.parent / "dataset", Options(**options))  # type: ignore[arg-type]


def contents(dataset: Dataset) -> dict[str, list[bytes]]:
    return {name: [values.tobytes() for values in dataset.split(name)] for name in dataset.split_names}


def shared(dataset: Dataset) -> list[bytes]:
    """The sequences that two splits hold."""
    parts = [set(part) for part in contents(dataset).values()]
    return [content for index, part in enumerate(parts) for other in parts[:index] for content in part & other]


def remarks(dataset: Dataset) -> str:
    return "\n".join(dataset.manifest["preprocessing"]["remarks"])


def write_texts(folder: Path, **texts: str) -> Path:
    for name, content in texts.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def test_copies_count_once_whatever_their_name_format_and_tempo(tmp_path: Path) -> None:
    source = tmp_path / "mine"
    source.mkdir()
    for number in range(5):
        write(source / f"tune{number}.mid", tune(number))
        (source / f"tune{number} copy.mid").write_bytes((source / f"tune{number}.mid").read_bytes())
        write(source / f"tune{number} faster.npz", tune(number, tempo_bpm=144.0))
    dataset = made(source, strict=True)  # a copy is nothing that fails
    assert [len(dataset.split(name)) for name in SPLITS] == [3, 1, 1]
    assert not shared(dataset)
    reasons = {skip["path"]: skip["reason"] for skip in dataset.manifest["skipped"]}
    assert len(reasons) == 10
    assert "the same bytes as tune3 copy.mid" in reasons["tune3.mid"]  # the first in order counts
    same = {"tune3 copy.mid": "tune3 faster.npz", "tune3 faster.npz": "tune3 copy.mid"}
    assert [f"the same notes as {first}" in reasons[path] for path, first in same.items() if path in reasons] == [True]
    assert "copies of others: 10" in remarks(dataset)


def test_different_pieces_with_equal_stretches_share_none_across_splits(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for number in range(15):
        halves = tune(number // 5, 48).notes() + [
            (start + 48, *rest) for start, *rest in tune(100 + number, 48).notes()
        ]
        roll = PianoRoll.from_notes(halves, time_signature=(3, 4))  # type: ignore[arg-type]
        write(tmp_path / "mine" / f"tune{number:02}.mid", roll)
    dataset = made(tmp_path / "mine", max_length=48)
    assert not shared(dataset)
    left_out = [skip for skip in dataset.manifest["skipped"] if "48 steps" in skip["reason"]]
    assert sum(len(dataset.split(name)) for name in SPLITS) + len(left_out) == 30
    assert len(left_out) > 0
    assert f"copies of others: {len(left_out)}" in remarks(dataset)


@pytest.mark.slow
def test_real_music_with_copies(tmp_path: Path, shared_data) -> None:
    dataset = prepare([shared_data("nottingham-midi")], tmp_path / "d", Options())
    assert not shared(dataset)
    assert len(dataset.manifest["sources"]) == 860  # of 864


def test_published_splits_stay_and_their_common_sequences_are_counted(tmp_path: Path) -> None:
    words = {"train__a_txt": "one\ntwo\n", "valid__a_txt": "one\ntwo\n", "test__a_txt": "two\nsix\n"}
    dataset = made(write_texts(tmp_path / "mine", **words))
    assert [len(dataset.split(name)) for name in SPLITS] == [2, 2, 2]
    assert dataset.manifest["skipped"] == []
    assert "sequences that train holds as well: 2 of 2 in valid, 1 of 2 in test" in remarks(dataset)


def test_benchmark_sets_stay_as_published(tmp_path: Path, shared_data) -> None:
    dataset = prepare([shared_data("polyphonic/nottingham.pickle")], tmp_path / "d", Options())
    assert [len(dataset.split(name)) for name in SPLITS] == [694, 173, 170]
    assert remarks(dataset) == "sequences that train holds as well: 1 of 173 in valid, 1 of 170 in test"


def test_equal_texts_count_once_and_lines_as_often_as_they_come(tmp_path: Path) -> None:
    prose = "".join(f"line {number}\nYes.\n" for number in range(50))
    dataset = made(write_texts(tmp_path / "mine", a_txt=prose, b_txt=prose, c_txt="another\n"))
    assert sum(len(dataset.split(name)) for name in SPLITS) == 101
    assert "copies of others: 1" in remarks(dataset)
    assert "that train holds as well" in remarks(dataset)


def test_tunes_that_differ_in_their_number_alone_count_once(tmp_path: Path) -> None:
    book = "\n".join(f"X:{number}\nK:C\n{'CD' * (1 + number % 10)}|\n" for number in range(20))
    dataset = made(write_texts(tmp_path, book_abc=book) / "book.abc", kind="text")
    assert [len(dataset.split(name)) for name in SPLITS] == [8, 1, 1]
    assert len(dataset.manifest["skipped"]) == 10
    assert not shared(dataset)


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_pieces_than_splits_are_split_in_time_at_bar_lines(tmp_path: Path, count: int) -> None:
    (tmp_path / "mine").mkdir()
    for number in range(count):
        write(tmp_path / "mine" / f"{number}.mid", tune(number, 360))  # 30 bars
        write(tmp_path / "mine" / f"{number} again.mid", tune(number, 360))
    dataset = made(tmp_path / "mine", max_length=96)
    lengths = [dataset.split(name).lengths.tolist() for name in SPLITS]
    assert lengths == [[96, 96, 96] * count, [36] * count, [36] * count]
    assert "split in time, at bar lines" in remarks(dataset)
    if count == 1:
        whole = np.concatenate([values for name in SPLITS for values in dataset.split(name)])
        assert np.array_equal(whole & 1, tune(0, 360).sounding)


def test_two_pieces_fill_two_splits(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for number in range(2):
        write(tmp_path / "mine" / f"{number}.mid", tune(number))
    dataset = made(tmp_path / "mine", split=(0.9, 0.1, 0.0))
    assert [len(dataset.split(name)) for name in dataset.split_names] == [1, 1]


def test_a_text_of_two_chunks_has_all_splits(tmp_path: Path) -> None:
    content = "".join(f"sentence {number}. " for number in range(30))
    dataset = made(write_texts(tmp_path, book_txt=content) / "book.txt", chunks=True)
    lengths = [dataset.split(name).lengths.tolist() for name in SPLITS]
    assert [sum(part) for part in lengths] == split_counts(len(content), (0.8, 0.1, 0.1))
    assert max(map(max, lengths)) <= 288
    assert "".join(str(piece) for name in SPLITS for piece in dataset.pieces(name)) == content


def test_a_piece_of_too_few_bars_says_which_split_is_empty(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine" / "short.mid", tune(0, 24))
    dataset = made(tmp_path / "mine")
    assert dataset.split_names == ["train"]
    assert "the split valid is empty" in remarks(dataset)


def test_stretches_of_a_piece_follow_each_other() -> None:
    roll = tune(0)
    parts = [roll.stretch(start, end) for start, end in pairwise([0, 10, 11, 64])]
    assert np.array_equal(np.concatenate([part.sounding for part in parts]), roll.sounding)
    assert all(part.onsets is not None and (part.onsets[0] == part.sounding[0]).all() for part in parts)
