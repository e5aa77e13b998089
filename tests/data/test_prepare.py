"""Files and folders to datasets: kinds, splits, cuts, what is skipped and why."""

import codecs
import dataclasses
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from command import Call
from toy_tunes import folder_of_tunes, tune

from lnfgen.conventions import SPLITS
from lnfgen.data import gather as gathering
from lnfgen.data.dataset import open_dataset
from lnfgen.data.facts import dataset_facts
from lnfgen.data.gather import Options
from lnfgen.data.prepare import prepare
from lnfgen.errors import DatasetError, LnfgenError, OutputError, UnreadableFileError
from lnfgen.formats.read_write import to_bytes, write
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.runs.material import open_source
from lnfgen.wording import with_name


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


def test_the_name_of_a_source_may_be_no_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    try:
        (tmp_path / name).write_text("one\ntwo\nthree\n")
    except OSError:
        pytest.skip("this file system has names in UTF-8 alone")
    dataset = prepare([tmp_path / name], tmp_path / "d")
    assert [Path(source["path"]).name for source in dataset.manifest["sources"]] == [name]


def test_whole_pieces_go_to_one_split(tmp_path: Path) -> None:
    dataset = prepare(
        [folder_of_tunes(tmp_path / "mine", 10)], tmp_path / "d", Options(max_length=12)
    )
    starts = {tune(number).sounding[:12].tobytes() for number in range(10)}
    seen = [
        {(values & 1).astype(bool).tobytes() for values in dataset.split(name)} & starts
        for name in SPLITS
    ]
    assert [len(pieces) for pieces in seen] == [8, 1, 1]
    assert set().union(*seen) == starts


