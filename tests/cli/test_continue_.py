"""`lnfgen continue` as a person meets it."""

from pathlib import Path

import pytest
from command import Call, fails

import lnfgen

pytestmark = pytest.mark.usefixtures("few_home_samples")

FEW = ["--particles", "2", "--seed", "1"]


def test_a_text_goes_on_by_so_many_characters(toy_home: Path, call: Call) -> None:
    (toy_home / "start.txt").write_text("ab ba\n")
    call("continue", "start.txt", "--run", "run-lines", "--length", "4", "--out", "new.txt", *FEW)
    drawn = (toy_home / "new.txt").read_text()
    assert drawn.startswith("ab ba")
    assert len(drawn) == len("ab ba") + 4 + 1  # its line ends
    done = call("continue", "start.txt", "--run", "run-lines", "--bars", "1", "--out", "new.txt")
    fails(done, "bars (1)", "text")


def test_voices_limit_the_keys_in_any_format(toy_home: Path, call: Call) -> None:
    """Only some formats can write them apart."""
    asked = ["continue", "melody.mid", "--run", "run-rolls", "--bars", "1", "--voices", "1", *FEW]
    for name in ("new.npz", "new.mid"):
        done = call(*asked, "--out", name)
        assert (done.returncode, done.stdout.decode()) == (0, f"{name}\n"), done.stderr
    (song,) = lnfgen.read(toy_home / "new.npz")
    assert isinstance(song, lnfgen.Song)
    assert song.roll.sounding.sum(axis=(1, 2)).max() == 1
