"""`lnfgen vary` as a person and a script meet it."""

import json
from pathlib import Path

import pytest
from command import Call, fails

pytestmark = pytest.mark.usefixtures("few_home_samples")

FEW = ["--run", "run-lines", "--particles", "2", "--seed", "1"]


def test_an_amount_of_0_is_the_piece_itself(toy_home: Path, call: Call) -> None:
    (toy_home / "line.txt").write_text("ab ba ab\n")
    done = call("vary", "line.txt", "--amount", "0", "--out", "new.txt", "--json", *FEW)
    assert (toy_home / "new.txt").read_bytes() == (toy_home / "line.txt").read_bytes()
    values = json.loads(done.stdout)
    assert values["amount"] == 0
    assert values["run"] == "run-lines"


def test_an_amount_out_of_range_is_refused(call: Call) -> None:
    done = call("vary", "song.txt", "--amount", "1.5", "--out", "new.txt", *FEW)
    fails(done, "an amount of 1.5; expected a number from 0")
