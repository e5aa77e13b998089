"""Every way to recall has the same copies at once and step by step, and weights that sum to 1."""

import pytest
import torch
from toy_models import randomise

from lnfgen.nn.copying import SPAN, CopyAttention
from lnfgen.nn.matching import LongestMatch
from lnfgen.nn.opening import OpeningRecall
from lnfgen.nn.recall import PastValues, Recall

NUM_COMPARED = 4
RECALLS = {
    "attention": lambda: randomise(CopyAttention(NUM_COMPARED, (2, 3)), 0.1),
    "match": lambda: LongestMatch(NUM_COMPARED),
    "opening": OpeningRecall,
}


def values(steps: int) -> torch.Tensor:
    """A few kinds of frames, so that stretches come again, `[2, T, 6]` of zeros and ones."""
    generator = torch.Generator().manual_seed(steps)
    kinds = (torch.rand(3, 6, generator=generator) < 0.5).double()
    return kinds[torch.randint(3, (2, steps), generator=generator)]


@pytest.mark.parametrize("name", RECALLS)
@torch.no_grad()
def test_step_by_step_is_at_once_also_after_rows_were_chosen(name):
    recall: Recall = RECALLS[name]().double()
    x = values(80)
    memory = recall.memory(torch.zeros(2, 6, dtype=torch.float64))
    rows = torch.tensor([1, 1, 0])
    for step in range(80):
        if step == 50:
            memory.reindex(rows)
            x = x[rows]
        expected = recall(x)[:, step]
        assert expected.shape == (len(x), recall.num_copies, 7)
        torch.testing.assert_close(memory.recalled(), expected, rtol=1e-9, atol=1e-12)
        memory.append(x[:, step])


@pytest.mark.parametrize("name", RECALLS)
@torch.no_grad()
def test_steps_that_are_taken_together_recall_what_each_would(name):
    """Also after single steps and chosen rows, and further than a memory reaches."""
    recall: Recall = RECALLS[name]().double()
    x = values(SPAN + 100)
    memory = recall.memory(torch.zeros(2, 6, dtype=torch.float64))
    first = memory.take(x[:, :7])
    memory.append(x[:, 7])
    rows = torch.tensor([1, 1, 0])
    memory.reindex(rows)
    second = memory.take(x[rows, 8 : SPAN + 50])
    third = memory.take(x[rows, SPAN + 50 :])
    whole = recall(x)
    torch.testing.assert_close(first, whole[:, :7], rtol=1e-9, atol=1e-12)
    found = torch.cat([second, third], 1)
    torch.testing.assert_close(found, whole[rows, 8:], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", RECALLS)
@torch.no_grad()
def test_weights_of_steps_and_of_no_step_sum_to_1(name):
    """With a value that is 1 at all steps, the copy of it is the weight of all steps."""
    recall: Recall = RECALLS[name]().double()
    x = values(40)
    x[..., -1] = 1
    recalled = recall(x)
    torch.testing.assert_close(
        recalled[..., -2] + recalled[..., -1], torch.ones_like(recalled[..., 0])
    )
    assert (recalled[:, 0, :, -1] == 1).all()


@pytest.mark.parametrize("name", RECALLS)
@torch.no_grad()
def test_the_copies_of_some_steps_are_those_of_all(name):
    """Also beyond all that a step may recall, and over the bounds of blocks."""
    recall: Recall = RECALLS[name]().double()
    x = values(SPAN + 300)
    whole = recall(x)
    copies_of = recall.copies_of(x)
    for start, stop in [(0, 1), (0, 130), (1, 2), (7, 150), (600, 601), (400, SPAN + 300)]:
        found = copies_of(start, stop)
        torch.testing.assert_close(found, whole[:, start:stop], rtol=1e-9, atol=1e-12)


def test_past_values_grow_and_are_chosen():
    past = PastValues(torch.zeros(2, 3))
    x = torch.randn(2, 150, 3)
    for step in range(150):
        past.append(x[:, step])
    assert torch.equal(past.last(1000), x)
    past.reindex(torch.tensor([1, 1, 0]))
    assert torch.equal(past.last(7), x[[1, 1, 0], -7:])
