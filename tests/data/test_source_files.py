"""The files that a dataset is made of: which are read, what they hold, and what is refused."""

import codecs
import os
from pathlib import Path

import pytest
from toy_dataset import left_out
from toy_tunes import folder_of_tunes, tune

from lnfgen.conventions import Kind
from lnfgen.data import source_files
from lnfgen.data.dataset_options import Options
from lnfgen.data.preprocessing import prepare
from lnfgen.errors import DatasetError, OutputError
from lnfgen.formats.read_write import to_bytes, write
from lnfgen.runs.evaluation_data import open_source


def test_the_name_of_a_source_may_be_no_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    try:
        (tmp_path / name).write_text("one\ntwo\nthree\n")
    except OSError:
        pytest.skip("this file system has names in UTF-8 alone")
    dataset = prepare([tmp_path / name], tmp_path / "d")
    assert [Path(source["path"]).name for source in dataset.manifest["sources"]] == [name]


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
    kind: Kind = "music" if suffix == ".mid" else "text"
    dataset = prepare([source], tmp_path / "d", Options(kind=kind))
    reasons = left_out(dataset)
    expected = {
        "huge": "has 1,099,512 MB",
        "zero": "device",
        "broken": "is not there",
        "pipe": "pipe",
    }
    assert len(reasons) == len(expected)
    for name, said in expected.items():
        assert said in reasons[name + suffix]
    for name in ("zero", "pipe"):
        with pytest.raises(DatasetError, match="is a pipe or a device; expected files"):
            prepare([source / f"{name}{suffix}"], tmp_path / "e", Options(kind="text"))


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
    dataset = prepare([tmp_path / "a.doc"], tmp_path / "d", Options(kind="text"))
    assert len(dataset.split("train")) == 1
    with pytest.raises(DatasetError, match="dataset already"):
        prepare([tmp_path / "d"], tmp_path / "e")
    with pytest.raises(OutputError, match="not empty"):
        prepare([tmp_path / "a.doc"], tmp_path / "mine", Options(kind="text"))


def test_rolls_as_text_files_are_music(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine" / "roll.txt", tune(0))
    (tmp_path / "mine" / "marked.txt").write_bytes(codecs.BOM_UTF8 + to_bytes(tune(1), ".txt"))
    dataset = prepare([tmp_path / "mine"], tmp_path / "d")
    assert (dataset.encoding.kind, len(dataset.manifest["sources"])) == ("music", 2)


def test_a_source_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNFGEN_CACHE", str(tmp_path / "cache"))
    found: list[Path] = []
    original = source_files.sha256_of
    monkeypatch.setattr(
        source_files, "sha256_of", lambda path: found.append(path) or original(path)
    )
    source = folder_of_tunes(tmp_path / "tunes", 8)
    open_source(source)
    assert sorted(found) == sorted(source.iterdir())
