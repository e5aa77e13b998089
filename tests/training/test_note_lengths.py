"""How long notes of a band are held, in samples and in true music."""

import math

import numpy as np
import pytest
import torch
from key_states import HELD, SILENT, STRUCK

from lnfgen.models.held_notes import NUM_CASES
from lnfgen.training.note_lengths import FEW, FIRST_CASE, RATE, NoteLengths


def one_key(states: list[int]) -> np.ndarray:
    """A part that has one key, and another one that is silent: uint8 [T, 2, 1]."""
    x = np.zeros((len(states), 2, 1), np.uint8)
    x[:, 0, 0] = states
    return x


def test_notes_that_go_on_are_counted_by_part_and_duration():
    lengths = NoteLengths.of([one_key([SILENT, STRUCK, HELD, HELD, STRUCK, SILENT, SILENT])])
    # Silence, silence; one step twice, of which one goes on; two; three, and then it is struck.
    assert lengths.times[0, :4].tolist() == [2, 2, 2, 0]
    assert lengths.going_on[0, :4].tolist() == [0, 1, 1, 0]
    assert lengths.times[1].tolist() == [6] + [0] * (NUM_CASES - 1)
    assert not lengths.going_on[1].any()


def test_pieces_add_up():
    pieces = [one_key([STRUCK, HELD]), one_key([STRUCK, SILENT])]
    together = NoteLengths.of(pieces)
    assert together.times[0, 1] == 2
    assert together.going_on[0, 1] == 1


def lengths_with(going_on: float, times: float) -> NoteLengths:
    """The same counts in each of the cases of one part."""
    counts = torch.full((2, 1, NUM_CASES), 1.0)
    return NoteLengths(going_on * counts[0], times * counts[1])


def test_scores_move_by_a_share_of_the_difference_in_log_odds():
    found = lengths_with(9_000, 10_000)
    wanted = lengths_with(5_000, 10_000)
    moved = found.towards(wanted)
    expected = -RATE * math.log(9)
    assert moved[0, FIRST_CASE:].tolist() == pytest.approx([expected] * 5, rel=0.01)
    assert not moved[0, :FIRST_CASE].any()
    assert not found.towards(found).any()


def test_what_was_seen_a_few_times_counts_little():
    wanted = lengths_with(5_000, 10_000)
    moved = lengths_with(FEW, FEW).towards(wanted)
    full = RATE * (wanted.log_odds() - lengths_with(FEW, FEW).log_odds())
    torch.testing.assert_close(moved[:, FIRST_CASE:], full[:, FIRST_CASE:] / 2)
    assert not lengths_with(0, 0).towards(wanted).any()


def test_the_lengths_of_a_chain_of_notes_are_found_again():
    """A note of a bar or more ends in each step by its case alone, until as few go on as wanted."""
    generator = np.random.default_rng(0)

    def drawn(log_odds: float) -> np.ndarray:
        """Notes of 16 steps, and of one more in each step with these log-odds."""
        states = []
        goes_on = 1 / (1 + math.exp(-log_odds))
        for more in generator.geometric(1 - goes_on, size=1_000):
            states += [STRUCK] + [HELD] * (15 + min(int(more) - 1, 15))
        return one_key(states)

    wanted = NoteLengths.of([drawn(0.5)])
    added = 0.0
    for _ in range(20):
        found = NoteLengths.of([drawn(2.0 + added)])
        added += float(found.towards(wanted)[0, FIRST_CASE])
    assert 2.0 + added == pytest.approx(0.5, abs=0.15)
