"""The wishes that are offered are those that the model takes."""

import json
from pathlib import Path

import pytest

from lnfgen.inference.wish_reading import OTHERS, numbers, wishes_for
from lnfgen.pretrained import BOX
from lnfgen.runs.folder import RunFolder
from lnfgen.serving.wish_list import OfferedWish, offered_wishes
from lnfgen.serving.wish_ranges import ranges_of

CHORALES = RunFolder(BOX / "chorales")


def by_name(run: RunFolder) -> dict[str, OfferedWish]:
    return {wish.name: wish for wish in offered_wishes(run, ranges_of(run))}


def test_all_wishes_are_offered_but_those_that_name_files() -> None:
    names = set(by_name(CHORALES))
    assert names == (set(OTHERS["music"]) | set(numbers("music"))) - {"chords", "like"}


def test_a_band_has_wishes_for_its_parts(band_run: Path) -> None:
    wishes = by_name(RunFolder(band_run))
    assert wishes["bass_notes_per_bar"].step == 1
    assert wishes["bass_median_pitch"].unit == "pitch"


@pytest.mark.parametrize("name", list(by_name(CHORALES)))
def test_each_wish_is_read_with_any_value_that_is_offered(name: str) -> None:
    wish = by_name(CHORALES)[name]
    encoding = CHORALES.encoding
    if wish.choices is not None:
        for choice in wish.choices:
            assert wishes_for({name: choice}, encoding)
        return
    assert wish.low is not None
    assert wish.high is not None
    assert wishes_for({name: (wish.low, wish.high)}, encoding).wishes
    assert wishes_for({name: wish.high}, encoding).wishes


def test_choices_are_those_of_the_data() -> None:
    wishes = by_name(CHORALES)
    assert wishes["time_signature"].choices == ("4/4", "3/4", "3/2", "12/8")
    assert wishes["key"].choices is not None
    assert {"G", "Em", "Bb", "F#m"} <= set(wishes["key"].choices)
    assert wishes["ends"].choices == ("cadence", "tonic")
    assert json.loads(json.dumps(wishes["ends"].to_json()))["choices"] == ["cadence", "tonic"]


def test_without_ranges_the_ends_are_open() -> None:
    wishes = {wish.name: wish for wish in offered_wishes(CHORALES, {})}
    assert wishes["notes_per_bar"].low is None
    assert wishes["top"].low == 36.0
