"""What a run says of its model at its end: it has learned, or by heart, or next to nothing."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from toy_dataset import write_dataset
from toy_training import Session

from lnfgen.data.encoding import Encoding
from lnfgen.formats.text import UNKNOWN
from lnfgen.training.verdict import cost_of_drones, verdict


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        ([9.0, 6.0, 4.0, 3.9], ""),
        ([9.0, 6.0, 4.0, 4.1], ""),
        ([9.0, 4.0, 6.0, 7.5], "was best (4.00) at validation 2 of 4, and ended at 7.50"),
        ([14.0, 9.5, 9.8, 9.9], "next to nothing"),
        ([30.0, 12.0], "next to nothing"),
        ([], ""),
    ],
)
def test_a_curve_of_valid(costs: list[float], said: str) -> None:
    found = verdict(costs, floor=10.0)
    assert bool(found) == bool(said)
    assert said in found


@pytest.mark.parametrize(("kind", "said"), [("same", ""), ("other", "next to nothing")])
def test_a_run_says_at_its_end_what_valid_says(kind: str, said: str, tmp_path: Path) -> None:
    encoding = Encoding("text", vocabulary=(UNKNOWN, "a", "b", "c", "d"))
    train = [np.tile(np.array([1, 2, 3, 4], np.int32), 8)] * 4
    rng = np.random.default_rng(0)
    valid = train[:1] if kind == "same" else [rng.integers(1, 5, 32).astype(np.int32)]
    splits = {"train": train, "valid": valid}
    dataset = write_dataset(
        tmp_path / "d", name="toy", encoding=encoding, splits=splits, dropped={}
    )
    session = Session(
        dataset, "lstm", max_steps=60, kl_warmup_start=0.0, kl_warmup_end=0.0, learning_rate=3e-2
    )
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        assert session.run()
    assert [said in str(note.message) for note in found] == ([True] if said else [])


def test_the_cost_of_drones_against_a_hand_count() -> None:
    train = [np.array([[3, 0], [1, 0], [1, 0], [0, 0]], np.uint8)]
    # From silence, key 0 is struck once of two times; held or struck, it is held in two of three.
    # Key 1 stays silent.
    silent = np.array([[0, 0]], np.uint8)
    assert cost_of_drones(train, [silent]) == pytest.approx(
        -np.log([0.5 / 2.5, 4.5 / 5.5]).sum() / 2
    )
    held = np.array([[3, 0], [1, 0]], np.uint8)
    expected = -np.log([1.5 / 2.5, 1.5 / 2.5, 4.5 / 5.5, 4.5 / 5.5]).sum() / 3
    assert cost_of_drones(train, [held]) == pytest.approx(expected)
