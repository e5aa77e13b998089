"""The ranges of figures: most pieces of the data are in them."""

import shutil
import time
from pathlib import Path

import pytest

from lnfgen.data.dataset import open_dataset
from lnfgen.errors import LnfgenError
from lnfgen.inference.wish_reading import numbers
from lnfgen.pretrained import BOX
from lnfgen.runs.evaluation_data import open_source
from lnfgen.runs.folder import RunFolder
from lnfgen.serving.wish_ranges import FILE, WishRanges, measured_ranges, ranges_of


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNFGEN_CACHE", str(tmp_path / "cache"))


def test_most_pieces_are_within_the_range(toy_run: Path) -> None:
    dataset = open_dataset(toy_run.parent / "dataset")
    ranges = measured_ranges(dataset)
    figure = numbers("music")["notes_per_bar"]
    low, high = ranges["notes_per_bar"]
    values = [figure.value(piece) for piece in dataset.pieces("train")]  # type: ignore[arg-type]
    within = [value for value in values if low <= value <= high]
    assert 0.8 * len(values) <= len(within) < len(values)


def test_they_are_measured_once(toy_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(toy_run, copy)
    run = RunFolder(copy)
    ranges = ranges_of(run)
    (kept,) = (tmp_path / "cache" / "ranges").iterdir()
    kept.write_text('{"leaps": [1, 2]}')
    assert ranges_of(run) == {"leaps": (1.0, 2.0)}
    for damaged in ("{", '{"leaps": 3}', '{"leaps": ["a", "b"]}'):
        kept.write_text(damaged)
        assert ranges_of(run) == ranges


def test_without_its_dataset_a_run_has_none(toy_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(toy_run, copy)
    run = RunFolder(copy)
    run.dataset["path"] = str(tmp_path / "gone")
    with pytest.raises(LnfgenError):
        ranges_of(run)
    beside = WishRanges(run)
    assert not beside.are_ready
    beside.start()
    until_ready(beside)
    assert beside.found == {}


def test_they_are_found_beside_the_server(toy_run: Path) -> None:
    beside = WishRanges(RunFolder(toy_run))
    beside.start()
    until_ready(beside)
    assert "notes_per_bar" in beside.found


def until_ready(ranges: WishRanges) -> None:
    end = time.monotonic() + 60
    while not ranges.are_ready:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_box_has_those_of_its_dataset() -> None:
    run = RunFolder(BOX / "chorales")
    assert (run.path / FILE).is_file()
    assert set(ranges_of(run)) == set(numbers("music"))


@pytest.mark.slow
def test_the_box_has_the_ranges_that_are_measured_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    run = RunFolder(BOX / "chorales")
    dataset = open_source("chorales")
    if dataset.fingerprint != run.dataset["fingerprint"]:
        pytest.skip("music21 carries other chorales by now than those of the model in the box")
    assert measured_ranges(dataset) == ranges_of(run)
