"""`lnfgen fill` as a person and a script meet it."""

import json
from pathlib import Path

import pytest
from command import Call, fails

pytestmark = pytest.mark.usefixtures("few_home_samples")


def test_characters_or_gaps_are_drawn_and_all_others_stay(toy_home: Path, call: Call) -> None:
    few = ["--run", "run-lines", "--particles", "2", "--seed", "1", "--out", "new.txt"]
    assert call("fill", "song.txt", "--free", "2-3", *few).returncode == 0
    text = (toy_home / "song.txt").read_text()
    drawn = (toy_home / "new.txt").read_text()
    assert drawn[0] == text[0]
    assert drawn[3:6] == text[3:6]
    (toy_home / "gaps.txt").write_text("a@ab\n")
    assert call("fill", "gaps.txt", "--gap", "@", *few).returncode == 0
    drawn = (toy_home / "new.txt").read_text()
    assert (drawn[0], drawn[2:], "@" in drawn) == ("a", "ab\n", False)
    fails(call("fill", "song.txt", *few), "found no gap in the text", "--free 10-20")


def test_json_has_the_choices_and_the_wishes(call: Call) -> None:
    done = call(
        *("fill", "song.txt", "--free", "2-3", "--run", "run-lines", "--out", "new.txt"),
        *("--particles", "2", "--seed", "1", "--temperature", "0.5", "--tries", "1"),
        *("--want", "contains=ab", "--count", "2", "--json"),
    )
    values = json.loads(done.stdout)
    pieces = values.pop("pieces")
    assert values == {"run": "run-lines", "temperature": 0.5, "seed": 1, "particles": 2}
    assert [piece["path"] for piece in pieces] == ["new-01.txt", "new-02.txt"]
    assert [list(piece["wishes"]) for piece in pieces] == [["contains=ab"]] * 2
    assert {type(piece["steered"]) for piece in pieces} == {bool}


def test_without_a_seed_one_is_drawn_and_printed(toy_home: Path, call: Call) -> None:
    asked = ["fill", "song.txt", "--free", "2-3", "--run", "run-lines", "--particles", "2"]
    done = call(*asked, "--out", "new.txt")
    *_, last = done.stderr.decode().splitlines()
    word, seed = last.split()
    assert word == "seed"
    before = (toy_home / "new.txt").read_bytes()
    call(*asked, "--out", "again.txt", "--seed", seed)
    assert (toy_home / "again.txt").read_bytes() == before
