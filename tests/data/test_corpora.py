"""Large corpora: what is streamed has the bytes of what is held in memory, and a run that was killed goes on."""

import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from toy_dataset import write_dataset

from lnfgen.data import readings, rolls, sequences, shards, textfiles
from lnfgen.data import sources as gather
from lnfgen.data.dataset import open_dataset
from lnfgen.data.encoding import Encoding
from lnfgen.data.options import Options
from lnfgen.data.preprocess import prepare
from lnfgen.data.resolve import resolve
from lnfgen.data.sequences import InMemory, SharedWithTrain, Spool
from lnfgen.data.shards import ShardWriter
from lnfgen.data.splits import split_at_random
from lnfgen.data.texts import encode_texts
from lnfgen.data.workplace import Workplace
from lnfgen.errors import DatasetError, LnfgenError, UnreadableFileError
from lnfgen.formats import read_write as formats
from lnfgen.formats import text
from lnfgen.music.pianoroll import PianoRoll

ODD = (
    "\ufeffone  \r\n\r\n\u2003 caf\u00e9\u00a0\r\r\n\x0c\U0001d11e two \x1f\n \nlong "
    + 40 * "x"
    + "\n\x85three\ufffd\n end"
)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def words(count: int, width: int = 40) -> str:
    """So many lines of random words."""
    rng = np.random.default_rng(0)
    letters = rng.integers(97, 123, width * count, dtype=np.uint8)
    letters[rng.random(width * count) < 0.15] = ord(" ")
    letters[width - 1 :: width] = ord("\n")
    return letters.tobytes().decode()


def tunes(folder: Path, count: int) -> Path:
    """Small MIDI files; some are copies, and one cannot be read."""
    folder.mkdir()
    for number in range(count):
        rng = np.random.default_rng(number % (count - 3))
        notes = [(start, 4, int(rng.integers(50, 80))) for start in range(0, 32, 4)]
        formats.write(folder / f"{number:03}.mid", PianoRoll.from_notes(notes, tempo_bpm=90.0 + number % 3))
    (folder / "broken.mid").write_bytes(b"MThd")
    return folder


@pytest.mark.parametrize("block", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize("content", [ODD, words(30), words(30) + ODD], ids=["odd", "plain", "both"])
def test_lines_are_those_of_the_text_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, block: int
) -> None:
    monkeypatch.setattr(textfiles, "BLOCK_BYTES", block)
    path = tmp_path / "a.txt"
    path.write_bytes(content.encode())
    options = Options(max_length=39)
    written = prepare([path], options).write(tmp_path / "streamed")
    splits = split_at_random(text.lines(text.read_text(path)), options.split, options.seed)
    held = encode_texts("a", splits, 39, sources=[], options={}).write(tmp_path / "held")
    assert held.encoding == written.encoding
    assert held.fingerprint == written.fingerprint
    assert [held.split(name).dropped for name in held.split_names] == [
        written.split(name).dropped for name in written.split_names
    ]


@pytest.mark.parametrize("max_length", [7, 10_000])
def test_chunks_are_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_length: int) -> None:
    monkeypatch.setattr(textfiles, "BLOCK_BYTES", 5)
    contents = [ODD.removeprefix("\ufeff"), "second\r\nfile"]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.txt").write_bytes(content.encode())
    options = Options(chunks=True, max_length=max_length, split=(1.0, 0.0, 0.0))
    dataset = prepare([tmp_path / "0.txt", tmp_path / "1.txt"], options).write(tmp_path / "d")
    chunks = [chunk for content in contents for chunk in text.chunks(content, max_length)]
    assert list(dataset.pieces("train")) == chunks


def test_named_splits_keep_the_order_of_their_files(tmp_path: Path) -> None:
    contents = {"a.train.txt": "one\ntwo", "a.valid.txt": "two", "b.train.txt": "three", "b.test.txt": "\xe9"}
    for name, content in contents.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    dataset = prepare([tmp_path], Options()).write(tmp_path / "d")
    assert {name: list(dataset.pieces(name)) for name in dataset.split_names} == {
        "train": ["one", "two", "three"],
        "valid": ["two"],
        "test": ["\ufffd"],
    }
    assert dataset.manifest["preprocessing"]["remarks"] == ["sequences that train holds as well: 1 of 1 in valid"]


@pytest.mark.parametrize("content", [b"good\n\xff bad", b"\xef\xbb\xbfgood\nba\xc3", b"ab\xe2\x80"])
def test_what_is_no_utf8_is_said_as_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(textfiles, "BLOCK_BYTES", 3)
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError) as expected:
        text.read_text(path)
    with pytest.raises(UnreadableFileError) as found:
        textfiles.find_lines(path)
    assert str(found.value) == str(expected.value)


