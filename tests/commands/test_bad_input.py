"""What strangers feed it: each bad input is one line of error and exit code 1, and leaves nothing behind."""

import os
import pickle
import struct
from pathlib import Path

import pytest
from command import Call, fails, start

MIDI = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480)


class Malicious:
    """A pickle of this creates a file where it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch OWNED",)


BAD_FILES = {
    "empty.mid": b"",
    "text.mid": b"not music at all",
    "cut.mid": MIDI + b"MTrk" + struct.pack(">I", 100) + b"\x00\x90\x3c\x40",
    "huge.mid": MIDI + b"MTrk" + struct.pack(">I", 0xFFFFFFF0) + b"\x00\xff\x2f\x00",
    "evil.pickle": pickle.dumps({"train": [Malicious()], "valid": [], "test": []}),
    "noise.npz": b"PK\x03\x04 no archive",
    "page.musicxml": b"<html></html>",
    "latin1.txt": "caf\xe9\n".encode("latin-1"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_line(name: str, tmp_path: Path, here: Call) -> None:
    (tmp_path / name).write_bytes(BAD_FILES[name])
    fails(here("preprocess", name, "--out", "data"), name)
    assert os.listdir(tmp_path) == [name]


def test_a_dataset_with_one_byte_flipped_or_cut_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("to be or not to be\n" * 20)
    assert start(tmp_path, "preprocess", "words.txt", "--out", "data").returncode == 0
    shard = tmp_path / "data" / "train.safetensors"
    whole = shard.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for content in (bytes(flipped), whole[:-1]):
        shard.write_bytes(content)
        fails(start(tmp_path, "train", "data", "--preset", "tiny"), "train.safetensors")
        assert sorted(os.listdir(tmp_path)) == ["data", "words.txt"]
