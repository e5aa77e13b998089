"""What followed the longest stretch that came before."""

import pytest
import torch

from lnfgen.nn import matching
from lnfgen.nn.matching import Runs, codes_of, longest_matches

SPAN = 12
"""A small one, so that short sequences have frames that are too far away."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "SPAN", SPAN)


def frames(steps: int) -> torch.Tensor:
    """Of four kinds, so that there are stretches of several lengths, and frames that are held."""
    return torch.randint(
        0, 2, (4, steps, 2), generator=torch.Generator().manual_seed(steps), dtype=torch.uint8
    )


def by_definition(x: torch.Tensor, step: int) -> tuple[int, int]:
    """The longest match before a step of one sequence `[T, P]`, by comparing frames.

    It has a distance and a length.
    """
    best = (SPAN, 0)
    for distance in range(min(SPAN, step), 0, -1):
        length, at = 0, step - 1
        while at - distance >= 0 and torch.equal(x[at], x[at - distance]):
            length += at == 0 or not torch.equal(x[at], x[at - 1])
            at -= 1
        if length > best[1]:
            best = (distance, length)
    return best


def test_matches_are_what_the_definition_says():
    x = frames(40)
    match = longest_matches(codes_of(x))
    for piece in range(len(x)):
        for step in range(40):
            distance, length = by_definition(x[piece], step)
            assert match.length[piece, step] == length
            assert length == 0 or match.distance[piece, step] == distance


def test_what_followed_is_recalled_with_a_weight_by_its_length():
    x = torch.tensor([[[1], [2], [3], [3], [1], [2], [3], [3], [1]]])
    recalled = longest_matches(codes_of(x)).recalled(x.double(), torch.arange(9))[0, :, 0]
    # A held frame, which is the same as the one before it, is no match, and no change in a longer
    # one.
    lengths = torch.tensor([0, 0, 0, 0, 0, 1, 2, 3, 3]).double()
    torch.testing.assert_close(recalled[:, 1], 1 / (1 + lengths))
    torch.testing.assert_close(
        recalled[5:, 0] / (1 - recalled[5:, 1]), torch.tensor([2.0, 3, 3, 1]).double()
    )
    assert (recalled[:5, 0] == 0).all()


def test_the_last_frames_are_enough_step_by_step():
    x = frames(40)
    codes = codes_of(x)
    runs = Runs.of_none(len(x), x.device)
    expected = longest_matches(codes).recalled(x.double(), torch.arange(40))
    for step in range(40):
        last = x[:, max(0, step - SPAN) : step].double()
        found = runs.longest().recalled(last, torch.tensor([last.shape[1]]))
        assert torch.equal(found[:, 0], expected[:, step])
        runs = runs.then(codes[:, step])


def test_frames_of_as_many_keys_have_codes_of_their_own():
    every = torch.cartesian_prod(*[torch.tensor([0, 1, 3], dtype=torch.uint8)] * 8)
    assert len(codes_of(every).unique()) == len(every)