def test_a_text_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(words(50))
    prepared = prepare([path], Options())
    path.write_text(words(51))
    with pytest.raises(DatasetError, match="has changed while it was being read"):
        prepared.write(tmp_path / "d")
    assert list(tmp_path.iterdir()) == [path]


def test_memory_does_not_grow_with_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textfiles, "BLOCK_BYTES", 1 << 16)
    peaks = []
    for count in (4_000, 20_000):
        path = tmp_path / f"{count}.txt"
        path.write_text(words(count, 250))
        tracemalloc.start()
        prepare([path], Options()).write(tmp_path / str(count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # What is known of each line grows: its place, its split, its hash. 4 MB of text and 16 MB of values do not.
    assert peaks[1] - peaks[0] < 100 * 16_000


@pytest.mark.parametrize(("dtype", "shape"), [("<i4", ()), ("<u1", (5,))])
@pytest.mark.parametrize("count", [0, 1, 6])
def test_a_shard_has_the_bytes_of_the_library(tmp_path: Path, dtype: str, shape: tuple[int, ...], count: int) -> None:
    from safetensors.numpy import save

    from lnfgen.files import sha256_of

    rng = np.random.default_rng(count)
    lengths = rng.integers(1, 5, count)
    values = rng.integers(0, 99, (int(lengths.sum()), *shape)).astype(dtype)
    with ShardWriter(tmp_path / "s", lengths, values[:0]) as shard:
        for part in np.array_split(values, 3):
            shard.write(part)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    assert (tmp_path / "s").read_bytes() == save({"values": values, "offsets": offsets})
    assert shard.sha256 == sha256_of(tmp_path / "s")


def test_a_spool_gives_what_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "BLOCK_BYTES", 40)
    rng = np.random.default_rng(0)
    lists = {
        name: [rng.integers(0, 3, (length, 5), dtype=np.uint8) for length in lengths]
        for name, lengths in {"train": [3, 20, 1], "valid": [], "test": [3]}.items()
    }
    lists["test"][0] = lists["train"][0]
    spool = Spool(tmp_path, lists, np.empty((0, 5), np.uint8))
    for name, items in lists.items():
        spool.extend(name, items)
    for source in (spool, InMemory(lists)):
        shared = SharedWithTrain(source)
        found: dict[str, list[np.ndarray]] = {name: [np.empty((0, 5), np.uint8)] for name in lists}
        for name, values in shared.blocks():
            found[name].append(values)
        for name, items in lists.items():
            assert np.array_equal(np.concatenate(found[name]), np.concatenate([found[name][0], *items]))
            assert shared.lengths[name].tolist() == [*map(len, items)]
        assert str(shared) == "sequences that train holds as well: 1 of 1 in test"


def test_the_number_of_jobs_changes_no_byte(tmp_path: Path) -> None:
    source = tunes(tmp_path / "tunes", 40)
    for jobs in (1, 2):
        with Workplace(tmp_path / str(jobs)) as place:
            prepare([source], Options(), place=place, jobs=jobs).write(tmp_path / str(jobs))
    first = bytes_of(tmp_path / "1")
    assert first == bytes_of(tmp_path / "2")
    assert b"the same notes" in first["dataset.json"]
    assert b"broken.mid" in first["dataset.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "tunes"]


def test_what_was_read_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tunes(tmp_path / "tunes", 30)
    whole = prepare([source], Options(), jobs=1).write(tmp_path / "whole")
    monkeypatch.setattr(readings, "FILES", 4)
    read: list[Path] = []

    def stopping(path: Path, limit: int, **options: object) -> list[PianoRoll]:
        if len(read) == limit:
            raise KeyboardInterrupt
        read.append(path)
        return original(path, **options)  # type: ignore[arg-type]

    original = rolls.read_rolls
    target = tmp_path / "d"
    for limit, interrupted in ((13, True), (-1, False)):
        monkeypatch.setattr(rolls, "read_rolls", lambda path, limit=limit, **options: stopping(path, limit, **options))
        try:
            with Workplace(target) as place:
                prepare([source], Options(), place=place, jobs=1).write(target)
        except KeyboardInterrupt:
            assert interrupted
            assert (tmp_path / ".d.reading").is_dir()
            assert not target.exists()
    different = len({path.read_bytes() for path in source.iterdir()})
    assert len(read) == different + 1  # the part of the thirteenth file was not complete
    assert bytes_of(target) == bytes_of(whole.path)
    assert not (tmp_path / ".d.reading").exists()


def test_other_options_or_files_are_read_anew(tmp_path: Path) -> None:
    source = tunes(tmp_path / "tunes", 8)
    place = Workplace(tmp_path / "d")
    for options in (Options(), Options(steps_per_quarter=2)):
        dataset = prepare([source], options, place=place).write(tmp_path / str(options.steps_per_quarter))
        assert dataset.encoding.steps_per_quarter == options.steps_per_quarter
    formats.write(source / "000.mid", PianoRoll.from_notes([(0, 64, 60)]))
    dataset = prepare([source], Options(), place=place).write(tmp_path / "new")
    assert max(dataset.split(name).lengths.max() for name in dataset.split_names) == 64
    place.remove()


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    source = tunes(tmp_path / "tunes", 8)
    with pytest.raises(LnfgenError), Workplace(tmp_path / "d") as place:
        prepare([source], Options(strict=True), place=place)
    assert list(tmp_path.iterdir()) == [source]


def test_two_at_once_do_not_share_a_folder(tmp_path: Path) -> None:
    with Workplace(tmp_path / "d") as first, Workplace(tmp_path / "d") as second:
        folders = first.folder(), second.folder()
        assert folders[0] != folders[1]
    assert not any(folder.exists() for folder in folders)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.5, 2.0])
