"""Long metres in music21 without their accents: the same lengths, and nothing changed outside the block."""

import pytest
from music21 import meter

from lnfgen.formats.music21_patches import LONGEST, mended_metres


@pytest.mark.parametrize("ratio", ["33/8", "100/4", "2/4+40/8", "64/64", f"{10**30}/1"])
def test_a_long_metre_keeps_its_length_and_its_numbers(ratio: str) -> None:
    with mended_metres():
        metre = meter.TimeSignature(ratio)
    assert metre.ratioString == ratio
    assert len(metre.accentSequence) == 1
    assert metre.barDuration.quarterLength == 4 * sum(
        int(beats) / int(unit) for beats, unit in (term.split("/") for term in ratio.split("+"))
    )


@pytest.mark.parametrize("ratio", ["4/4", "c", "cut", "6/8", "slow 6/8", "3/4+2/8", "3+2/8", f"{LONGEST}/8"])
def test_other_metres_are_as_ever(ratio: str) -> None:
    usual = meter.TimeSignature(ratio)
    with mended_metres():
        metre = meter.TimeSignature(ratio)
    for name in ("displaySequence", "beatSequence", "beamSequence", "accentSequence"):
        assert str(getattr(metre, name)) == str(getattr(usual, name))
    weights = [[part.weight for part in one.accentSequence] for one in (metre, usual)]
    assert weights[0] == weights[1]


def test_the_block_leaves_music21_as_it_was() -> None:
    load = meter.TimeSignature.load
    with pytest.raises(ZeroDivisionError), mended_metres():
        meter.TimeSignature("4/0")
    assert meter.TimeSignature.load is load
