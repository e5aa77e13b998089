"""Voices from one frame to the next: their moves, their motions and their intervals."""

import pytest
import torch

from lnfgen.models.voice_leading import (
    NO_KEY,
    NO_MOVE,
    NUM_MOTIONS,
    NUM_MOVES,
    NUM_VOICES,
    interval_class,
    motion,
    move_case,
    voice_keys,
)

KEYS = 32


def test_voices_move_relative_to_where_the_voice_of_their_number_was():
    before = torch.zeros(KEYS, dtype=torch.bool)
    before[[12, 19, 25]] = True
    keys = voice_keys(before)
    assert keys.tolist() == [25, 19, 12, *[NO_KEY] * (NUM_VOICES - 3)]
    moves = move_case(torch.arange(KEYS), keys[2])
    assert moves[[10, 12, 13]].tolist() == [NO_MOVE - 2, NO_MOVE, NO_MOVE + 1]
    assert moves[[26, 31]].unique().tolist() == [2 * NO_MOVE]  # further than an octave is one case
    # A fourth voice had no key.
    assert (move_case(torch.arange(KEYS), keys[3]) == NUM_MOVES - 1).all()


MOTIONS = {
    0: [(2, 0), (0, -3), (0, 0)],
    1: [(1, -4), (-7, 2)],
    2: [(2, 1), (-9, -8), (13, 13)],  # of moves over an octave, the size is not known
    3: [(2, 2), (-1, -1)],
    4: [(5, 5)],
    5: [(-12, -12)],
}


@pytest.mark.parametrize(
    ("semitones", "other", "expected"),
    [(*moves, number) for number, cases in MOTIONS.items() for moves in cases],
)
def test_two_voices_move_in_oblique_contrary_similar_or_parallel_motion(semitones, other, expected):
    one, two = (torch.tensor(NO_MOVE + number) for number in (semitones, other))
    assert int(motion(one, two)) == int(motion(two, one)) == expected < NUM_MOTIONS
    silent = torch.tensor(NUM_MOVES - 1)
    assert int(motion(one, silent)) == int(motion(silent, silent)) == 0


def test_intervals_count_by_their_direction_and_their_size_within_an_octave():
    fifth = [interval_class(sign * torch.tensor([7, 19, 31])).unique().tolist() for sign in (1, -1)]
    assert len(fifth[0]) == len(fifth[1]) == 1
    assert fifth[0] != fifth[1]
    assert interval_class(torch.arange(-24, 25)).unique().tolist() == list(range(24))