def test_unreadable_files_are_skipped_with_a_reason(tmp_path: Path) -> None:
    source = folder_of_tunes(tmp_path / "mine", 4)
    (source / "empty.mid").touch()
    (source / "text.mid").write_text("hello")
    (source / "half.mid").write_bytes((source / "tune00.mid").read_bytes()[:40])
    write(source / "silent.npz", PianoRoll(np.zeros((8, 88), np.bool_), None))
    write(source / "pause.mid", PianoRoll.from_notes([(0, 4, 60), (600, 4, 61)]))
    write(
        source / "other-grid.npz", PianoRoll(np.ones((8, 88), np.bool_), None, steps_per_quarter=3)
    )
    (source / "readme.doc").write_text("not music at all")
    dataset = prepare([source], tmp_path / "d")
    skipped = {skip["path"]: skip["reason"] for skip in dataset.manifest["skipped"]}
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
    assert [skip["path"] for skip in kept.manifest["skipped"]] == ["pause.mid"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("suffix", [".mid", ".txt"])
def test_what_is_no_file_or_too_large_is_left_out_with_a_reason(
    suffix: str, tmp_path: Path
) -> None:
    source = folder_of_tunes(tmp_path / "mine", 4)
    if suffix == ".txt":
        (source / "text.txt").write_text("one\ntwo\nthree\nfour\n")
    (source / f"huge{suffix}").touch()
    os.truncate(source / f"huge{suffix}", 1 << 40)
    (source / f"zero{suffix}").symlink_to("/dev/zero")
    (source / f"broken{suffix}").symlink_to("nowhere")
    os.mkfifo(source / f"pipe{suffix}")
    dataset = prepare(
        [source], tmp_path / "d", Options(kind="music" if suffix == ".mid" else "text")
    )
    reasons = {skip["path"]: skip["reason"] for skip in dataset.manifest["skipped"]}
    expected = {
        "huge": "has 1,099,512 MB",
        "zero": "device",
        "broken": "is not there",
        "pipe": "pipe",
    }
    assert reasons.keys() == {name + suffix for name in expected}
    assert all(said in reasons[name + suffix] for name, said in expected.items())
    for name in ("zero", "pipe"):
        with pytest.raises(DatasetError, match="is a pipe or a device; expected files"):
            prepare([source / f"{name}{suffix}"], tmp_path / "e", Options(kind="text"))


def test_sequences_begin_and_end_with_music(tmp_path: Path) -> None:
    """A model that has learned silent bars at the ends of pieces would write some. Silence in
    between stays."""
    notes = [(38, 4, 60), (100, 4, 62)]  # on sixteenths, in 4/4: bars 3 and 7
    write(tmp_path / "late.npz", PianoRoll.from_notes(notes, num_steps=200))
    dataset = prepare([tmp_path / "late.npz"], tmp_path / "d", Options(split=(1, 0, 0)))
    (sequence,) = dataset.split("train")
    assert len(sequence) == 5 * 16
    assert np.flatnonzero(sequence.any(axis=1)).tolist() == [6, 7, 8, 9, 68, 69, 70, 71]


def test_nothing_readable(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(DatasetError, match="nothing"):
        prepare([tmp_path / "mine"], tmp_path / "d")
    (tmp_path / "mine" / "a.mid").touch()
    with pytest.raises(DatasetError, match="1 file of"):
        prepare([tmp_path / "mine"], tmp_path / "d")
    with pytest.raises(DatasetError, match="does not exist"):
        prepare([tmp_path / "nowhere"], tmp_path / "d")
    (tmp_path / "a.doc").write_text("x")
    with pytest.raises(DatasetError, match="--as text"):
        prepare([tmp_path / "a.doc"], tmp_path / "d")
    assert (
        len(prepare([tmp_path / "a.doc"], tmp_path / "d", Options(kind="text")).split("train")) == 1
    )
    with pytest.raises(DatasetError, match="dataset already"):
        prepare([tmp_path / "d"], tmp_path / "e")
    with pytest.raises(OutputError, match="not empty"):
        prepare([tmp_path / "a.doc"], tmp_path / "mine", Options(kind="text"))


def test_options_for_the_other_kind_are_refused(tmp_path: Path) -> None:
    music = folder_of_tunes(tmp_path / "mine", 3)
    text = tmp_path / "lines.txt"
    text.write_text("a line\n" * 20)
    with pytest.raises(DatasetError, match=r"are music; leave --chunks out .* for text"):
        prepare([music], tmp_path / "d", Options(chunks=True))
    for name, value in {"steps_per_quarter": 8, "parts": "4", "tracks": "melody"}.items():
        option = "--" + name.replace("_", "-")
        with pytest.raises(
            DatasetError, match=rf"are text; leave {option} out .*{name}=.* for music"
        ):
            prepare([text], tmp_path / "d", Options(**{name: value}))  # type: ignore[arg-type]
    assert not (tmp_path / "d").exists()


def test_music_and_text_together_ask_for_as(tmp_path: Path) -> None:
    source = folder_of_tunes(tmp_path / "mine", 3)
    (source / "words.txt").write_text("some\nwords\nhere\n")
    with pytest.raises(DatasetError, match="--as music or --as text"):
        prepare([source], tmp_path / "d")
    music = prepare([source], tmp_path / "m", Options(kind="music"))
    assert [skip["path"] for skip in music.manifest["skipped"]] == ["words.txt"]
    text = prepare([source], tmp_path / "t", Options(kind="text"))
    assert text.encoding.kind == "text"
    assert [len(text.split(name)) for name in SPLITS] == [1, 1, 1]


def test_rolls_as_text_files_are_music(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine" / "roll.txt", tune(0))
    (tmp_path / "mine" / "marked.txt").write_bytes(codecs.BOM_UTF8 + to_bytes(tune(1), ".txt"))
    dataset = prepare([tmp_path / "mine"], tmp_path / "d")
    assert (dataset.encoding.kind, len(dataset.manifest["sources"])) == ("music", 2)


def test_a_benchmark_set_stands_alone_wherever_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "set.pickle").write_bytes(
        pickle.dumps({name: [[(60,)]] for name in SPLITS}, protocol=0)
    )
    (tmp_path / "words.txt").write_text("some\nwords\nhere\n")
    for names in (("words.txt", "set.pickle"), ("set.pickle", "words.txt")):
        with pytest.raises(
            DatasetError, match=r"set\.pickle is a benchmark set beside other sources"
        ):
            prepare([tmp_path / name for name in names], tmp_path / "d")


def test_options_that_a_benchmark_set_does_not_heed_are_named_in_a_warning(
    here: Call, tmp_path: Path
) -> None:
    (tmp_path / "set.pickle").write_bytes(
        pickle.dumps({name: [[(60,)] * 9] for name in SPLITS}, protocol=0)
    )
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
    assert [[*dataset.pieces(name)] for name in SPLITS] == [["abc", "bca"], ["ab\ufffd"], ["cba"]]
    assert [skip["path"] for skip in dataset.manifest["skipped"]] == ["readme.txt"]
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
    book = "\n".join(
        f"X:{number}\nT:Tune {number}\nM:4/4\nL:1/4\nK:C\n{'CDEFGAB'[number % 7]}4|{'cdefg'[number % 5]}4|\n"
        for number in range(1, 11)
    )
    (tmp_path / "book.abc").write_text(book)
    for kind in ("text", "music"):
        dataset = prepare([tmp_path / "book.abc"], tmp_path / kind, Options(kind=kind))  # type: ignore[arg-type]
        assert [len(dataset.split(name)) for name in SPLITS] == [8, 1, 1]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("split", [(0.5, 0.1, 0.1), (0.0, 0.5, 0.5), (1.2, -0.1, -0.1), (float("nan"), 0.5, 0.5)]),
        ("max_length", [0]),
        ("steps_per_quarter", [0]),
        ("kind", ["midi"]),
        ("seed", [-1, 2**63]),
    ],
)
def test_options_out_of_range(name: str, values: list[object]) -> None:
    for value in values:
        with pytest.raises(LnfgenError, match="expected"):
            Options(**{name: value})  # type: ignore[arg-type]


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


def test_a_source_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNFGEN_CACHE", str(tmp_path / "cache"))
    found: list[Path] = []
    original = gathering.sha256_of
    monkeypatch.setattr(gathering, "sha256_of", lambda path: found.append(path) or original(path))
    source = folder_of_tunes(tmp_path / "tunes", 8)
    open_source(source)
    assert sorted(found) == sorted(source.iterdir())


def test_each_sequence_keeps_its_time_signature(tmp_path: Path) -> None:
    source = folder_of_tunes(tmp_path / "mine", 8)
    for number in range(8, 11):
        write(source / f"{number}.mid", dataclasses.replace(tune(number), time_signature=(6, 8)))
    dataset = prepare([source], tmp_path / "d", Options(max_length=24))
    every = [piece for name in dataset.split_names for piece in dataset.pieces(name)]
    pieces = [piece for piece in every if isinstance(piece, PianoRoll)]
    for number in range(11):
        [found] = [
            piece for piece in pieces if np.array_equal(piece.sounding, tune(number).sounding[:24])
        ]
        assert found.time_signature == ((6, 8) if number > 7 else (3, 4))
    assert dataset.encoding.time_signature == (3, 4)
    assert dataset_facts(dataset)["time_signatures"] == "3/4: 24, 6/8: 9"


def test_an_unwritable_cache_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LNFGEN_CACHE", str(tmp_path / "file" / "cache"))
    for work in ("add_music", "add_chorales"):
        monkeypatch.setattr(
            f"lnfgen.data.prepare.{work}", lambda *_: pytest.fail("the work came first")
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
