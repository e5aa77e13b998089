"""For how long notes have been held."""

import torch
from key_states import HELD, SILENT, STRUCK
from toy_heads import band_head

from lnfgen.models.held_notes import NUM_CASES, HeldNotes, case_of, steps_held
from lnfgen.models.observation import Frames


def counted(states: list[int], before: int) -> list[int]:
    """The steps for which one key has been held, counted one by one."""
    held = []
    for state in states:
        if state == SILENT:
            before = 0
        elif state == STRUCK:
            before = 1
        else:
            before += 1
        held.append(before)
    return held


def test_steps_are_counted_from_the_onset():
    generator = torch.Generator().manual_seed(1)
    states = torch.tensor([SILENT, HELD, HELD, HELD, STRUCK], dtype=torch.uint8)
    x = states[torch.randint(5, (2, 40, 3, 7), generator=generator)]
    before = torch.randint(5, (2, 3, 7), generator=generator)
    held = steps_held(before, x)
    for sequence in range(2):
        for part in range(3):
            for key in range(7):
                column = x[sequence, :, part, key].tolist()
                expected = counted(column, int(before[sequence, part, key]))
                assert held[sequence, :, part, key].tolist() == expected


def test_it_can_be_counted_in_stretches():
    x = torch.ones(1, 10, 1, 2, dtype=torch.uint8)
    x[0, 6] = STRUCK
    silence = torch.zeros(1, 1, 2, dtype=torch.long)
    start = steps_held(silence, x[:, :4])
    rest = steps_held(start[:, -1], x[:, 4:])
    assert torch.equal(torch.cat([start, rest], 1), steps_held(silence, x))
    assert rest[0, :, 0, 0].tolist() == [5, 6, 1, 2, 3, 4]


def test_a_case_begins_where_the_steps_double():
    held = torch.tensor([0, 1, 2, 3, 4, 7, 8, 255, 256, 5000])
    assert case_of(held).tolist() == [0, 1, 2, 2, 3, 3, 4, 8, 9, 9]


def test_what_is_added_depends_on_the_part_and_the_case():
    notes = HeldNotes(2)
    assert not notes(torch.randint(9, (3, 2, 4))).any()
    notes.added.copy_(torch.arange(2 * NUM_CASES).view(2, NUM_CASES))
    held = torch.tensor([[[0, 1], [3, 300]]])
    assert notes(held).tolist() == [[0, 1], [NUM_CASES + 2, NUM_CASES + 9]]


@torch.no_grad()
def test_a_greater_score_holds_notes_of_its_part_and_case_alone():
    """By as much in log-odds, where a key is the only one that can sound."""
    frames = Frames(1, has_onsets=True, parts=2)
    tied = band_head(frames, copies=True)
    tied.held.added.zero_()
    held_for_two = torch.tensor([STRUCK, HELD, HELD], dtype=torch.uint8)
    x = held_for_two[None, :, None, None].repeat(1, 1, 2, 1)
    context = torch.randn(1, 3, 4, dtype=torch.float64)
    before = tied(context, x)
    tied.held.added[1, 2] = 1.5
    moved = tied(context, x) - before
    of_parts = frames.by_part(moved)[0]  # [steps, parts, bits]
    expected = torch.zeros(3, 2, 2, dtype=torch.float64)
    expected[2, 1] = torch.tensor([1.5, -1.5])
    torch.testing.assert_close(of_parts, expected)
