"""Dataset folders: what is written is what is read, and whatever is damaged is one DatasetError."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from toy_dataset import write_dataset

from lnfgen.data.dataset import Dataset, open_dataset
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.errors import DatasetError, OutputError
from lnfgen.files import require_free_folder
from lnfgen.formats.text import UNKNOWN
from lnfgen.music.pianoroll import PianoRoll

TEXT = TextEncoding((UNKNOWN, "a", "b", "c"))


def make(path: Path, **changes: Any) -> Dataset:
    splits = {
        "train": [TEXT.encode("abc"), TEXT.encode("cab")],
        "valid": [TEXT.encode("b")],
        "test": [],
    }
    options: dict[str, Any] = {
        "name": "abc",
        "encoding": TEXT,
        "splits": splits,
        "dropped": {"train": 3},
    } | changes
    return write_dataset(path, **options)


def test_round_trip(tmp_path: Path) -> None:
    dataset = make(
        tmp_path / "d",
        sources=[{"path": "x.txt", "sha256": "0"}],
        skipped=[{"path": "y", "reason": "z"}],
    )
    again = open_dataset(tmp_path / "d")
    assert again.fingerprint == dataset.fingerprint
    assert again.encoding == TEXT
    assert again.manifest["skipped"] == [{"path": "y", "reason": "z"}]
    train = again.split("train")
    assert [TEXT.decode(train[index]) for index in range(len(train))] == ["abc", "cab"]
    assert train.lengths.tolist() == [3, 3]
    assert train.lengths.dtype == np.int64
    assert train.dropped == 3
    assert TEXT.decode(train[-1]) == "cab"
    with pytest.raises(IndexError):
        train[2]
    with pytest.raises(ValueError, match="read-only"):
        train[0][0] = 1


def test_same_content_same_bytes_and_fingerprint(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a", name="a"), make(tmp_path / "b", name="b")
    assert first.fingerprint == second.fingerprint
    for shard in ("train.safetensors", "test.safetensors"):
        assert (tmp_path / "a" / shard).read_bytes() == (tmp_path / "b" / shard).read_bytes()
    other = make(tmp_path / "c", splits={"train": [TEXT.encode("abb")]})
    assert other.fingerprint != first.fingerprint


def test_missing_and_empty_splits_are_named(tmp_path: Path) -> None:
    dataset = make(tmp_path / "d")
    with pytest.raises(DatasetError, match=r"'test'.*is empty.*train, valid"):
        dataset.split("test")
    with pytest.raises(DatasetError, match=r"'dev'.*does not exist.*train, valid"):
        dataset.split("dev")


def test_time_signatures_are_kept_and_a_dataset_without_them_opens(tmp_path: Path) -> None:
    encoding = MusicEncoding(num_pitches=5, time_signature=(3, 4))
    signatures = [(4, 4), (6, 8)]
    for name, kept, found in (
        ("old", {}, [(3, 4), (3, 4)]),
        ("new", {"train": signatures}, signatures),
    ):
        splits = {"train": [np.ones((3, 1, 5), np.uint8)] * 2}
        write_dataset(
            tmp_path / name, name="m", encoding=encoding, splits=splits, time_signatures=kept
        )
        pieces = open_dataset(tmp_path / name).pieces("train")
        assert [piece.time_signature for piece in pieces if isinstance(piece, PianoRoll)] == found
    assert open_dataset(tmp_path / "old").fingerprint == open_dataset(tmp_path / "new").fingerprint


def test_a_link_stays_and_the_dataset_is_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "disk" / "empty").mkdir(parents=True)
    for name in ("empty", "new"):
        (tmp_path / name).symlink_to(Path("disk") / name)
        assert (
            make(tmp_path / name).fingerprint == open_dataset(tmp_path / "disk" / name).fingerprint
        )
        assert (tmp_path / name).is_symlink()
        with pytest.raises(OutputError, match="not empty"):
            make(tmp_path / name)
    assert sorted(path.name for path in (tmp_path / "disk").iterdir()) == ["empty", "new"]


@pytest.mark.parametrize("name", [".", "", "../here"])
def test_the_folder_that_one_is_in_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(
        OutputError, match="is the folder that you are in; expected the name of a new folder"
    ):
        require_free_folder(Path(name))


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "byte flipped": lambda d: _flip(d / "train.safetensors"),
    "byte cut": lambda d: (d / "valid.safetensors").write_bytes(
        (d / "valid.safetensors").read_bytes()[:-1]
    ),
    "shard empty": lambda d: (d / "train.safetensors").write_bytes(b""),
    "shard gone": lambda d: (d / "train.safetensors").unlink(),
    "shard is a folder": lambda d: (
        (d / "test.safetensors").unlink(),
        (d / "test.safetensors").mkdir(),
    ),
    "manifest gone": lambda d: (d / "dataset.json").unlink(),
    "manifest cut": lambda d: (d / "dataset.json").write_text(
        (d / "dataset.json").read_text()[:99]
    ),
    "manifest no text": lambda d: (d / "dataset.json").write_bytes(b"\xff\xfe"),
    "manifest a list": lambda d: (d / "dataset.json").write_text("[]"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damage(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    make(tmp_path / "d")
    damage(tmp_path / "d")
    with pytest.raises(DatasetError) as caught:
        open_dataset(tmp_path / "d")
    assert "\n" not in str(caught.value)
    assert "preprocess" in str(caught.value)


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "newer format": (lambda m: m.update(format_version=3), "expected 2; upgrade"),
    "older format": (
        lambda m: m.update(format_version=1),
        "expected 2; an earlier lnfgen wrote it; preprocess the sources again",
    ),
    "no format": (lambda m: m.update(format_version=[2]), "expected 2; upgrade"),
    "key missing": (lambda m: m.pop("sources"), "'sources'"),
    "how it was made missing": (lambda m: m.pop("preprocessing"), "'preprocessing'"),
    "key of another type": (lambda m: m.update(name=3), "'name'"),
    "kind": (lambda m: m.update(kind="music"), "kind"),
    "encoding": (lambda m: m["encoding"].update(vocabulary=["a"]), "vocabulary"),
    "letters changed round": (
        lambda m: m["encoding"].update(vocabulary=[UNKNOWN, *"bac"]),
        "fingerprint",
    ),
    "split key missing": (lambda m: m["splits"]["train"].pop("sha256"), "'sha256'"),
    "split no object": (lambda m: m["splits"].update(train=1), "train"),
    "count": (lambda m: m["splits"]["train"].update(sequences=9), "2 sequences, not 9"),
    "too few time signatures": (
        lambda m: m["splits"]["train"].update(time_signatures="4/4"),
        "time signatures",
    ),
    "no time signature": (
        lambda m: m["splits"]["train"].update(time_signatures="4/4 4/5"),
        "time signatures",
    ),
    "other time signatures": (
        lambda m: m["splits"]["train"].update(time_signatures=[4, 4]),
        "time signatures",
    ),
    "path out of the folder": (
        lambda m: m["splits"]["train"].update(shard="../x"),
        "not a file in this folder",
    ),
}


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = folder / "dataset.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))


@pytest.mark.parametrize(("change", "says"), CHANGES.values(), ids=CHANGES.keys())
def test_changed_manifest(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    make(tmp_path / "d")
    change_manifest(tmp_path / "d", change)
    with pytest.raises(DatasetError, match=says):
        open_dataset(tmp_path / "d")


def put_shard(folder: Path, content: bytes) -> None:
    """Make this the shard of train, with the right hash, and without a fingerprint."""
    (folder / "train.safetensors").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()

    def change(manifest: dict[str, Any]) -> None:
        manifest["splits"]["train"]["sha256"] = digest
        del manifest["fingerprint"]  # as an earlier lnfgen wrote it

    change_manifest(folder, change)


def refusal_of(folder: Path) -> str:
    with pytest.raises(DatasetError, match=r"train\.safetensors is damaged") as caught:
        open_dataset(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300 + len(str(folder))
    return message


VALUES = np.zeros(6, np.int32)


@pytest.mark.parametrize(
    "tensors",
    [
        {"values": VALUES, "offsets": np.array([0, 7])},
        {"values": VALUES, "offsets": np.array([0, 4, 3, 6])},
        {"values": VALUES, "offsets": np.array([0, 3, 3, 6])},
        {"values": VALUES, "offsets": np.array([0, 2**63 - 1, -(2**63), 6])},
        {"values": VALUES, "offsets": np.array([1, 6])},
        {"values": VALUES, "offsets": np.array([], np.int64)},
        {"values": VALUES, "offsets": np.array([[0, 6]])},
        {"values": VALUES, "offsets": np.array([0, 6], np.int32)},
        {"values": np.zeros((), np.int32), "offsets": np.array([0, 6])},
        {"values": np.zeros(6, np.int64), "offsets": np.array([0, 6])},
        {"values": np.zeros((6, 2), np.int32), "offsets": np.array([0, 6])},
        {"values": VALUES},
    ],
)
def test_a_shard_that_is_none_although_its_hash_is_right(
    tmp_path: Path, tensors: dict[str, np.ndarray]
) -> None:
    make(tmp_path / "d")
    put_shard(tmp_path / "d", save(tensors))
    refusal_of(tmp_path / "d")


ENTRY = {"dtype": "I32", "shape": [6], "data_offsets": [0, 24]}


@pytest.mark.parametrize(
    "change",
    [
        {"data_offsets": ""},
        {"data_offsets": []},
        {"data_offsets": None},
        {"data_offsets": ["0", "24"]},
        {"data_offsets": [0, 24, 24]},
        {"data_offsets": [0.0, 24.0]},
        {"data_offsets": [-8, 16]},
        {"data_offsets": [0, 2**70]},
        {"data_offsets": [0, 20]},
        {"data_offsets": [2**62, 2**62 + 24]},
        {"shape": ""},
        {"shape": 6},
        {"shape": {"6": 6}},
        {"shape": [True]},
        {"shape": [-6]},
        {"shape": [2**70]},
        {"shape": [2**40, 2**40]},
        {"dtype": []},
        {"dtype": "F32"},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["values", "offsets"])
def test_a_header_that_is_none_is_one_line(
    tmp_path: Path, name: str, change: dict[str, Any]
) -> None:
    make(tmp_path / "d")
    offsets = {"dtype": "I64", "shape": [3], "data_offsets": [24, 48]}
    header = {"values": ENTRY, "offsets": offsets}
    header[name] = header[name] | change
    text = json.dumps(header).encode()
    data = np.zeros(6, np.int32).tobytes() + np.array([0, 3, 6]).tobytes()
    put_shard(tmp_path / "d", len(text).to_bytes(8, "little") + text + data)
    refusal_of(tmp_path / "d")


@pytest.mark.parametrize(
    "content",
    [b"1234567", b"\xff" * 99, bytes(8), b"\x02" + bytes(7) + b"[]", b"\x02" + bytes(7) + b"{}"],
    ids=["short", "long", "empty", "list", "object"],
)
def test_a_beginning_that_is_no_header_is_one_line(tmp_path: Path, content: bytes) -> None:
    make(tmp_path / "d")
    put_shard(tmp_path / "d", content)
    refusal_of(tmp_path / "d")


def test_a_header_that_is_nested_too_deeply_is_one_line(tmp_path: Path) -> None:
    make(tmp_path / "d")
    text = b"[" * 500_000
    put_shard(tmp_path / "d", len(text).to_bytes(8, "little") + text)
    refusal_of(tmp_path / "d")


@pytest.mark.parametrize("values", [[1, 2, 3, 4, 1, 2], [1, 2, 3, -1, 1, 2], [2**31 - 1] * 6])
def test_a_symbol_outside_the_vocabulary_is_refused(tmp_path: Path, values: list[int]) -> None:
    make(tmp_path / "d")
    tensors = {"values": np.array(values, np.int32), "offsets": np.array([0, 3, 6])}
    put_shard(tmp_path / "d", save(tensors))
    assert "some of its values are not those of text" in refusal_of(tmp_path / "d")


@pytest.mark.parametrize(("has_onsets", "value"), [(True, 2), (True, 4), (True, 255), (False, 3)])
def test_a_value_of_no_key_is_refused_wherever_it_stands(
    tmp_path: Path, has_onsets: bool, value: int
) -> None:
    """Also far behind what is read at a time."""
    encoding = MusicEncoding(has_onsets=has_onsets, num_pitches=88)
    cells = np.zeros((60_000, 1, 88), np.uint8)
    write_dataset(tmp_path / "d", name="m", encoding=encoding, splits={"train": [cells]})
    open_dataset(tmp_path / "d")
    cells[-9, 0, 5] = value
    put_shard(tmp_path / "d", save({"values": cells, "offsets": np.array([0, 60_000])}))
    assert "some of its values are not those of music" in refusal_of(tmp_path / "d")


def test_a_shard_that_is_cut_while_it_is_open_is_an_error_and_no_signal(tmp_path: Path) -> None:
    train = make(tmp_path / "d").split("train")
    os.truncate(tmp_path / "d" / "train.safetensors", 10)
    with pytest.raises(
        DatasetError,
        match=r"train\.safetensors is damaged or incomplete: it is shorter than it was",
    ):
        train[1]


@pytest.mark.parametrize("name", ["none", "file", "."])
def test_what_is_no_dataset(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="expected a dataset folder"):
        open_dataset(tmp_path / name)
