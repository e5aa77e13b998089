"""Which pieces go to which split: by names, by shares, as they come; no split holds what another
one holds."""

from itertools import chain, combinations, pairwise, product
from pathlib import Path

import numpy as np
import pytest
from toy_dataset import all_sequences, all_texts, left_out, remarks, sizes, texts_in
from toy_tunes import folder_of_tunes, tune

from lnfgen.conventions import SPLITS
from lnfgen.data.dataset import Dataset
from lnfgen.data.dataset_options import Options
from lnfgen.data.preprocessing import prepare
from lnfgen.data.splits import (
    deal,
    distinct,
    in_random_order,
    split_at_random,
    split_counts,
    split_of_label,
)
from lnfgen.formats.read_write import write
from lnfgen.music.pianoroll import PianoRoll


def made(source: Path, **options: object) -> Dataset:
    return prepare([source], source.parent / "dataset", Options(**options))  # type: ignore[arg-type]


def contents(dataset: Dataset, split: str) -> list[bytes]:
    return [values.tobytes() for values in dataset.split(split)]


def shared(dataset: Dataset) -> set[bytes]:
    """The sequences that two splits hold."""
    found: set[bytes] = set()
    for one, other in combinations(dataset.split_names, 2):
        found |= set(contents(dataset, one)) & set(contents(dataset, other))
    return found


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
    assert sizes(dataset) == [3, 1, 1]
    assert not shared(dataset)
    reasons = left_out(dataset)
    assert len(reasons) == 10
    assert "the same bytes as tune3 copy.mid" in reasons["tune3.mid"]  # the first in order counts
    same = {"tune3 copy.mid": "tune3 faster.npz", "tune3 faster.npz": "tune3 copy.mid"}
    (path,) = same.keys() & reasons.keys()
    assert f"the same notes as {same[path]}" in reasons[path]
    assert "copies of others: 10" in remarks(dataset)


