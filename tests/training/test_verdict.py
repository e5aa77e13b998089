"""What a run says of its model at its end: it has learned, or by heart, or little, or nothing."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from toy_dataset import write_dataset
from toy_training import Session

from lnfgen.data.text_encoding import TextEncoding
from lnfgen.formats.text import UNKNOWN
from lnfgen.training.verdict import cost_of_drones, verdict


@pytest.mark.parametrize(
    ("costs", "said"),
    [
        ([9.0, 6.0, 4.0, 3.9], ""),
        ([9.0, 6.0, 4.0, 4.1], ""),
        ([9.0, 4.0, 6.0, 7.5], "was best (4.00) at validation 2 of 4, and ended at 7.50"),
        ([14.0, 9.5, 9.8, 9.9], "little more than that"),
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
    encoding = TextEncoding((UNKNOWN, "a", "b", "c", "d"))
    train = [np.tile(np.array([1, 2, 3, 4], np.int32), 8)] * 4
    rng = np.random.default_rng(0)
    valid = train[:1]
    if kind == "other":
        valid = [rng.integers(1, 5, 32).astype(np.int32)]
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
    if said:
        assert len(found) == 1
        assert said in str(found[0].message)
    else:
        assert not found


def one_part(*frames: list[int]) -> np.ndarray:
    """Frames of one part, uint8 [T, 1, P]."""
    return np.array(frames, np.uint8)[:, None]


def test_the_cost_of_drones_against_a_hand_count() -> None:
    train = [one_part([3, 0], [1, 0], [1, 0], [0, 0])]
    # From silence, key 0 is struck once of two times; held or struck, it is held in two of three.
    # Key 1 stays silent.
    silent = one_part([0, 0])
    expected = -np.log([0.5 / 2.5, 4.5 / 5.5]).sum() / 2
    assert cost_of_drones(train, [silent]) == pytest.approx(expected)
    held = one_part([3, 0], [1, 0])
    expected = -np.log([1.5 / 2.5, 1.5 / 2.5, 4.5 / 5.5, 4.5 / 5.5]).sum() / 3
    assert cost_of_drones(train, [held]) == pytest.approx(expected)


def test_the_cost_of_a_step_of_a_band_is_the_sum_of_those_of_its_parts() -> None:
    rng = np.random.default_rng(0)
    states = np.array([0, 1, 3], np.uint8)
    songs = [states[rng.integers(3, size=(7, 2, 4))] for _ in range(3)]
    of_parts = 0.0
    for part in range(2):
        own = [song[:, [part]] for song in songs]
        of_parts += cost_of_drones(own[:2], own[2:])
    assert cost_of_drones(songs[:2], songs[2:]) == pytest.approx(of_parts)
