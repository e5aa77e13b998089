"""`lnfgen.cli.options`: what options mean for all commands."""

import pytest
import typer

from lnfgen.cli import options
from lnfgen.errors import LnfgenError


def test_seeds_are_those_that_torch_takes() -> None:
    assert options.checked_seed(None) is None
    assert options.checked_seed(2**63 - 1) == 2**63 - 1
    for wrong in (-1, 2**63):
        with pytest.raises(LnfgenError, match=f"--seed {wrong}: expected"):
            options.checked_seed(wrong)
    assert 0 <= options.fresh_seed() < 2**31


def test_several_programs_are_as_many_voices_but_not_of_a_band() -> None:
    plain = options.instruments(None, None, is_band=False)
    assert plain == {"program": None, "voices": None, "drawn_name": "drawn"}
    two = options.instruments("flute,48", None, is_band=False)
    assert (two["program"], two["voices"]) == ([73, 48], 2)
    four = options.instruments("flute,48", 4, is_band=False)
    assert four["voices"] == 4
    band = options.instruments("flute,48", None, is_band=True, drawn_name="fill")
    assert (band["program"], band["voices"], band["drawn_name"]) == ([73, 48], None, "fill")
    with pytest.raises(typer.BadParameter, match="3 programs for 2 voices"):
        options.instruments("1,2,3", 2, is_band=False)


def test_formats_without_instruments_take_no_program() -> None:
    flute = options.instruments("flute", None, is_band=False)
    options.require_fitting(".mid", flute)
    with pytest.raises(LnfgenError, match=r"'\.png' names no instrument; leave --program out"):
        options.require_fitting(".png", flute)
    with pytest.raises(LnfgenError, match=r"cannot write voices apart as '\.png'"):
        options.require_fitting(".png", options.instruments(None, 4, is_band=False))
