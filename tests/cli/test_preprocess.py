"""`lnfgen preprocess` as a person meets it."""

import json
import os
import pickle
import struct
from pathlib import Path

import pytest
from command import Call, fails

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


def test_shares_are_of_train_valid_and_test(tmp_path: Path, here: Call) -> None:
    """`--split` chooses one of these in `eval` and `compare`, and has no other meaning."""
    (tmp_path / "lines.txt").write_text("".join(f"line {number}\n" for number in range(20)))
    done = here("preprocess", "lines.txt", "--shares", "0.5,0.25,0.25", "--out", "set", "--json")
    facts = json.loads(done.stdout)
    sizes = [facts[f"{split}_sequences"] for split in ("train", "valid", "test")]
    assert sizes == [10, 5, 5]
    done = here("preprocess", "lines.txt", "--split", "0.5,0.25,0.25", "--out", "other")
    assert (done.returncode, b"No such option" in done.stderr) == (2, True)
    done = here("preprocess", "lines.txt", "--shares", "0.5", "--out", "other")
    assert done.returncode == 2
    assert "expected three shares" in " ".join(done.stderr.decode().replace("│", "").split())
    assert not (tmp_path / "other").exists()
