"""The turns of a frame: which keys are free, and that the chances of each turn sum to 1."""

import math

import pytest
import torch
from torch import Tensor
from toy_models import randomise

from lnfgen.models.mixture import Copies
from lnfgen.models.observation import AllowedKeys
from lnfgen.models.turns import (
    FORBIDDEN,
    HighestKey,
    LowestKey,
    NextKey,
    last_from_above,
    one_by_one,
    only_allowed,
)
from lnfgen.models.voice_leading import NUM_MOVES, DrawnVoices

KEYS = torch.arange(6)
HIDDEN = 8


def drawn(*keys: int) -> DrawnVoices:
    """The voices of one frame: the highest, the lowest, then those from the top down."""
    number = torch.tensor([keys])
    return DrawnVoices(number, torch.zeros_like(number), torch.tensor([len(keys)]), None)


def places(mask: Tensor) -> list[int]:
    """Where a mask `[1, P]` is True."""
    return mask[0].nonzero().flatten().tolist()


def test_any_key_may_be_the_highest_and_the_lowest_one_is_not_above_it():
    assert places(HighestKey(6, HIDDEN, 2, 1).free_keys(KEYS, drawn(4))) == [0, 1, 2, 3, 4, 5]
    assert places(LowestKey(6, HIDDEN, 1).free_keys(KEYS, drawn(4))) == [0, 1, 2, 3, 4]


def test_the_next_key_lies_between_the_last_one_and_the_lowest_one():
    turn = NextKey(6, HIDDEN, 2, 1)
    assert places(turn.free_keys(KEYS, drawn(5, 1))) == [2, 3, 4]
    assert places(turn.free_keys(KEYS, drawn(5, 1, 3))) == [2]
    assert places(turn.free_keys(KEYS, drawn(5, 1, 2))) == []
    assert last_from_above(drawn(5, 1)).tolist() == [5]
    assert last_from_above(drawn(5, 1, 3)).tolist() == [3]


def test_what_a_turn_decides_on_stays_with_it():
    """A later turn replaces no bit of a key that an earlier one has chosen.

    But the last turn draws the onset of the lowest key.
    """
    of_lowest = LowestKey(6, HIDDEN, 1).decided(KEYS, drawn(4))
    assert places(of_lowest) == [0, 1, 2, 3]
    of_next = NextKey(6, HIDDEN, 2, 1).decided(KEYS, drawn(4, 1))
    assert places(of_next) == [2, 3, 6 + 1, 6 + 2, 6 + 3]


def test_a_turn_takes_the_key_that_it_chose():
    sounding = torch.tensor([[False, True, False, True, True, False]])
    every = torch.ones_like(sounding)
    assert HighestKey(6, HIDDEN, 2, 1).chosen(sounding, every).tolist() == [4]
    assert LowestKey(6, HIDDEN, 1).chosen(sounding, every).tolist() == [1]
    turn = NextKey(6, HIDDEN, 2, 1)
    assert turn.chosen(sounding, turn.free_keys(KEYS, drawn(4, 1))).tolist() == [3]
    assert turn.chosen(sounding, turn.free_keys(KEYS, drawn(3, 1))).tolist() == [-1]


def chances(logits: Tensor, *, from_below: bool) -> Tensor:
    """The chances of none and of each key, `[..., 1 + P]`, from logits of single keys in order."""
    if from_below:
        logits = logits.flip(-1)
    sounds = torch.sigmoid(logits)
    none_from = (1 - sounds).flip(-1).cumprod(-1).flip(-1)  # no key from here up
    none_above = torch.cat([none_from[..., 1:], torch.ones_like(sounds[..., :1])], -1)
    of_keys = sounds * none_above
    if from_below:
        of_keys = of_keys.flip(-1)
    return torch.cat([none_from[..., :1], of_keys], -1)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_logits_of_single_keys_are_the_choice(temperature):
    generator = torch.Generator().manual_seed(0)
    none = torch.randn(3, 1, generator=generator, dtype=torch.float64)
    scores = torch.randn(3, 6, generator=generator, dtype=torch.float64)
    expected = torch.softmax(torch.cat([none, scores], -1) / temperature, -1)
    found = chances(one_by_one(none, scores, temperature), from_below=False)
    torch.testing.assert_close(found, expected)
    turn = LowestKey(6, HIDDEN, 1)
    found = chances(turn.as_logits(none, scores, temperature), from_below=True)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("turn", "voices"),
    [
        (HighestKey(6, HIDDEN, 2, 1), drawn(5)),
        (LowestKey(6, HIDDEN, 1), drawn(4)),
        (NextKey(6, HIDDEN, 2, 1), drawn(5, 1)),
    ],
    ids=["highest", "lowest", "next"],
)
@torch.no_grad()
def test_the_chances_of_a_turn_sum_to_1_and_no_forbidden_key_has_one(turn, voices):
    turn = randomise(turn).double()
    h = torch.randn(1, 6, HIDDEN, dtype=torch.float64)
    scores, _ = turn.scores(h, torch.zeros(1, dtype=torch.long))
    free = turn.free_keys(KEYS, voices)
    none = torch.full((1, 1), FORBIDDEN, dtype=torch.float64)
    if turn.none is not None:
        none = turn.none(h.amax(-2))
    logits = turn.as_logits(none, torch.where(free, scores, FORBIDDEN), 1.0)
    found = chances(logits, from_below=isinstance(turn, LowestKey))
    assert float(found.sum()) == pytest.approx(1, abs=1e-9)
    assert (found[:, 1:][~free] == 0).all()
    assert (found[:, 0] > 0).item() == (turn.none is not None)


