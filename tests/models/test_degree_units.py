"""What the units of a key read of its degree in the home."""

import torch

from lnfgen.models.degree_units import DegreeUnits
from lnfgen.nn.positions import NUM_HOMES

OTHERS = 5  # features of the context beside the home
KEYS = 30


def features(units: DegreeUnits, home: int | None) -> torch.Tensor:
    """Those of each key in a home, `[R, P, hidden]`."""
    context = torch.ones(1, OTHERS + NUM_HOMES)
    context[:, OTHERS:] = 0
    if home is not None:
        context[0, OTHERS + home] = 1
    return units(context)[0]


def of_degrees_alone() -> DegreeUnits:
    """Units whose gate does not read the home."""
    torch.manual_seed(1)
    units = DegreeUnits(parts=2, num_pitches=KEYS, num_context=OTHERS + NUM_HOMES, hidden=7)
    units.gate.weight.data[:, OTHERS:] = 0
    return units


def test_features_move_with_the_home() -> None:
    units = of_degrees_alone()
    for mode in (0, 12):
        in_first = features(units, mode)
        assert in_first.shape == (2, KEYS, 7)
        torch.testing.assert_close(features(units, mode + 3)[:, 3:], in_first[:, :-3])
        torch.testing.assert_close(in_first[:, 12:], in_first[:, :-12])  # octaves
    assert not torch.allclose(features(units, 0), features(units, 12))


def test_a_piece_without_a_home_has_no_degrees() -> None:
    assert not features(of_degrees_alone(), None).any()