def test_a_killed_command_goes_on(tmp_path: Path, seconds: float) -> None:
    source = tunes(tmp_path / "tunes", 400)
    command = [sys.executable, "-m", "lnfgen", "preprocess", str(source), "--jobs", "2", "--out"]
    running = subprocess.Popen([*command, "d"], cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    time.sleep(seconds)
    running.send_signal(signal.SIGKILL)
    running.wait()
    for name in ("d", "whole"):
        if not (tmp_path / name).exists():
            subprocess.run([*command, name], cwd=tmp_path, check=True, capture_output=True)
    assert bytes_of(tmp_path / "d") == bytes_of(tmp_path / "whole")
    assert not (tmp_path / ".d.reading").exists()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """The shards that have been hashed, where all shards count as large."""
    found: list[Path] = []
    original = shards.sha256_of
    monkeypatch.setattr(shards, "sha256_of", lambda path: found.append(path) or original(path))
    monkeypatch.setattr(shards, "REMEMBERED_BYTES", 0)
    monkeypatch.setenv("LNFGEN_CACHE", str(tmp_path / "cache"))
    return found


def some(path: Path) -> Path:
    encoding = Encoding("text", vocabulary=("\ufffd", "a", "b"))
    write_dataset(path, name="some", encoding=encoding, splits={"train": [encoding.encode("abba")]})
    return path / "train.safetensors"


def test_a_large_shard_is_hashed_once(tmp_path: Path, hashed: list[Path]) -> None:
    shard = some(tmp_path / "d")
    open_dataset(tmp_path / "d")
    assert hashed == []  # it was hashed while it was written
    (tmp_path / "d").rename(tmp_path / "e")
    first = open_dataset(tmp_path / "e").fingerprint
    assert open_dataset(tmp_path / "e").fingerprint == first
    assert hashed == [tmp_path / "e" / shard.name]


@pytest.mark.parametrize("keeps_time", [False, True])
def test_a_large_shard_that_was_changed_is_found(tmp_path: Path, hashed: list[Path], keeps_time: bool) -> None:
    shard = some(tmp_path / "d")
    before = os.stat(shard)
    content = bytearray(shard.read_bytes())
    content[-4] ^= 3
    time.sleep(0.02)  # the clock of a file system has steps
    shard.write_bytes(content)
    if keeps_time:
        os.utime(shard, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DatasetError, match="SHA-256"):
        open_dataset(tmp_path / "d")


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LNFGEN_CACHE", str(tmp_path / "file"))
    shard = some(tmp_path / "d")
    open_dataset(tmp_path / "d")
    assert hashed == [shard, shard]


def test_a_source_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNFGEN_CACHE", str(tmp_path / "cache"))
    found: list[Path] = []
    original = gather.sha256_of
    monkeypatch.setattr(gather, "sha256_of", lambda path: found.append(path) or original(path))
    source = tunes(tmp_path / "tunes", 8)
    resolve(source)
    assert sorted(found) == sorted(source.iterdir())


def test_a_run_on_a_newer_dataset_is_refused_with_advice(tmp_path: Path) -> None:
    import json
    import shutil

    from lnfgen.errors import RunError
    from lnfgen.pretrained import BOX
    from lnfgen.runs.folder import RunFolder

    run = shutil.copytree(BOX / "folk-abc", tmp_path / "run")
    manifest = json.loads((run / "dataset.json").read_text())
    (run / "dataset.json").write_text(json.dumps({**manifest, "format_version": 2, "encoding": {"kind": "image"}}))
    with pytest.raises(RunError, match=r"format 2; this lnfgen reads up to 1; upgrade"):
        RunFolder(run)