def test_different_pieces_with_equal_stretches_share_none_across_splits(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for number in range(15):
        notes = tune(number // 5, 48).notes()
        for start, duration, pitch in tune(100 + number, 48).notes():
            notes.append((start + 48, duration, pitch))
        roll = PianoRoll.from_notes(notes, time_signature=(3, 4))
        write(tmp_path / "mine" / f"tune{number:02}.mid", roll)
    dataset = made(tmp_path / "mine", max_length=48)
    assert not shared(dataset)
    skipped = dataset.manifest["skipped"]
    num_copies = sum("4 bars of it" in skip["reason"] for skip in skipped)
    assert sum(sizes(dataset)) + num_copies == 30
    assert num_copies > 0
    assert f"copies of others: {num_copies}" in remarks(dataset)


@pytest.mark.slow
def test_real_music_with_copies(tmp_path: Path, shared_data) -> None:
    dataset = prepare([shared_data("nottingham-midi")], tmp_path / "d", Options())
    assert not shared(dataset)
    assert len(dataset.manifest["sources"]) == 860  # of 864


def test_published_splits_stay_and_their_common_sequences_are_counted(tmp_path: Path) -> None:
    words = {
        "train__a_txt": "one\ntwo\n",
        "valid__a_txt": "one\ntwo\n",
        "test__a_txt": "two\nsix\n",
    }
    dataset = made(write_texts(tmp_path / "mine", **words))
    assert sizes(dataset) == [2, 2, 2]
    assert dataset.manifest["skipped"] == []
    assert "sequences that train holds as well: 2 of 2 in valid, 1 of 2 in test" in remarks(dataset)


def test_benchmark_sets_stay_as_published(tmp_path: Path, shared_data) -> None:
    dataset = prepare([shared_data("polyphonic/nottingham.pickle")], tmp_path / "d", Options())
    assert sizes(dataset) == [694, 173, 170]
    assert (
        remarks(dataset)
        == "sequences that train holds as well: 1 of 173 in valid, 1 of 170 in test"
    )


def test_equal_texts_count_once_and_lines_as_often_as_they_come(tmp_path: Path) -> None:
    prose = "".join(f"line {number}\nYes.\n" for number in range(50))
    dataset = made(write_texts(tmp_path / "mine", a_txt=prose, b_txt=prose, c_txt="another\n"))
    assert sum(sizes(dataset)) == 101
    assert "copies of others: 1" in remarks(dataset)
    assert "that train holds as well" in remarks(dataset)


def test_tunes_with_the_same_notes_count_once_whatever_their_fields_lines_and_bars_are(
    tmp_path: Path,
) -> None:
    versions: list[list[str]] = [[], [], [], []]
    for number in range(10):
        notes = f"CDEF|GABc|(3def g2|{'CD' * number}|"
        broken = notes.replace("|", "\n")
        graced = notes.replace("|", " | {g}")
        versions[0].append(f"X:1\nT:Tune\nM:4/4\nL:1/8\nK:C\n{notes}")
        versions[1].append(f"X:1\nZ:by me\nK:Am\n{broken}:|")
        versions[2].append(f"X:2\nL:1/16\nR:reel\nK:C\n{graced}\n%\nw:words")
        versions[3].append(f'X:3\nK:C\n"^a"!f!~({notes[:4]})\\\n | {notes[5:]} [K:C] ||')
    book = "\n".join(chain.from_iterable(versions))
    dataset = made(write_texts(tmp_path, book_abc=book) / "book.abc", kind="text")
    assert sum(sizes(dataset)) == 10
    reasons = left_out(dataset)
    assert len(reasons) == 30
    assert reasons["book.abc #40"] == "it holds the same notes as book.abc #10"


def test_tunes_with_four_bars_in_common_are_in_one_split(tmp_path: Path) -> None:
    bars = ["".join(notes) for notes in product("CDEF", "GABc", "defg")]
    parts = ["|".join(bars[start : start + 4]) for start in range(0, 60, 4)]
    # Two versions of each of 14 tunes, and one that has a part of two of these, which is known at
    # the end alone.
    tunes: list[str] = []
    for part in parts[:14]:
        tunes += [f"{part}|a2", f"{part}|b2"]
    tunes.append(f"{parts[0]}|{parts[1]}|b")
    book = "\n".join(f"X:{number}\nK:C\n{tune}|]\n" for number, tune in enumerate(tunes))
    write_texts(tmp_path, book_abc=book)
    dataset = made(tmp_path / "book.abc", kind="text", split=(0.5, 0.3, 0.2))
    assert sum(sizes(dataset)) == len(tunes)
    assert all(sizes(dataset))
    splits_of: dict[str, set[str]] = {part: set() for part in parts[:14]}
    for name in SPLITS:
        words = "".join(texts_in(dataset, name))
        for part, found in splits_of.items():
            if part in words:
                found.add(name)
    assert all(len(found) == 1 for found in splits_of.values())
    assert splits_of[parts[0]] == splits_of[parts[1]]


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_pieces_than_splits_are_split_in_time_at_bar_lines(
    tmp_path: Path, count: int
) -> None:
    (tmp_path / "mine").mkdir()
    for number in range(count):
        write(tmp_path / "mine" / f"{number}.mid", tune(number, 360))  # 30 bars
        write(tmp_path / "mine" / f"{number} again.mid", tune(number, 360))
    dataset = made(tmp_path / "mine", max_length=96)
    lengths = [dataset.split(name).lengths.tolist() for name in SPLITS]
    assert lengths == [[96, 96, 96] * count, [36] * count, [36] * count]
    assert "split in time, at bar lines" in remarks(dataset)
    if count == 1:
        whole = np.concatenate(all_sequences(dataset))
        assert np.array_equal(whole & 1, tune(0, 360).sounding)


def test_a_text_of_two_chunks_has_all_splits(tmp_path: Path) -> None:
    content = "".join(f"sentence {number}. " for number in range(30))
    dataset = made(write_texts(tmp_path, book_txt=content) / "book.txt", chunks=True)
    characters = [dataset.manifest["splits"][name]["steps"] for name in SPLITS]
    assert characters == split_counts(len(content), (0.8, 0.1, 0.1))
    texts = all_texts(dataset)
    assert max(map(len, texts)) <= 288
    assert "".join(texts) == content


def test_a_piece_of_too_few_bars_says_which_split_is_empty(tmp_path: Path) -> None:
    dataset = made(folder_of_tunes(tmp_path / "mine", 1, steps=24))
    assert dataset.split_names == ["train"]
    assert "the split valid is empty" in remarks(dataset)


def test_stretches_of_a_piece_follow_each_other() -> None:
    roll = tune(0)
    stretches = [roll.stretch(start, end) for start, end in pairwise([0, 10, 11, 64])]
    sounding = np.concatenate([stretch.sounding for stretch in stretches])
    assert np.array_equal(sounding, roll.sounding)
    for stretch in stretches:
        assert stretch.onsets is not None
        assert (stretch.onsets[0] == stretch.sounding[0]).all()


@pytest.mark.parametrize("count", range(1, 31))
def test_at_random(count: int) -> None:
    splits = split_at_random(range(count), (0.8, 0.1, 0.1), seed=0)
    assert sorted(chain.from_iterable(splits.values())) == list(range(count))
    assert splits["train"]
    if count >= 3:
        assert all(splits.values())
    assert not split_at_random(range(count), (1.0, 0.0, 0.0), seed=0)["test"]


@pytest.mark.parametrize("greatest", [1, 3000])
@pytest.mark.parametrize(
    "shares", [(0.8, 0.1, 0.1), (0.9, 0.1, 0.0), (1.0, 0.0, 0.0), (0.34, 0.33, 0.33), (0.5, 0, 0.5)]
)
def test_what_is_dealt_keeps_to_its_shares_at_any_moment(
    shares: tuple[float, float, float], greatest: int
) -> None:
    sizes_of = np.random.default_rng(0).integers(1, greatest + 1, 1000)
    sums = np.zeros(3, np.int64)
    num_asked = np.count_nonzero(shares)
    dealt = deal(range(1000), shares, lambda item: int(sizes_of[item]))
    for place, (split, item) in enumerate(dealt):
        assert item == place
        sums[SPLITS.index(split)] += sizes_of[item]
        if place + 1 >= num_asked:
            assert np.count_nonzero(sums) == num_asked
        if place >= 30:
            furthest = np.abs(sums - np.array(shares) * sums.sum()).max()
            assert furthest <= sizes_of[: place + 1].max(), (place, sums)


def test_songs_of_very_different_length_are_dealt_by_their_steps(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for number in range(40):
        roll = tune(number, 400 if number % 5 == 0 else 32)
        write(tmp_path / "mine" / f"tune{number:02}.mid", roll)
    for seed in range(4):
        dataset = prepare([tmp_path / "mine"], tmp_path / f"d{seed}", Options(seed=seed), jobs=1)
        splits = dataset.manifest["splits"]
        steps = np.array([splits[name]["steps"] for name in SPLITS])
        shares = np.round(steps / steps.sum(), 2)
        assert np.abs(shares - (0.8, 0.1, 0.1)).max() <= 400 / steps.sum()


def test_items_of_one_song_are_dealt_to_one_split() -> None:
    songs = np.random.default_rng(0).integers(0, 60, 300).tolist()
    dealt = deal(range(300), (0.8, 0.1, 0.1), lambda item: 1, lambda item: songs[item])
    splits_of: dict[int, set[str]] = {}
    for split, item in dealt:
        splits_of.setdefault(songs[item], set()).add(split)
    assert {len(splits) for splits in splits_of.values()} == {1}
    assert set().union(*splits_of.values()) == set(SPLITS)


def test_a_random_order_depends_on_the_seed_and_not_on_other_labels() -> None:
    def ordered(labels: list[str], seed: int) -> list[str]:
        return [labels[place] for place in in_random_order(labels, seed)]

    labels = [f"{number}.mid" for number in range(20)]
    order = ordered(labels, 0)
    assert sorted(order) == sorted(labels)
    assert order not in (labels, ordered(labels, 1))
    fewer = labels[3:]
    assert ordered(fewer, 0) == [label for label in order if label in fewer]


def test_the_first_of_some_copies_stays() -> None:
    copies: list[dict[str, str]] = []
    items = [("a", "x"), ("b", "y"), ("c", "x"), ("a", "z")]
    assert list(distinct(items, str, "the letter", copies)) == [("a", "x"), ("b", "y"), ("a", "z")]
    assert copies == [{"path": "c", "reason": "it holds the letter as a"}]


@pytest.mark.parametrize(
    ("label", "split"),
    [
        ("ptb.train.txt", "train"),
        ("train.txt", "train"),
        ("dev.txt", "valid"),
        ("val_2.txt", "valid"),
        ("valid/song.mid", "valid"),
        ("set/test/deep/song.mid", "test"),
        ("Test-Set.txt", "test"),
        ("trainspotting.txt", None),
        ("contest.txt", None),
        ("song.mid", None),
    ],
)
def test_by_name(label: str, split: str | None) -> None:
    assert split_of_label(label) == split
