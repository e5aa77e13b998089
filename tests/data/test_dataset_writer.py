"""Dataset folders that are being written: the bytes of a shard, the memory that it takes, and what
a kill leaves."""

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
from toy_tunes import folder_of_tunes, tune

from lnfgen.data.dataset import open_dataset
from lnfgen.data.dataset_options import Options
from lnfgen.data.encoding import Encoding
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.preprocessing import prepare
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.errors import DatasetError
from lnfgen.formats.read_write import write
from lnfgen.formats.text import UNKNOWN
from lnfgen.music.parts import Part

TEXT = TextEncoding((UNKNOWN, "a", "b", "c"))
BAND = MusicEncoding(num_pitches=5, parts=(Part("drums"), Part("melody")))


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def tunes(folder: Path, count: int) -> Path:
    """Small MIDI files; some are copies, and one cannot be read."""
    folder.mkdir()
    for number in range(count):
        write(
            folder / f"{number:03}.mid", tune(number % (count - 3), 32, tempo_bpm=90.0 + number % 3)
        )
    (folder / "broken.mid").write_bytes(b"MThd")
    return folder


@pytest.mark.parametrize(
    "encoding",
    [TEXT, MusicEncoding(num_pitches=5), BAND],
    ids=["text", "music", "band"],
)
@pytest.mark.parametrize("count", [1, 6, 100_000])
def test_the_library_reads_a_shard(tmp_path: Path, encoding: Encoding, count: int) -> None:
    from safetensors.numpy import load_file

    rng = np.random.default_rng(count)
    shape = encoding.no_steps.shape[1:]
    dtype = encoding.no_steps.dtype
    sequences: list[np.ndarray] = []
    for length in rng.integers(1, 5, count):
        sequences.append(rng.choice([0, 1, 3], (length, *shape)).astype(dtype))
    write_dataset(tmp_path / "d", name="d", encoding=encoding, splits={"train": sequences})
    train = load_file(tmp_path / "d" / "train.safetensors")
    valid = load_file(tmp_path / "d" / "valid.safetensors")
    assert np.array_equal(train["values"], np.concatenate(sequences))
    assert train["values"].dtype == valid["values"].dtype == dtype
    assert np.array_equal(train["offsets"], np.cumsum([0, *map(len, sequences)]))
    assert (valid["values"].shape, valid["offsets"].tolist()) == ((0, *shape), [0])


def test_sequences_that_train_holds_are_counted(tmp_path: Path) -> None:
    one, two = TEXT.encode("abc"), TEXT.encode("cab")
    splits = {"train": [one, one], "valid": [two], "test": [two, one]}
    dataset = write_dataset(tmp_path / "d", name="d", encoding=TEXT, splits=splits)
    assert dataset.manifest["preprocessing"]["remarks"] == [
        "sequences that train holds as well: 1 of 2 in test"
    ]
    dataset = write_dataset(tmp_path / "e", name="d", encoding=TEXT, splits=splits, disjoint=True)
    assert [len(dataset.split(name)) for name in ("train", "valid")] == [2, 1]
    assert dataset.split_names == ["train", "valid"]


def test_nothing_to_train_on_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="train"):
        write_dataset(tmp_path / "d", name="d", encoding=TEXT, splits={"valid": [TEXT.encode("a")]})
    splits = {"train": [TEXT.encode("a")], "valid": [TEXT.encode("a"), TEXT.encode("")]}
    with pytest.raises(DatasetError, match="empty sequence in valid"):
        write_dataset(tmp_path / "d", name="d", encoding=TEXT, splits=splits)
    assert list(tmp_path.iterdir()) == []


def test_the_number_of_jobs_changes_no_byte(tmp_path: Path) -> None:
    source = tunes(tmp_path / "tunes", 40)
    for jobs in (1, 2):
        dataset = prepare([source], tmp_path / str(jobs), jobs=jobs)
    first = bytes_of(tmp_path / "1")
    assert first == bytes_of(tmp_path / "2")
    assert b"the same notes" in first["dataset.json"]
    assert b"broken.mid" in first["dataset.json"]
    assert prepare([source], tmp_path / "3", Options(seed=4)).fingerprint != dataset.fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "3", "tunes"]


def test_memory_does_not_grow_with_a_folder(tmp_path: Path) -> None:
    peaks = []
    for count in (1, 6, 18):  # the first peak has the modules that are imported
        source = folder_of_tunes(tmp_path / f"source {count}", count, steps=1000)
        tracemalloc.start()
        prepare([source], tmp_path / str(count), jobs=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # one roll; the third folder has 12 more than the second
    assert peaks[2] - peaks[1] < 1000 * 88 * 2


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.5, 2.0])
def test_a_killed_command_leaves_what_the_next_one_removes(tmp_path: Path, seconds: float) -> None:
    source = tunes(tmp_path / "tunes", 400)
    command = [sys.executable, "-m", "lnfgen", "preprocess", str(source), "--jobs", "2", "--out"]
    running = subprocess.Popen(
        [*command, "d"], cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    time.sleep(seconds)
    running.send_signal(signal.SIGKILL)
    running.wait()
    for item in tmp_path.glob(".d.*.tmp"):
        # a folder of the last seconds may belong to a process that has yet to lock it
        os.utime(item, (0, 0))
    for name in ("d", "whole"):
        if not (tmp_path / name).exists():
            subprocess.run([*command, name], cwd=tmp_path, check=True, capture_output=True)
    assert bytes_of(tmp_path / "d") == bytes_of(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "tunes", "whole"]
    assert open_dataset(tmp_path / "d").name == "tunes"