def log_chances(seed: int) -> Tensor:
    """The logarithms of the chances of none and of six keys, `[3, 7]`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 7, generator=generator, dtype=torch.float64).log_softmax(-1)


def test_allowed_keys_share_the_chance_of_all_and_that_of_none_stays():
    every = log_chances(0)
    free = torch.tensor([[True, True, True, True, True, False]])
    allowed = torch.tensor([[True, False, True, False, False, True]])
    none = every[:, :1]
    scores = torch.where(free, every[:, 1:], FORBIDDEN)
    before = chances(one_by_one(none, scores, 1.0), from_below=False)
    limited = torch.where(free, only_allowed(every[:, 1:], free, allowed), FORBIDDEN)
    found = chances(one_by_one(none, limited, 1.0), from_below=False)
    torch.testing.assert_close(found[:, 0], before[:, 0])
    assert (found[:, 1:][:, ~(free & allowed)[0]] == 0).all()
    torch.testing.assert_close(found[:, 3] / found[:, 1], before[:, 3] / before[:, 1])


def test_where_no_key_is_allowed_none_is_chosen():
    every = log_chances(1)
    free = torch.ones(1, 6, dtype=torch.bool)
    limited = only_allowed(every[:, 1:], free, torch.zeros_like(free))
    found = chances(one_by_one(every[:, :1], limited, 1.0), from_below=False)
    torch.testing.assert_close(found[:, 0], torch.ones(3, dtype=torch.float64))


def test_the_lowest_key_is_one_that_may_be_and_the_highest_one_leaves_room_for_it():
    keys = torch.tensor([[True, True, False, True, True, True]])
    lowest = torch.tensor([[False, False, True, True, False, False]])
    every = torch.ones_like(keys)
    allowed = AllowedKeys(keys, lowest, every[:, :1])
    assert places(HighestKey(6, HIDDEN, 2, 1).allowed_keys(allowed, every)) == [3, 4, 5]
    turn = LowestKey(6, HIDDEN, 1)
    assert places(turn.allowed_keys(allowed, turn.free_keys(KEYS, drawn(5)))) == [3]
    assert places(NextKey(6, HIDDEN, 2, 1).allowed_keys(allowed, every)) == [0, 1, 3, 4, 5]
    # Below a highest key that is known there may be none that may be the lowest one.
    assert places(turn.allowed_keys(allowed, turn.free_keys(KEYS, drawn(1)))) == places(every)


def test_copies_choose_among_the_free_keys():
    """Their chances sum to 1 with that of no key, but of the lowest key, which is always there."""
    generator = torch.Generator().manual_seed(0)
    sounding = torch.rand(1, 2, 6, generator=generator)
    edges = torch.softmax(torch.randn(2, 1, 2, 6, generator=generator), -1)
    copies = Copies(sounding, sounding, edges[0], edges[1])
    for turn, voices in (
        (HighestKey(6, HIDDEN, 2, 1), drawn(5)),
        (NextKey(6, HIDDEN, 2, 1), drawn(5, 1)),
    ):
        found = turn.copied(copies, turn.free_keys(KEYS, voices))
        torch.testing.assert_close(found.sum(-1), torch.ones(1, 2))
    turn = LowestKey(6, HIDDEN, 1)
    found = turn.copied(copies, turn.free_keys(KEYS, drawn(3)))
    assert (found[..., 0] == 0).all()
    torch.testing.assert_close(found[..., 1:5], edges[1][..., :4])
    assert (found[..., 5:] == 0).all()


def test_parts_have_biases_of_their_own():
    turn = randomise(HighestKey(6, HIDDEN, 2, 3))
    h = torch.randn(1, 6, HIDDEN).expand(3, -1, -1)
    scores, onsets = turn.scores(h, torch.arange(3))
    assert scores.shape == onsets.shape == (3, 6)
    torch.testing.assert_close(
        scores[1] - scores[0], turn.key_bias[1, :, 0] - turn.key_bias[0, :, 0]
    )
    assert turn.rate_groups == {"key_bias": "fast", "sharpness": "sharpness"}


def test_sharpness_works_as_a_temperature_on_one_part_alone():
    turn = randomise(HighestKey(6, HIDDEN, 2, 2))
    turn.sharpness.data[:] = torch.tensor([[0.0, 0.0], [math.log(2), math.log(4)]])
    none = torch.randn(2, 1)
    scores = torch.randn(2, 6)
    onset = torch.randn(2, 6)
    found = turn.sharpened(none, scores, onset, torch.arange(2))
    for sharp, plain, factor in zip(found, (none, scores, onset), (2, 2, 4), strict=True):
        torch.testing.assert_close(sharp[0], plain[0])
        torch.testing.assert_close(sharp[1], factor * plain[1])


def test_only_a_turn_after_another_has_rules():
    assert HighestKey(6, HIDDEN, 2, 1).tables() is None
    lowest = LowestKey(6, HIDDEN, 1)
    tables = lowest.tables()
    assert tables is not None
    assert tables.motions.shape == (NUM_MOVES * NUM_MOVES,)
    assert len(tables.rules) == 1
